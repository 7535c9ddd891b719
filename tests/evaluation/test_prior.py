"""Prior quality: the cosines by hand, and what it needs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from evaluation import prior
from evaluation.drawing.prior_embeddings import Priors
from evaluation.measuring.prior import LABELS, NONE, measure
from evaluation.prompts.prompt_sets import read_prompts


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for index, caption in enumerate(["a cat", "a dog", "a face"]):
        images.save(Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)), tmp_path / f"{index}.png")
        rows.append(json.dumps({"id": str(index), "caption": caption, "reference": f"{index}.png"}))
    (tmp_path / "list.jsonl").write_text("\n".join(rows) + "\n")
    return tmp_path / "list.jsonl"


def test_the_numbers_by_hand(model: UnclipModel, quick: Settings, prompts: Path) -> None:
    chosen = read_prompts(str(prompts))
    found, notes = measure(Priors(model, quick, ("diffusion",)), chosen, seed=5, batch_size=2)
    assert notes == []
    values = {one.label: one.value for one in found}
    captions = [prompt.caption for prompt in chosen.prompts]
    true = model.embed_image([images.open_picture(prompt.reference) for prompt in chosen.prompts])
    predicted = torch.cat([model.embed_prompt([caption], [5 + i], quick) for i, caption in enumerate(captions)])
    cosine = torch.nn.functional.cosine_similarity
    own, none = float(cosine(predicted, true).mean()), float(cosine(model.embed_text(captions), true).mean())
    assert values["cosine to the true embedding (diffusion)"] == pytest.approx(own, abs=1e-4)
    assert values[f"cosine to the true embedding ({LABELS[NONE]})"] == pytest.approx(none, abs=1e-5)
    assert values["gain in cosine over no prior (diffusion)"] == pytest.approx(own - none, abs=1e-4)
    other = float(cosine(predicted, true.roll(-1, 0)).mean())
    assert values["cosine to another picture's embedding (diffusion)"] == pytest.approx(other, abs=1e-4)
    near = cosine(predicted[:, None], true, dim=-1).argmax(1) == torch.arange(3)
    assert values["R@1 of its own picture among 3 (diffusion)"] == pytest.approx(float(near.float().mean()))
    theirs = model.embed_text(captions)
    for rows, kind in ((predicted, "diffusion"), (theirs, LABELS[NONE])):
        means = (rows.mean(0) - true.mean(0)).square().sum().item()
        assert values[f"Fréchet distance to the true embeddings ({kind})"] > means
    assert values["milliseconds a prompt (diffusion)"] > 0


def test_captions_of_one_picture_are_no_others_to_each_other(
    model: UnclipModel, quick: Settings, prompts: Path
) -> None:
    rows = [json.loads(line) for line in prompts.read_text().splitlines()]
    (prompts.parent / "copy.png").write_bytes((prompts.parent / "0.png").read_bytes())
    rows += [{"id": "3", "caption": "an animal", "reference": "copy.png"}, {**rows[1], "id": "4"}]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = read_prompts(str(prompts))
    found, notes = measure(Priors(model, quick, ("diffusion",)), chosen, seed=5, batch_size=5)
    values = {one.label: one for one in found}
    captions = [prompt.caption for prompt in chosen.prompts]
    true = model.embed_image([images.open_picture(prompts.parent / f"{index}.png") for index in range(3)])
    predicted = torch.cat([model.embed_prompt([caption], [5 + i], quick) for i, caption in enumerate(captions)])
    own = torch.tensor([0, 1, 2, 0, 1])
    cosines = torch.nn.functional.cosine_similarity(predicted[:, None], true, dim=-1)
    right = values["R@1 of its own picture among 3 (diffusion)"]
    assert right.value == pytest.approx(float((cosines.argmax(1) == own).float().mean())) and right.n == 5
    another = float(cosines[torch.arange(5), (own + 1) % 3].mean())
    assert values["cosine to another picture's embedding (diffusion)"].value == pytest.approx(another, abs=1e-4)
    assert right.blocks.tolist() == [0, 1, 2, 0, 1] and "from the 3 sets of such pairs, not from the 5" in notes[0]


def test_prompts_without_pictures_are_refused(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in prompts.parent.glob("*.png"):
        file.unlink()
    with pytest.raises(SystemExit) as stopped:
        prior.main(["--prompts", str(prompts), "--device", "cpu"])
    assert stopped.value.code == 2
    assert "no real pictures" in capsys.readouterr().err
