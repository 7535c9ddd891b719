"""The CLIP score against transformers by hand, and what it refuses and warns of."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
)

from dalle2 import images
from evaluation import clip_score as command
from evaluation.metrics import clip_score, retrieval
from evaluation.networks.clip import Clip, conditioned, weights_hash
from evaluation.prompts.pairing import Pair, read_pairs

COCO = Path(__file__).parents[2] / ".." / "shared" / "coco-mini"
LONG = "a dog and a cat and a face of a dog and a cat"


def pictures(count: int, side: int = 40) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (side + i, side, 3), dtype=np.uint8)) for i in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures with four captions, two pictures each, in a list of prompts beside them."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = []
    for index, picture in enumerate(pictures(8)):
        images.save(picture, folder / f"{index}.png")
        caption = ["a cat", "a face", "a dog", "a cat face"][index // 2]
        rows.append(json.dumps({"id": str(index), "caption": caption, "reference": f"{index}.png"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def pairs_of(folder: Path, reference: bool = False) -> list[Pair]:
    found = read_pairs(folder, str(folder / "metadata.jsonl"), None, 0, "captions").pairs
    return [Pair(pair.picture, pair.caption, pair.picture if reference else None) for pair in found]


@pytest.fixture(scope="module")
def clip(tiny_checkpoint: Path) -> Clip:
    return Clip(tiny_checkpoint)


def by_hand(checkpoint: Path, captions: list[str], shown: list[Image.Image]) -> np.ndarray:
    """Cosines from transformers' own models, without a line of ours."""
    text = CLIPTextModelWithProjection.from_pretrained(checkpoint, subfolder="text_encoder").eval()
    vision = CLIPVisionModelWithProjection.from_pretrained(checkpoint, subfolder="image_encoder").eval()
    processor = CLIPImageProcessorPil.from_pretrained(checkpoint, subfolder="feature_extractor")
    tokens = tiny.tokenizer()(captions, padding=True, truncation=True, max_length=tiny.CONTEXT, return_tensors="pt")
    with torch.no_grad():
        words = text(**tokens).text_embeds
        seen = torch.cat([vision(**processor(picture, return_tensors="pt")).image_embeds for picture in shown])
    return torch.nn.functional.cosine_similarity(words, seen).numpy()


def test_cosines_are_those_of_transformers(tiny_checkpoint: Path, clip: Clip, folder: Path) -> None:
    pairs = pairs_of(folder)
    scores = clip_score.score(pairs, clip, batch_size=3, workers=0, progress=False)
    shown = [images.open_picture(pair.picture) for pair in pairs]
    expected = by_hand(tiny_checkpoint, [pair.caption for pair in pairs], shown)
    np.testing.assert_allclose(scores.cosine, expected, atol=1e-5)
    found = {measure.key: measure for measure in clip_score.measures_of(scores)}
    assert found["clip_cosine"].value == pytest.approx(expected.mean(), abs=1e-5)
    assert found["clip_score"].value == pytest.approx(100 * expected.mean(), abs=1e-3)


def test_long_captions_keep_their_end_token(tiny_checkpoint: Path, clip: Clip) -> None:
    captions = [f"{LONG} and a cat", f"a face {LONG} and a dog", "a cat"]
    shown = pictures(3)
    ours = (clip.embed_captions(captions) * clip.embed_pictures(shown)).sum(1)
    np.testing.assert_allclose(ours, by_hand(tiny_checkpoint, captions, shown), atol=1e-5)
    one, other, _ = clip.embed_captions(captions)
    assert one @ other < 0.9999
    assert clip.count_cut(captions) == 2


