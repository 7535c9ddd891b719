"""`python -m dalle2`: pictures with their record, drawn again to the last bit, errors of one sentence."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dalle2 import __main__ as cli
from dalle2 import commands, families, images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.settings import MAX_SEED, StageSettings

ROOT = Path(__file__).parent.parent
Capture = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Capture) -> str:
    """The one line on stderr of a run that ends with exit code 1 and no file name on stdout."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("dalle2: ")
    (line,) = err.splitlines()
    return line


@pytest.fixture
def drawn(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The second of two pictures."""
    arguments = [
        "a cat face!",
        "-n",
        "2",
        "--seed",
        "7",
        "-o",
        str(tmp_path),
        "--checkpoint",
        str(tiny_checkpoint),
    ]
    assert main(arguments) == 0
    return tmp_path / "a-cat-face-8.png"


def test_pictures_with_their_record(drawn: Path, tiny_checkpoint: Path) -> None:
    assert sorted(file.name for file in drawn.parent.glob("*")) == ["a-cat-face-7.png", "a-cat-face-8.png"]
    record = images.read_record(drawn)
    model = load(tiny_checkpoint)
    assert (record["prompt"], record["seed"]) == ("a cat face!", 8)
    assert record["checkpoint_hash"] == model.checkpoint_hash
    with Image.open(drawn) as picture:
        assert picture.tobytes() == model.text_to_image(["a cat face!"], [8])[0].tobytes()


def test_as_a_command(tiny_checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dalle2", "一只猫", "--seed", "0", "-o", tmp_path / "cat.png"]
    command += ["--checkpoint", tiny_checkpoint, "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"{tmp_path / 'cat.png'}\n"
    assert "10/10" in done.stderr  # the bar over all steps, and nothing of the libraries
    assert "transformers" not in done.stderr and "Loading weights" not in done.stderr


def test_drawn_again_identically(drawn: Path, capsys: Capture) -> None:
    again = drawn.with_name("again.png")
    assert main(["--from", str(drawn), "-o", str(again)]) == 0
    with Image.open(drawn) as first, Image.open(again) as second:
        assert first.tobytes() == second.tobytes()
    assert images.read_record(again) == images.read_record(drawn)


def test_drawing_again_wants_the_same_checkpoint(drawn: Path, karlo_text: Path, capsys: Capture) -> None:
    record = images.read_record(drawn)
    with Image.open(drawn) as picture:
        picture.load()
    images.write_record(picture, {**record, "checkpoint": str(karlo_text)})
    other = images.save(picture, drawn.with_name("other.png"))
    again = str(drawn.with_name("again.png"))
    assert "its hash differs" in refused(["--from", str(other), "-o", again], capsys)
    assert not Path(again).exists()
    assert main(["--from", str(other), "-o", again, "--checkpoint", str(karlo_text)]) == 0
    assert images.read_record(again)["checkpoint_hash"] != record["checkpoint_hash"]


def test_what_cannot_be_drawn_again_is_told(drawn: Path, capsys: Capture) -> None:
    record = images.read_record(drawn)
    other = drawn.with_name("other.png")
    for changes, expected in [
        ({"task": "variations"}, "started from other pictures"),
        ({"settings": {"prior": {}}}, "lacks 'decoder'"),
        ({"seed": -1}, "seed"),
        ({"dtype": "float8"}, "no dtype 'float8'"),
        ({"checkpoint": "/nowhere/at/all"}, "/nowhere/at/all does not exist"),
        ({"checkpoint": 3}, "lacks 'checkpoint'"),
    ]:
        picture = Image.new("RGB", (4, 4))
        images.write_record(picture, {**record, **changes})
        images.save(picture, other)
        assert expected in refused(["--from", str(other), "-o", str(drawn.with_name("x.png"))], capsys)
    images.save(Image.new("RGB", (4, 4)), other)
    assert "no record" in refused(["--from", str(other)], capsys)
    assert "No such file" in refused(["--from", str(drawn.with_name("absent.png"))], capsys)
    assert "leave out seed" in refused(["--from", str(drawn), "--seed", "0"], capsys)
    assert "itself" in refused(["--from", str(drawn), "-o", str(drawn.parent)], capsys)


def test_options_reach_the_stages(tiny_checkpoint: Path, tmp_path: Path) -> None:
    common = ["a cat", "--seed", "1", "-o", str(tmp_path / "cat.png"), "--checkpoint", str(tiny_checkpoint)]
    assert main([*common, "--steps", "2,3,4", "--guidance", "2,5", "--scheduler", "ddim,unipc,dpm++"]) == 0
    settings = images.read_record(tmp_path / "cat.png")["settings"]
    assert settings["prior"] == StageSettings(2, 2.0, "ddim").__dict__ | {"guidance_interval": [0.0, 1.0]}
    assert (settings["decoder"]["num_inference_steps"], settings["decoder"]["guidance_scale"]) == (3, 5.0)
    assert (settings["upsampler"]["num_inference_steps"], settings["upsampler"]["guidance_scale"]) == (4, 1.0)
    assert [settings[stage]["scheduler"] for stage in settings] == ["ddim", "unipc", "dpm++"]
    assert main([*common, "--steps", "2", "--guidance", "1", "--dtype", "bfloat16"]) == 0
    record = images.read_record(tmp_path / "cat.png")
    assert record["dtype"] == "bfloat16"
    assert {stage["num_inference_steps"] for stage in record["settings"].values()} == {2}


def test_seeds_are_random_unless_given(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["?", "-o", str(tmp_path), "--checkpoint", str(tiny_checkpoint), "--steps", "1"]) == 0
    files = list(tmp_path.glob("picture-*.png"))
    assert len(files) == 2 and all(0 <= images.read_record(file)["seed"] <= MAX_SEED for file in files)


def test_names_of_files(tiny_checkpoint: Path, tmp_path: Path) -> None:
    common = ["--checkpoint", str(tiny_checkpoint), "--seed", "3", "--steps", "1"]
    assert main(["Кошка/../🐱", *common, "-n", "2", "-o", str(tmp_path / "new" / "my.png")]) == 0
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["my-3.png", "my-4.png"]
    assert main(["Кошка/../" + "狗" * 300, *common, "-o", str(tmp_path / "other")]) == 0
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["кошка-" + "狗" * 34 + "-3.png"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Give a prompt"),
        (["  "], "prompt is empty"),
        (["x" * 10_000], "10,000 characters"),
        (["a cat", "--seed", "-1"], "seed"),
        (["a cat", "--seed", str(MAX_SEED + 1)], "seed"),
        (["a cat", "--seed", str(MAX_SEED), "-n", "2"], "seed"),
        (["a cat", "-n", "0"], "-n must be 1 or more"),
        (["a cat", "-o", "cat.jpg"], "PNG"),
        (["a cat", "--steps", "1,2"], "--steps takes one value or 3"),
        (["a cat", "--steps", "many"], "--steps takes numbers"),
        (["a cat", "--steps", "0"], "num_inference_steps"),
        (["a cat", "--guidance", "1,2,3"], "--guidance takes one value or 2"),
        (["a cat", "--scheduler", "euler"], "scheduler must be one of"),
        (["a cat", "--device", "abacus"], "no device"),
        (["a cat", "--checkpoint", "/nowhere/at/all"], "/nowhere/at/all does not exist"),
    ],
)
def test_bad_arguments(
    arguments: list[str],
    expected: str,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--checkpoint" not in arguments:
        arguments = [*arguments, "--checkpoint", str(tiny_checkpoint)]
    assert expected in refused(arguments, capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_absent_embedded_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(families, "EMBEDDED", tmp_path / "emoji")
    assert "embedded checkpoint is not there" in refused(["a cat", "-o", str(tmp_path)], capsys)


def test_stopping_is_no_crash(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dalle2.output.Progress.advance", stop)
    assert main(["a cat", "-o", str(tmp_path), "--checkpoint", str(tiny_checkpoint)]) == 130
    assert "stopped" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_what_the_documents_say_is_understood() -> None:
    """Every command of the model's in the README and in docs/, without its pictures."""
    written = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for file in written for line in file.read_text(encoding="utf-8").splitlines()]
    asked = [shlex.split(line, comments=True)[3:] for line in lines if line.startswith("python -m dalle2 ")]
    assert len(asked) > 25 and {words[0] for words in asked} >= set(commands.TASKS)
    for words in asked:
        parser = commands.parser() if commands.is_task(words) else cli.parser()
        assert vars(parser.parse_args(words))


def test_the_record_is_plain_json(drawn: Path) -> None:
    with Image.open(drawn) as picture:
        assert json.loads(picture.text["parameters"])["prompt"] == "a cat face!"
