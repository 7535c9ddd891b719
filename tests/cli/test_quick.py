"""A picture from a prompt does not wait for torch: which libraries are imported, and that it is the same picture."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dalle2 import images
from dalle2.__main__ import main
from dalle2.cli import parsers, quick
from dalle2.families import EMBEDDED
from dalle2.model import UnclipModel

# What takes from half a second to many, and a first picture can do without.
HEAVY = ("torch", "diffusers", "transformers", "scipy", "pandas", "datasets", "accelerate", "gradio", "sympy", "av")
PROMPT = "classic symbol of love"
COUNTED = f"""
import sys
from {{module}} import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("heavy", *sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def run(*words: str, module: str = "dalle2.__main__") -> tuple[int, str, list[str]]:
    """The exit code, what was said, and which heavy libraries were imported."""
    command = [sys.executable, "-c", COUNTED.format(module=module), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    *said, imported = done.stderr.rstrip("\n").split("\n")
    return done.returncode, "\n".join(said), imported.split()[1:]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture = tmp_path_factory.mktemp("quick") / "love.png"
    code, said, imported = run(PROMPT, "--seed", "7", "-o", str(picture))
    assert (code, imported) == (0, []) and "I draw: red heart." in said
    return picture


@pytest.fixture(scope="module")
def model(embedded_by_torch: UnclipModel) -> UnclipModel:
    return embedded_by_torch


def pixels(picture: object) -> np.ndarray:
    return np.asarray(images.open_picture(picture) if isinstance(picture, Path) else picture).astype(int)


def test_it_is_the_picture_that_torch_draws_with_the_same_record(drawn: Path, model: UnclipModel) -> None:
    (expected,) = model.text_to_image([PROMPT], seeds=[7])
    assert np.abs(pixels(drawn) - pixels(expected)).max() <= 1
    ours, theirs = images.read_record(drawn), images.read_record(expected)
    assert set(ours["versions"]) == {"numpy", "onnxruntime"} and ours["engine"] == "onnxruntime"
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} == {"versions", "engine"}


def test_it_is_drawn_again_to_the_last_bit_without_torch_and_to_a_level_with_it(drawn: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again.png", tmp_path / "other.png"
    code, _, imported = run("--from", str(drawn), "-o", str(again))
    assert (code, imported) == (0, []) and again.read_bytes() == drawn.read_bytes()
    assert main(["--from", str(drawn), "-o", str(other)]) == 0  # torch is here already
    assert np.abs(pixels(drawn) - pixels(other)).max() <= 1


def test_several_seeds_literally_in_a_draft(model: UnclipModel, tmp_path: Path) -> None:
    code, _, imported = run("a dog face", "--literal", "--draft", "-n", "2", "--seed", "5", "-o", f"{tmp_path}/")
    files = sorted(tmp_path.iterdir())
    assert (code, imported, len(files)) == (0, [], 2)
    expected = model.text_to_image(["a dog face"] * 2, seeds=[5, 6], literal=True, settings=model.settings.for_draft())
    assert all(np.abs(pixels(ours) - pixels(one)).max() <= 1 for ours, one in zip(files, expected, strict=True))


def test_a_refusal_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["qwxz blorf", "-o", str(tmp_path / "a.png")]
    code, said, imported = run(*words)
    assert (code, imported) == (1, []) and main(words) == 1
    assert said.split("\n")[-1] == capsys.readouterr().err.strip().split("\n")[-1]


@pytest.mark.parametrize(
    "words",
    [
        *(["--engine", "torch"], ["--scheduler", "dpm++"], ["--size", "256"], ["--prior", "linear"]),
        *(["--checkpoint", "kakaobrain/karlo-v1-alpha"], ["--format", "svg"], ["--dtype", "bfloat16"]),
    ],
)
def test_what_only_torch_does_is_left_to_it(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "sys", type("WithoutTorch", (), {"modules": {}}))
    monkeypatch.setattr(quick.Light, "understood", lambda *_: pytest.fail("it is left to drawing"))
    assert quick.plan(parsers.parse(["a cat", "-o", f"{tmp_path}/", *words])) is None


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(EMBEDDED, tmp_path_factory.mktemp("copied") / "emoji")


@pytest.mark.parametrize("damage", [b"", b"no archive", "half", "gone"])
@pytest.mark.parametrize("name", ["index.json", "*.onnx.gz"])
def test_a_graph_that_is_damaged_is_told_of_and_torch_draws(
    name: str, damage: bytes | str, copied: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quick, "sys", type("WithoutTorch", (), {"modules": {}}))
    file = min(copied.glob(f"graphs/{name}"))
    whole = file.read_bytes()
    options = parsers.parse(["a cat", "--literal", "-o", "a.png", "--checkpoint", str(copied)])
    assert quick.plan(options) is not None
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[: len(whole) // 2] if isinstance(damage, str) else damage)
    try:
        assert quick.plan(options) is None
    finally:
        file.write_bytes(whole)
    # Without an index it is a checkpoint like others, of which nobody expects it.
    assert ("torch draws instead of ONNX Runtime" in caplog.text) == ((name, damage) != ("index.json", "gone"))


@pytest.mark.parametrize(
    "module", ["dalle2.__main__", *(f"evaluation.{name}" for name in ("fid", "generation", "compare", "scorecard"))]
)
def test_help_imports_no_library_that_takes_long(module: str) -> None:
    assert run("--help", module=module)[::2] == (0, [])