def test_a_whole_clip_gives_the_same_as_its_parts(tiny_checkpoint: Path, clip: Clip, tmp_path: Path) -> None:
    """transformers' own layout, one model in one folder."""
    text = CLIPTextModelWithProjection.from_pretrained(tiny_checkpoint, subfolder="text_encoder")
    vision = CLIPVisionModelWithProjection.from_pretrained(tiny_checkpoint, subfolder="image_encoder")
    config = CLIPConfig(text_config=text.config.to_dict(), vision_config=vision.config.to_dict(), projection_dim=32)
    whole = CLIPModel(config)
    missing, unexpected = whole.load_state_dict({**text.state_dict(), **vision.state_dict()}, strict=False)
    assert missing == ["logit_scale"] and not unexpected
    whole.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    CLIPImageProcessorPil.from_pretrained(tiny_checkpoint, subfolder="feature_extractor").save_pretrained(tmp_path)
    other = Clip(tmp_path)
    np.testing.assert_allclose(other.embed_captions(["a cat"]), clip.embed_captions(["a cat"]), atol=1e-6)
    np.testing.assert_allclose(other.embed_pictures(pictures(1)), clip.embed_pictures(pictures(1)), atol=1e-6)
    assert (other.sha256, other.text_sha256) == (clip.sha256, clip.text_sha256)
    assert conditioned(other, str(tiny_checkpoint)) == ["image_encoder", "text_encoder"]


@pytest.mark.parametrize("wrong", [np.zeros((8, 8, 3), np.float32), torch.zeros(3, 8, 8)])
def test_floats_are_refused(clip: Clip, wrong: object) -> None:
    with pytest.raises(ValueError, match="rescaled twice"):
        clip.embed_pictures([wrong])


def test_ceiling_floor_and_ranks(clip: Clip, folder: Path) -> None:
    scores = clip_score.score(pairs_of(folder, reference=True), clip, workers=0, progress=False)
    np.testing.assert_array_equal(scores.ceiling, scores.cosine)
    seen = clip.embed_pictures([images.open_picture(pair.picture) for pair in pairs_of(folder)])
    words = clip.embed_captions(["a cat", "a face", "a dog", "a cat face"])
    cosines = seen @ words.T
    own = np.arange(8) // 2
    others = np.array([np.delete(row, right) for row, right in zip(cosines, own, strict=True)])
    assert scores.among == 4
    np.testing.assert_array_equal(scores.rank, (others >= cosines[np.arange(8), own][:, None]).sum(1))
    assert all(np.isclose(row, value, atol=1e-6).any() for row, value in zip(others, scores.floor, strict=True))
    pairwise = [1 - seen[index] @ seen[index + 1] for index in range(0, 8, 2)]
    np.testing.assert_allclose(scores.spread, pairwise, atol=1e-6)


