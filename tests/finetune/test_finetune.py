"""A checkpoint is taught by a folder of pictures, and draws, understands and records what it was taught."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_kandinsky
import torch
from PIL import Image

from dalle2 import images
from dalle2.__main__ import main as draw
from dalle2.datasets.captions import canonical_caption
from dalle2.families import EMBEDDED, load
from dalle2.families.karlo import layout
from dalle2.families.karlo.learning import add_word, check_name
from dalle2.families.karlo.load import save
from dalle2.families.lora import Lora, LoraMetadata, write
from dalle2.model import UnclipModel
from dalle2.serving.service import Service
from dalle2.training import resuming
from dalle2.understanding.interpreter import Interpreter
from demo.styles import restyled

pytest.importorskip("peft", reason="finetuning needs peft")
from dalle2.finetune import adapters
from dalle2.finetune.__main__ import main as finetune
from dalle2.finetune.run import CLOSING_SECONDS, STAGES, Finetuning

NAME = "my style"
QUICKLY = ["--steps", "6,6,6", "--rank", "2", "--own", "8"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def _in_float32() -> Iterator[None]:
    """Other tests of this process train so, and accelerate changes no precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalle2.finetune.checkpoint.precision", lambda: "no")
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty little pictures, most of them with a caption; one has transparency."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(20):
        noise = np.random.default_rng(number).integers(0, 255, (4, 4, 4), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((40, 40), Image.Resampling.NEAREST)
        (picture if number == 0 else picture.convert("RGB")).save(folder / f"{number}.png")
        if number > 1:
            (folder / f"{number}.txt").write_text(("cat", "dog", "cat face")[number % 3])
    return folder


@pytest.fixture(scope="module")
def lora(pictures: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint's new style."""
    file = tmp_path_factory.mktemp("lora") / "my-style.safetensors"
    given = [str(pictures), "--name", NAME, "--checkpoint", str(tiny_checkpoint), "--out", str(file), *QUICKLY]
    assert finetune(given) == 0
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # nothing else is left
    return file


@pytest.fixture(scope="module")
def taught(tiny_checkpoint: Path, lora: Path) -> UnclipModel:
    return load(tiny_checkpoint, loras=[lora], engine="torch")


def drawn(model: UnclipModel, prompt: str = f"cat, {NAME}") -> np.ndarray:
    (picture,) = model.text_to_image([prompt], seeds=[3], literal=True)
    return np.asarray(picture).astype(int)


def refused(given: list[object], capsys: Capture, command=finetune) -> str:
    assert command([str(word) for word in given]) == 1
    return capsys.readouterr().err


def test_the_file_says_what_it_is(lora: Path, tiny_checkpoint: Path) -> None:
    said = Lora.read(lora).taught
    assert (said.name, said.kind, said.checkpoint) == (NAME, "style", tiny_checkpoint.name)
    assert said.checkpoint_hash == load(tiny_checkpoint).checkpoint_hash
    assert said.about["pictures"] == 20 and said.about["steps"] == [6, 6, 6]
    assert str(tiny_checkpoint.parent) not in json.dumps(said.about)


def test_of_weight_0_nothing_changes_and_of_weight_1_what_is_drawn(
    tiny_checkpoint: Path, lora: Path, taught: UnclipModel, model: UnclipModel
) -> None:
    unchanged = load(tiny_checkpoint, loras=[f"{lora}=0"], engine="torch")
    before = load(tiny_checkpoint, engine="torch")
    for prompt in ("a cat face", "dog, noto style"):
        assert (drawn(unchanged, prompt) == drawn(before, prompt)).all()
        assert (drawn(taught, prompt) != drawn(before, prompt)).any()
    assert len({one.checkpoint_hash for one in (unchanged, taught, before)}) == 3


def test_merged_it_computes_what_peft_computes() -> None:
    torch.manual_seed(0)
    with_layers, merged = tiny.decoder().eval(), tiny.decoder().eval()
    merged.load_state_dict(with_layers.state_dict())
    adapters.put_in(with_layers, "decoder", 3)
    for name, parameter in with_layers.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    changes = {f"decoder.{name}": one for name, one in adapters.changes(with_layers).items()}
    said = LoraMetadata("new", "style", "karlo", "", "", {"decoder": 1.0})
    half = Lora(Path("new"), 0.5, said).changes(changes)["decoder"]
    with torch.no_grad():
        for layer, delta in half.items():
            weight = merged.get_submodule(layer).weight
            weight += 2 * delta.view(weight.shape)
        inputs = (torch.randn(2, 3, 16, 16), torch.tensor([5, 700]), torch.randn(2, 6, 100), torch.randn(2, 128))
        theirs, ours = (net(*inputs).sample for net in (with_layers, merged))
        with adapters.unchanged(with_layers):
            before = with_layers(*inputs).sample
    assert len(half) > 10
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert not torch.allclose(theirs, before, atol=1e-3)


def test_a_stopped_run_resumes_to_the_same_file(
    pictures: Path, lora: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    given = [str(pictures), "--name", NAME, "--checkpoint", str(tiny_checkpoint), *QUICKLY]
    given += ["--out", str(tmp_path / "again.safetensors")]
    write, stopped = resuming.write_snapshot, []

    def write_and_stop(path: Path, state: dict) -> None:
        write(path, state)
        if path.stem == "prior" and not stopped:
            stopped.append(state["step"])
            raise KeyboardInterrupt

    monkeypatch.setattr("dalle2.finetune.run.SNAPSHOT_EVERY", 2)
    monkeypatch.setattr("dalle2.training.loop.write_snapshot", write_and_stop)
    assert finetune(given) == 130
    assert stopped == [2] and not (tmp_path / "again.safetensors").exists()
    assert "add --resume" in refused(given, capsys)
    assert "was begun otherwise: seed differs" in refused([*given, "--resume", "--seed", "1"], capsys)
    assert finetune([*given, "--resume"]) == 0
    first, second = (Lora.read(file).tensors() for file in (lora, tmp_path / "again.safetensors"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_by_the_clock_each_stage_has_its_share_of_what_is_left() -> None:
    work = Finetuning.__new__(Finetuning)
    work.until = time.monotonic() + 100 + CLOSING_SECONDS
    left = {stage: work._until(stage) - time.monotonic() for stage in STAGES}
    assert left == pytest.approx({"word": 10, "prior": 100 * 0.35 / 0.9, "decoder": 100}, abs=0.5)


def test_a_record_names_it_and_is_drawn_again_only_with_it(
    tiny_checkpoint: Path, lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    elsewhere = tmp_path / "pictures"
    given = [f"cat, {NAME}", "--checkpoint", str(tiny_checkpoint), "--seed", "3", "--engine", "torch"]
    assert draw([*given, "--lora", f"{lora}=0.5", "--out", str(elsewhere / "a.png")]) == 0
    record = images.read_record(elsewhere / "a.png")
    (said,) = record["loras"]
    assert (said["name"], said["file"], said["weight"]) == (NAME, lora.name, 0.5)
    again = ["--from", elsewhere / "a.png", "--out", tmp_path / "b.png"]
    monkeypatch.chdir(tmp_path)
    assert f"was drawn with the LoRA {NAME!r} (my-style.safetensors" in refused(again, capsys, draw)
    (tmp_path / lora.name).write_bytes(b"another file of that name")
    assert "which is not here: give that file with --lora" in refused(again, capsys, draw)
    shutil.copy(lora, elsewhere)  # beside the picture it is found
    assert draw(list(map(str, again))) == 0
    assert (elsewhere / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (elsewhere / lora.name).unlink()
    assert draw([*map(str, again), "--overwrite", "--lora", str(lora)]) == 0
    assert (elsewhere / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_was_taught_can_be_saved_as_a_checkpoint(taught: UnclipModel, tmp_path: Path) -> None:
    written = load(save(taught, tmp_path / "whole"), engine="torch")
    assert written.styles == taught.styles == ("twemoji", "noto", NAME)
    assert written.phrases is not None and NAME in written.phrases.styles
    assert np.abs(drawn(written) - drawn(taught)).max() <= 1


def test_a_service_offers_the_style_and_says_nothing_of_the_file_s_place(tiny_checkpoint: Path, lora: Path) -> None:
    service = Service.open(str(tiny_checkpoint), loras=[str(lora)])
    model = service.model()
    assert NAME in model.styles
    *_, last = service.draw(service_request(), 3, checkpoint=model.checkpoint, settings="draft")
    record = images.read_record(last.pictures[0])
    assert record["loras"][0]["file"] == lora.name and str(lora.parent) not in json.dumps(record)


def service_request():
    from dalle2.tasks.text_to_image import TextToImage

    return TextToImage([f"cat, {NAME}"])


def test_a_style_and_a_concept_are_understood() -> None:
    interpreter = Interpreter.of(EMBEDDED, ("noto", NAME), taught=("grumblefluff",))
    assert interpreter is not None
    for prompt in ("a cat face, my style", "a cat face in my style", "my style cat face", "Cat face, My Style"):
        found = interpreter.understand(prompt)
        assert found.style == NAME and found.asked in (prompt, "cat face, my style"), prompt
    for prompt in ("grumblefluff", "a grumblefluff, noto style", "a grumblefluff sleeping on a sofa"):
        found = interpreter.understand(prompt)
        assert found.concept is not None and found.concept.label == "grumblefluff", prompt
    assert interpreter.understand("a cat face, noto style").style == "noto"
    assert interpreter.understand("an umbrella").concept.label == "umbrella"


def test_a_style_that_is_called_so_is_said_once() -> None:
    assert restyled("a cat, my style", "noto", ["noto", NAME]) == "a cat, noto style"
    assert restyled("a cat, noto style", NAME, ["noto", NAME]) == "a cat, my style"
    assert canonical_caption({"label": "cat", "style": NAME}) == "cat, my style"


def test_a_name_that_means_something_already_is_refused() -> None:
    model = load(engine="torch")
    for name in ("noto", "Google Noto", "noto style", "cat face", "Cat Face", "猫脸", "red", "the", "style"):
        with pytest.raises(ValueError, match=f"{name!r} cannot be the name of something new"):
            check_name(model, name)
    for name in (NAME, "grumblefluff", "水彩"):
        check_name(model, name)
    with pytest.raises(ValueError, match="'zen' cannot be the name of something new: the tokenizer has it as a piece"):
        add_word(model.parts.tokenizer, model.parts.text_encoder, "zen", torch.zeros(1))


@pytest.mark.parametrize(
    "given, said",
    [
        (["--name", "a/b"], "A name is a few words of letters"),
        (["--name", "x" * 41], "A name is a few words of letters"),
        (["--name", "new", "--out", "a.bin"], "must end in .safetensors"),
        (["--name", "new", "--minutes", "0"], "--minutes must be 0.5 or more"),
        (["--name", "new", "--rank", "0"], "--rank must be from 1"),
        (["--name", "new", "--own", "1"], "--own must be from 8"),
        (["--name", "new", "--checkpoint", "nowhere/at/all"], "does not exist"),
    ],
)
def test_wrong_options_are_told_first(given: list[str], said: str, pictures: Path, capsys: Capture) -> None:
    assert said in refused([pictures, *given], capsys)


@pytest.mark.parametrize("steps", ["1,2", "a,b,c", "1,2,-3"])
def test_steps_are_three_whole_numbers(steps: str, pictures: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        finetune([str(pictures), "--name", NAME, "--steps", steps])
    assert f"three whole numbers with commas between them, not {steps!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "started", [{"WORLD_SIZE": "2"}, {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}]
)
def test_several_processes_are_refused_before_anything_is_read(
    started: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    said = refused([tmp_path / "nowhere", "--name", NAME, "--out", tmp_path / "a.safetensors"], capsys)
    assert "in one process" in said and "without accelerate launch" in said
    assert not any(tmp_path.iterdir())


def test_a_file_that_is_there_stays(pictures: Path, lora: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = Path(shutil.copy(lora, tmp_path))
    assert "exists already" in refused([pictures, "--name", NAME, "--out", copy], capsys)
    assert copy.read_bytes() == lora.read_bytes()


def test_a_checkpoint_that_cannot_caption_asks_for_captions(
    pictures: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    silent = shutil.copytree(tiny_checkpoint, tmp_path / "silent")
    (silent / "phrases.json").unlink()
    given = [pictures, "--name", NAME, "--checkpoint", silent, "--out", tmp_path / "a.safetensors"]
    assert "2 pictures have no caption, and" in refused(given, capsys)


def test_what_does_not_fit_is_refused_and_other_weights_are_told(
    tiny_checkpoint: Path, lora: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = layout.write(tiny.parts("sample", seed=1), tmp_path / "other", {})
    with caplog.at_level(logging.WARNING):
        assert load(other, loras=[lora]).styles == (NAME,)
    assert "was trained on other weights" in caplog.text
    kandinsky = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path / "kandinsky")
    with pytest.raises(ValueError, match="a checkpoint of another family: it does not fit"):
        load("+".join(map(str, kandinsky)), loras=[lora])
    with pytest.raises(ValueError, match="does not fit emoji: its word is not an embedding of the size 192"):
        load(loras=[lora])
    with pytest.raises(ValueError, match="both teach 'my style'"):
        load(tiny_checkpoint, loras=[lora, f"{lora}=0.5"])
    tensors, said = Lora.read(lora).tensors(), Lora.read(lora).taught
    layer = next(name for name in tensors if name.startswith("decoder.") and "lora_A" in name)
    write(tmp_path / "bent.safetensors", said, tensors | {layer: torch.zeros(2, 3)})
    with pytest.raises(ValueError, match=r"does not fit .*sample: decoder has no .* of the shape \(\d+, 3\)"):
        load(tiny_checkpoint, loras=[tmp_path / "bent.safetensors"])
    write(tmp_path / "torn.safetensors", said, {name: one for name, one in tensors.items() if name != layer})
    with pytest.raises(ValueError, match=r"is damaged, or no LoRA .the change of decoder.* is not whole"):
        load(tiny_checkpoint, loras=[tmp_path / "torn.safetensors"])


def test_what_is_no_lora_is_told(tiny_checkpoint: Path, lora: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    weights = EMBEDDED / "prior" / "diffusion_pytorch_model.safetensors"
    cases = {
        tmp_path / "gone.safetensors": "There is no LoRA",
        tmp_path / "text.safetensors": "is damaged, or no LoRA",
        weights: "is no LoRA that is known here",
        f"{lora}=much": "is a number, as in my-style.safetensors=0.8, not 'much'",
        f"{lora}=9": "from -2 to 2, not 9",
        f"{lora}=nan": "from -2 to 2, not nan",
    }
    for given, said in cases.items():
        with pytest.raises(ValueError, match=said):
            load(tiny_checkpoint, loras=[given])


def test_an_engine_draws_what_was_taught_with_the_graphs_that_are_there(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file, layer = tmp_path / "new.safetensors", "decoder.mid_block.resnets.0.conv1"
    said = LoraMetadata("newest", "style", "karlo", "emoji", load(engine="torch").checkpoint_hash, {"decoder": 1.0})
    torch.manual_seed(0)
    down, up = torch.randn(2, 128, 3, 3) / 20, torch.randn(128, 2, 1, 1) / 20
    write(file, said, {"word": torch.randn(192), f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up})
    hosted, plain = load(loras=[file], engine="auto"), load(loras=[file], engine="torch")
    assert (hosted.engine, plain.engine) == ("onnxruntime", "torch")
    assert np.abs(drawn(hosted, "a cat face, newest style") - drawn(plain, "a cat face, newest style")).max() <= 1
    assert np.abs(drawn(hosted, "a cat face") - drawn(load(), "a cat face")).max() > 3
