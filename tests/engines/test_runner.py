"""What is exported draws by itself: the same pictures, without torch."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dalle2 import export, images
from dalle2.model import UnclipModel, generators
from dalle2.settings import MAX_PROMPT_CHARACTERS, MAX_SEED, Settings
from dalle2.stage_settings import SCHEDULERS
from dalle2_runner import __main__ as runner
from dalle2_runner.drawer import Drawer
from dalle2_runner.networks import enlarge, read_weights
from dalle2_runner.noise import Noise
from dalle2_runner.steps import Schedule

TOLERANCE = 1e-4  # of pixels in 0..1
PROMPTS, SEEDS = ["a cat face, twemoji style", "it's a DOG!!! café 狗"], [7, 2**32 - 1]


@pytest.fixture(scope="module")
def model(embedded_by_torch: UnclipModel) -> UnclipModel:
    return embedded_by_torch


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "emoji"
    assert export.main(["emoji", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("count", [16, 17, 100, 192, 3072])
@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1, 2**32 + 5])
def test_noise_is_torch_s(count: int, seed: int) -> None:
    ours, theirs = Noise(seed), torch.Generator().manual_seed(seed)
    for size in (count, 32, count):  # one draw after another
        expected = torch.randn(size, generator=theirs).numpy()
        assert np.abs(ours.normal(size) - expected).max() < 4e-6


@pytest.mark.parametrize("side, size", [(32, 128), (16, 48), (20, 33)])
def test_a_small_picture_is_enlarged_as_torch_does(side: int, size: int) -> None:
    small = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic", antialias=True)
    assert np.abs(enlarge(small.numpy(), size) - expected.numpy()).max() < 1e-5


def settings_of(name: str, model: UnclipModel) -> Settings:
    own = model.settings
    changes = {
        "draft": own.for_draft(),
        "ancestral": own.changed({"prior": {"scheduler": "unclip"}, "decoder": {"scheduler": "unclip"}}),
        "ddim, guided in part": own.changed({"decoder": {"scheduler": "ddim", "guidance_interval": (0.2, 0.7)}}),
        "unguided": own.changed({"prior": {"guidance_scale": 1.0}, "decoder": {"guidance_scale": 1.0}}),
    }
    return changes.get(name, own)


@pytest.mark.parametrize("name", ["own", "draft", "ancestral", "ddim, guided in part", "unguided"])
def test_pictures_are_torch_s(name: str, model: UnclipModel, exported: Path) -> None:
    settings, noise = settings_of(name, model), generators(SEEDS)
    expected = model.decode_pixels(model.embed_prompt(PROMPTS, noise, settings), noise, PROMPTS, settings).numpy()
    drawn = Drawer.open(exported, 1).draw(PROMPTS, SEEDS, settings.to_dict())
    assert drawn.shape == (2, 3, 128, 128) and np.abs(drawn - expected).max() / 2 <= TOLERANCE


def test_it_runs_alone_without_torch(model: UnclipModel, exported: Path, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    code = (
        "import sys; sys.modules.update(torch=None, diffusers=None, transformers=None, dalle2=None, PIL=None)\n"
        "from dalle2_runner.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, PROMPTS[0], "--seed", "7", "-o", str(picture)]
    done = subprocess.run(words, cwd=exported, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (expected,) = model.text_to_image(PROMPTS[:1], seeds=[7], literal=True)
    drawn = images.open_picture(picture)
    assert np.abs(np.asarray(drawn).astype(int) - np.asarray(expected)).max() <= 1
    record = images.read_record(picture)
    assert record["engine"] == "onnxruntime" and record["checkpoint_hash"] == model.checkpoint_hash
    again = model.redraw(record)
    assert np.array_equal(np.asarray(again), np.asarray(expected))
    done = subprocess.run(words, cwd=exported, capture_output=True, text=True)
    assert done.returncode == 1 and "exists already" in done.stderr


def test_eight_bits_take_a_little_more_than_half_and_draw_nearly_the_same(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    assert export.main(["emoji", "--out", str(out), "--weights", "int8"]) == 0
    sizes = [sum(file.stat().st_size for file in folder.glob("*.safetensors")) for folder in (out, exported)]
    assert sizes[0] < 0.55 * sizes[1]
    whole, small = (Drawer.open(folder, 1).draw(PROMPTS[:1], SEEDS[:1]) for folder in (exported, out))
    error = ((whole.clip(-1, 1) - small.clip(-1, 1)) ** 2).mean() / 4
    assert error > 0 and 10 * np.log10(1 / error) > 20
    assert "int8" in json.loads((out / "draw.json").read_text())["record"]["checkpoint_hash"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["  "], "The prompt is empty"),
        (["x" * 1001], "at most 1,000 are allowed"),
        (["cat \udce9"], "half of a character"),
        (["cat", "--seed", "-1"], "from 0 to 4294967295, not -1"),
        (["cat", "--seed", str(2**40)], "from 0 to 4294967295"),
        (["cat", "-o", "cat.jpg"], "let 'cat.jpg' end in .png"),
        (["cat", "-o", "nowhere/cat.png"], "There is no folder nowhere"),
        (["cat", "--folder", "nowhere"], "is no exported checkpoint"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_read(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.main(["--folder", str(tmp_path), *words]) == 1
    assert sentence in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_runner_s_limits_are_the_project_s() -> None:
    assert (runner.MOST_SEED, runner.MOST_CHARACTERS) == (MAX_SEED, MAX_PROMPT_CHARACTERS)


@pytest.mark.parametrize(
    "file, damage, sentence",
    [
        ("draw.json", b"{", "draw.json is damaged"),
        ("draw.json", b"[]", "draw.json is damaged"),
        ("tokenizer.json", b"{}", "The tokenizer is damaged"),
        ("decoder.onnx", b"no graph", "decoder.onnx and "),
        ("decoder.onnx", None, "decoder.onnx"),
        ("decoder.safetensors", None, "decoder.safetensors"),
    ],
)
def test_a_folder_that_is_damaged_is_told_of_in_a_sentence(
    file: str, damage: bytes | None, sentence: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mit Leerzeichen 和中文"
    folder.mkdir()
    for one in exported.iterdir():
        (folder / one.name).symlink_to(one)
    (folder / file).unlink()
    if damage is not None:
        (folder / file).write_bytes(damage)
    assert runner.main(["cat", "--folder", str(folder), "-o", str(tmp_path / "cat.png")]) == 1
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told and not (tmp_path / "cat.png").exists()


def test_a_package_that_is_not_installed_is_named(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "dalle2_runner.by_onnxruntime", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert runner.main(["cat", "--folder", str(exported), "-o", str(tmp_path / "cat.png")]) == 1
    assert "the package onnxruntime is not installed: pip install onnxruntime" in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_bytes

    def stops(path: Path, content: bytes) -> int:
        written(path, content[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", stops)
    with pytest.raises(OSError, match="No space left"):
        runner.write(tmp_path / "cat.png", b"picture")
    assert list(tmp_path.iterdir()) == []
    assert export.main(["emoji", "--out", str(tmp_path / "new")]) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(set(SCHEDULERS) - {"unclip", "ddim", "unipc"}))
def test_other_schedulers_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="alone, plainly, not by"):
        Schedule({"num_train_timesteps": 1000}, {"scheduler": name, "num_inference_steps": 4})


def test_what_cannot_be_exported_is_told(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main([str(tiny_checkpoint), "--out", str(tmp_path / "new")]) == 1
    assert "python -m dalle2.export" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert export.main(["emoji", "--out", str(tmp_path)]) == 1 and "exists already" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is no exported checkpoint"):
        Drawer.open(tmp_path)


def test_openvino_draws_the_same_and_so_do_networks_one_after_another(
    model: UnclipModel, exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "by openvino"
    assert export.main(["emoji", "--out", str(out), "--format", "openvino"]) == 0
    noise = generators(SEEDS[:1])
    embeddings = model.embed_prompt(PROMPTS[:1], noise)
    expected = model.decode_pixels(embeddings, noise, PROMPTS[:1]).numpy()
    for folder, engine in ((out, "openvino"), (exported, "onnxruntime")):
        drawer = Drawer.open(folder, 1, low_memory=True)
        assert drawer.description["record"]["engine"] == engine
        assert np.abs(drawer.draw(PROMPTS[:1], SEEDS[:1]) - expected).max() / 2 <= TOLERANCE


@pytest.mark.parametrize("package, words", [("openvino", "OpenVINO is not"), ("onnx", "made by the package onnx")])
def test_what_a_format_lacks_is_told_before_anything_is_read(
    package: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    gone = lambda name, *more: None if name == package else found(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", gone)
    monkeypatch.setattr(export, "find_spec", gone)
    assert export.main(["emoji", "--out", str(tmp_path / "new"), "--format", "openvino"]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", [b"", b"no weights at all", "half"])
def test_weights_that_are_damaged_are_told_of(damage: bytes | str, exported: Path, tmp_path: Path) -> None:
    whole = (exported / "text_proj.safetensors").read_bytes()
    file = tmp_path / "text_proj.safetensors"
    file.write_bytes(whole[: len(whole) // 2] if isinstance(damage, str) else damage)
    with pytest.raises(ValueError, match=r"text_proj\.safetensors is no safetensors file, or is damaged"):
        read_weights(file)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize(
    ("part", "stage"),
    [("prior", "prior"), ("decoder", "decoder"), ("super_res_first", "upsampler"), ("super_res_last", "upsampler")],
)
def test_what_is_not_finite_stops_the_picture_and_names_the_stage(
    part: str, stage: str, value: float, exported: Path
) -> None:
    drawer = Drawer.open(exported, 1)
    drawer.networks[part] = lambda x, t, whole=drawer.networks[part], **given: whole(x, t, **given) * value
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"^The {stage} gave numbers that are not finite"):
        drawer.draw(PROMPTS[:1], SEEDS[:1])


@pytest.mark.parametrize(
    ("part", "name", "stage"),
    [
        ("text_encoder", "text_model.final_layer_norm.bias", "text encoder"),
        ("text_encoder", "text_projection.weight", "text encoder"),
        ("text_proj", "embedding_proj.bias", "text projection"),
        ("text_proj", "text_encoder_hidden_states_norm.weight", "text projection"),
        ("prior", "clip_mean", "prior"),
    ],
)
def test_damaged_weights_are_told_by_the_command(
    part: str, name: str, stage: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawer = Drawer.open(exported, 1)
    drawer.weights[part] = {**drawer.weights[part], name: np.full_like(drawer.weights[part][name], np.nan)}
    drawer.text.weights = drawer.weights["text_encoder"]
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(Drawer, "open", lambda *_, **__: drawer)
        assert runner.main(["a cat", "--folder", str(exported), "-o", str(tmp_path / "cat.png")]) == 1
    assert f"The {stage} gave numbers that are not finite" in capsys.readouterr().err
    assert not (tmp_path / "cat.png").exists()