def test_other_captions_of_a_picture_are_no_captions_of_others(clip: Clip, folder: Path) -> None:
    """Five captions of a photograph all fit it: ranks and floor are among those of other photographs."""
    pictures = [pair.picture for pair in pairs_of(folder)][::2]
    captions = ["a cat", "a cat face", "a face", "a dog", "a dog face", "cat", "face", "dog"]
    pairs = [Pair(pictures[index // 2], caption) for index, caption in enumerate(captions)]
    scores = clip_score.score(pairs, clip, workers=0, progress=False)
    assert scores.among == 7  # eight captions but the other one of the picture itself
    seen = clip.embed_pictures([images.open_picture(picture) for picture in pictures])
    cosines = seen[np.arange(8) // 2] @ clip.embed_captions(captions).T
    strangers = np.arange(8)[:, None] // 2 != np.arange(8) // 2
    as_well = (cosines >= np.diag(cosines)[:, None]) & strangers
    np.testing.assert_array_equal(scores.rank, as_well.sum(1))
    for row, of_others, value in zip(cosines, strangers, scores.floor, strict=True):
        assert np.isclose(row[of_others], value, atol=1e-6).any()
    alone = clip_score.score([Pair(pictures[0], caption) for caption in captions], clip, workers=0, progress=False)
    keys = {one.key for one in clip_score.measures_of(alone)}
    assert alone.among == 1 and not keys & {"r_precision", "clip_cosine_floor"}


def test_a_blind_clip_has_no_success() -> None:
    same = np.ones((5, 4), np.float32) / 2
    ranks = retrieval.ranks(same, same, np.arange(5), among=5, seed=0)
    np.testing.assert_array_equal(ranks, 4)


def test_the_conditioning_clip_is_told(clip: Clip, tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    scores = clip_score.score(pairs_of(folder), clip, workers=0, progress=False)
    told = clip_score.warnings_of(scores, clip, str(tiny_checkpoint))
    assert any("is the CLIP that conditioned" in warning for warning in told)
    assert any("only 4 distinct captions" in warning for warning in told)
    stranger = tmp_path / "stranger"
    for name, part in (
        ("text_encoder", tiny.parts(seed=1).text_encoder),
        ("image_encoder", tiny.parts(seed=1).image_encoder),
    ):
        part.save_pretrained(stranger / name)
    assert conditioned(clip, str(stranger)) == []
    assert conditioned(clip, str(tmp_path / "absent")) is None


def test_the_embedded_judge_is_told(clip: Clip, folder: Path) -> None:
    scores = clip_score.score(pairs_of(folder), clip, workers=0, progress=False)
    told = clip_score.warnings_of(scores, Clip(), None)
    assert any("saw only emoji: its scores compare with nothing published" in warning for warning in told)


def test_half_precision_is_the_same_clip(clip: Clip) -> None:
    halved = tiny.parts("sample").text_encoder.half()
    assert weights_hash(halved) == clip.text_sha256


def test_the_command(tiny_checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "score.json"
    arguments = ["--images", str(folder), "--prompts", str(folder / "metadata.jsonl"), "--workers", "0"]
    command.main([*arguments, "--clip", str(tiny_checkpoint), "--device", "cpu", "--report", str(report)])
    read = json.loads(report.read_text())
    assert read["provenance"]["picture_processor"] == "CLIPImageProcessorPil"
    assert read["provenance"]["clip_text_sha256"] == Clip(tiny_checkpoint).text_sha256
    assert {"clip_cosine", "clip_score", "r_precision"} <= {one["key"] for one in read["measures"]}
    assert "CLIP cosine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--clip", "nowhere"], "no CLIP at nowhere"),
        (["--prompts"], "no manifest that tells its captions"),
        (["--num", "1"], "at least two pictures"),
    ],
)
def test_bad_arguments_get_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    prompts = [] if arguments == ["--prompts"] else ["--prompts", str(folder / "metadata.jsonl"), *arguments]
    with pytest.raises(SystemExit) as stopped:
        command.main(["--images", str(folder), "--workers", "0", *prompts])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not COCO.is_dir(), reason="the COCO pictures are not beside the repository")
def test_real_pictures_fit_real_captions_by_name() -> None:
    pairs = read_pairs(COCO / "val2017", f"coco:{COCO}", None, 0, "pictures").pairs
    assert len(pairs) == 79
    assert all(pair.picture.is_file() and pair.reference is None for pair in pairs)


def test_a_preference_model_with_its_processor_elsewhere(tiny_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    """PickScore's repository has weights alone, its preparation and tokenizer are those of another one."""
    bare = tmp_path / "preference"
    for part in ("text_encoder", "image_encoder"):
        (bare / part).mkdir(parents=True)
        for path in (tiny_checkpoint / part).iterdir():
            (bare / part / path.name).write_bytes(path.read_bytes())
    common = {"prompts": str(folder / "metadata.jsonl"), "workers": 0, "device": "cpu"}
    with pytest.raises(ValueError, match="holds no feature_extractor"):
        command.run(command.Options(folder, clip=str(bare), **common))
    options = {"clip": str(bare), "clip_processor": str(tiny_checkpoint), "preference": "pickscore"}
    report = command.run(command.Options(folder, **common, **options))
    found = {one.key: one for one in report.measures}
    plain = command.run(command.Options(folder, clip=str(tiny_checkpoint), **common))
    expected = next(one for one in plain.measures if one.key == "clip_score")
    assert found["pickscore"].value == pytest.approx(expected.value) and "clip_score" not in found
    assert found["pickscore"].label == "PickScore (100 × cosine)"
    assert report.provenance["clip_processor"] == str(tiny_checkpoint)
