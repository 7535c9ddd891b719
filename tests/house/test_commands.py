"""Commands of the ruler: options are refused before work, reports stand before print, and printing never fails."""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from PIL import Image

from evaluation import clip_score, collect, compare, fid, prior, scorecard, ssim_psnr, text_diff
from evaluation.cli import command, outputs
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

ROOT = Path(__file__).parents[2]
# Where the work begins.
WORK = (
    *("measuring.fid.extract", "metrics.clip_score.extract", "comparing.measuring.extract"),
    *("comparing.measuring.open_contestants", "measuring.ssim_psnr.measure", "measuring.prior.measure"),
)
Capture = pytest.CaptureFixture[str]
FOUND = Report(
    "Café · “a” …", (Measure("fid", "FID", 1.5, 10, "lower", (1.0, 2.0)),), {"images": "caf\udce9"}, ("Mind é.",)
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"a cat {index}")
    return folder


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be measured or drawn."""

    def work(*_: object, **__: object) -> None:
        pytest.fail("it was told too late")

    for place in WORK:
        monkeypatch.setattr(f"evaluation.{place}", work)


def refused(main: object, given: list[object], capsys: Capture) -> str:
    """The sentence of a command that ends with 2."""
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in given])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err.splitlines()[-1]


def commands(pictures: Path, clip: Path, out: Path) -> dict[str, tuple[object, list[object]]]:
    """Each command as it would work."""
    judge = f"clip:{clip}"
    return {
        "fid": (fid.main, ["--images", pictures, "--reference", pictures, "--network", judge]),
        "clip_score": (clip_score.main, ["--images", pictures, "--prompts", pictures, "--clip", clip]),
        "ssim_psnr": (ssim_psnr.main, ["--images", pictures, "--reference", pictures]),
        "prior": (prior.main, ["--prompts", pictures, "--checkpoint", clip]),
        "compare": (
            compare.main,
            ["emoji", "emoji --draft", "--prompts", pictures, "--out", out, "--clip", clip, "--network", judge],
        ),
        "collect": (collect.main, [pictures, "--title", "All"]),
        "scorecard": (scorecard.main, ["--data", pictures, "--out", out]),
        "text_diff": (text_diff.main, ["--data", pictures, "--out", out]),
    }


REPORTING = ("fid", "clip_score", "ssim_psnr", "prior", "compare", "collect")


@pytest.mark.parametrize("name", REPORTING)
def test_a_report_that_cannot_be_written_is_told_first(
    name: str, pictures: Path, tiny_checkpoint: Path, tmp_path: Path, no_work: None, capsys: Capture
) -> None:
    main, given = commands(pictures, tiny_checkpoint, tmp_path / "out")[name]
    (tmp_path / "mine.json").write_text('{"a": 1}')
    (tmp_path / "file").write_text("")
    cases = {
        tmp_path / "r.xlsx": "give 'r.xlsx' one of these endings",
        tmp_path / "file" / "r.json": "file is a file, so there can be nothing in it",
        pictures: "one of these endings",
        tmp_path / "mine.json": "is there already and is not a report of ours",
    }
    for path, said in cases.items():
        assert said in refused(main, [*given, "--report", path], capsys)
    assert (tmp_path / "mine.json").read_text() == '{"a": 1}'


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told_first(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="permissions"):
        outputs.report_file(str(tmp_path / "new" / "r.json"))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("fid", ["--reference", "NOPE"], "neither a folder nor a file NOPE"),
        ("fid", ["--reference", "NOPE.npz"], "NOPE.npz"),
        ("fid", ["--save-stats", "stats.npy"], "let 'stats.npy' end so"),
        ("fid", ["--save-stats", f"{__file__}/stats.npz"], "is a file, so there can be nothing in it"),
        ("fid", ["--seed", "-1"], "it must be 0 or more, not -1"),
        ("fid", ["--groups", "1"], "two --groups or more"),
        ("fid", ["--batch-size", "0"], "it must be 1 or more"),
        ("fid", ["--workers", "-2"], "it must be 0 or more"),
        ("fid", ["--device", "abacus"], "There is no device 'abacus' here"),
        ("fid", ["--network", "clip:NOPE"], "There is no CLIP at NOPE"),
        ("clip_score", ["--clip", "NOPE"], "There is no CLIP at NOPE"),
        ("clip_score", ["--seed", "-1"], "it must be 0 or more, not -1"),
        ("clip_score", ["--batch-size", "many"], "a whole number is needed, not 'many'"),
        ("ssim_psnr", ["--reference", "NOPE"], "There is no folder NOPE"),
        ("ssim_psnr", ["--size", "0"], "it must be 1 or more"),
        ("ssim_psnr", ["--lpips-weights", "NOPE"], "There are no LPIPS weights at NOPE"),
        ("prior", ["--seed", "-1"], "it must be 0 or more, not -1"),
        ("prior", ["--batch-size", "0"], "it must be 1 or more"),
        ("prior", ["--prior", "linear"], "has no linear prior"),
        ("prior", ["--checkpoint", "/nowhere/at/all"], "/nowhere/at/all does not exist"),
        ("compare", ["--reference", "NOPE"], "There is no folder NOPE"),
        ("compare", ["--clip", "NOPE"], "There is no CLIP at NOPE"),
        ("compare", ["--network", "clip:NOPE"], "There is no CLIP at NOPE"),
        ("compare", ["--seed", "-1"], "it must be 0 or more, not -1"),
        ("compare", ["--votes", "NOPE"], "NOPE"),
        ("compare", ["--guidance-sweep", "2", "much"], "not as 'much'"),
        ("fid", ["--report", "x" * 300 + "/" + "y" * 300 + ".json"], "File name too long"),
        ("compare", ["--out", __file__], "is a file: name a folder"),
        ("scorecard", ["--out", __file__], "is a file: name a folder"),
        ("text_diff", ["--out", __file__], "is a file: name a folder"),
        ("collect", ["NOPE.json", "--report", "r.html"], "NOPE.json"),
    ],
)
@pytest.mark.usefixtures("no_work")
def test_what_is_not_there_is_told_before_work(
    name: str, change: list[str], said: str, pictures: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    with contextlib.chdir(tmp_path):
        main, given = commands(pictures, tiny_checkpoint, tmp_path / "out")[name]
        sentence = refused(main, [*given, *change], capsys)
    assert said in sentence and "cannot be measured" not in sentence
    assert not list(tmp_path.iterdir())


def test_no_command_writes_over_what_it_reads(pictures: Path, tmp_path: Path, no_work: None, capsys: Capture) -> None:
    table = tmp_path / "list.csv"
    table.write_text("name,value,caption\n0,1,a cat\n")  # it begins as a report of ours
    given = ["--images", pictures, "--prompts", f"{table}#id=name", "--report", table]
    assert "is what this command reads" in refused(clip_score.main, given, capsys)
    part = report.write(FOUND, tmp_path / "fid.json")
    before = part.read_bytes()
    assert "is what this command reads" in refused(collect.main, [part, "--title", "x", "--report", part], capsys)
    assert part.read_bytes() == before


def test_a_foreign_npz_is_not_replaced(pictures: Path, tmp_path: Path, no_work: None, capsys: Capture) -> None:
    np.savez(tmp_path / "stats.npz", mu=np.zeros(2), sigma=np.eye(2))  # as pytorch-fid writes them
    given = ["--images", pictures, "--save-stats", tmp_path / "stats.npz"]
    assert "is not statistics of ours" in refused(fid.main, given, capsys)


@pytest.mark.parametrize("suffix", outputs.REPORTS)
def test_names_that_are_no_unicode_stand_in_every_format(suffix: str, tmp_path: Path) -> None:
    file = report.write(FOUND, tmp_path / f"r{suffix}")
    assert "caf\\udce9" in file.read_text(encoding="utf-8")
    if suffix == ".json":
        assert json.loads(file.read_text())["provenance"]["images"] == "caf\udce9"
    assert outputs.report_file(str(file)) == file  # and may be replaced by the next


class Terminal(io.StringIO):
    """A terminal of another encoding, as far as `terminal.tell` asks."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.name, self.bytes = encoding, b""

    @property
    def encoding(self) -> str:
        return self.name

    def write(self, text: str) -> int:
        self.bytes += text.encode(self.name)  # strict, as stdout is
        return len(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_printing_survives_every_encoding(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    report.deliver(FOUND, [tmp_path / "r.json"])
    assert b"1.5" in terminal.bytes and b"FID" in terminal.bytes
    assert ("é" if encoding != "ascii" else "\\xe9").encode(encoding) in terminal.bytes
    assert (tmp_path / "r.json").is_file()


def test_a_closed_pipe_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    report.deliver(FOUND, [tmp_path / "r.json"])
    assert "1.5" in capsys.readouterr().err and (tmp_path / "r.json").is_file()


def test_a_report_that_fails_loses_no_number(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        report.deliver(FOUND, [tmp_path / "file" / "r.json", tmp_path / "r.csv"])
    assert "1.5" in capsys.readouterr().out and (tmp_path / "r.csv").is_file()


def test_stopping_is_a_sentence_everywhere(
    pictures: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    more = ("measuring.collection.read_part", "emoji.scorecard.read_emoji_set", "emoji.text_diff.read_emoji_set")
    for place in (*WORK, *more):
        monkeypatch.setattr(f"evaluation.{place}", stop)
    for name, (main, given) in commands(pictures, tiny_checkpoint, tmp_path / "out").items():
        more = ["--report", tmp_path / "r.html"] if name == "collect" else []
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in [*given, *more]])
        assert stopped.value.code == 130, name
        assert f"python -m evaluation.{name}: stopped" in capsys.readouterr().err


def test_as_a_command_with_a_name_of_other_bytes(pictures: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.symlink_to(pictures)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes Unicode names only")
    given = ["--images", folder, "--reference", folder, "--network", f"clip:{tiny_checkpoint}", "--workers", 0]
    given += ["--device", "cpu", "--report", tmp_path / "r.json", "--report", tmp_path / "r.html"]
    done = subprocess.run(
        [sys.executable, "-m", "evaluation.fid", *map(str, given)],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CLIP-FID" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["provenance"]["images"].endswith("caf\udce9")


@pytest.fixture
def misfit(tmp_path: Path) -> Path:
    """A torchvision that is made for another torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")\n'
    )
    (tmp_path / "torchvision-0.1.dist-info").mkdir()
    (tmp_path / "torchvision-0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "entry",
    [
        ["-m", "evaluation.clip_score", "--images", "x"],
        ["-m", "dalle2", "a cat", "--engine", "torch"],
        ["-m", "dalle2.training", "dalle2/training/recipes/emoji-cpu.toml", "--out", "y", "--dry-run"],
        ["app.py"],
    ],
)
def test_a_torchvision_that_does_not_fit_gets_a_sentence(entry: list[str], misfit: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(misfit)}
    done = subprocess.run(
        [sys.executable, *entry], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: torchvision 0.1 does not fit torch ") and "pip uninstall torchvision" in last
    assert "Traceback" not in done.stderr


def test_no_output_of_any_command_may_be_what_one_of_its_options_names(tmp_path: Path) -> None:
    file, tried = tmp_path / "file.json", 0
    file.write_text("{}")
    for name in (path.stem for path in (ROOT / "evaluation" / "cli").glob("*.py")):
        options = getattr(importlib.import_module(f"evaluation.cli.{name}"), "Options", None)
        if name in ("__init__", "command") or options is None:
            continue
        fields = {field.name: field for field in dataclasses.fields(options)}
        needed = {name: "absent" for name, field in fields.items() if field.default is dataclasses.MISSING}
        kinds = {name: {*get_args(field.type), field.type} for name, field in fields.items()}
        literal = {name for name, found in kinds.items() if any(get_origin(kind) is Literal for kind in found)}
        read = [name for name in fields if kinds[name] & {str, Path} and name not in (*command.WRITTEN, *literal)]
        for written in set(command.WRITTEN) & set(fields):
            for given in read:
                with pytest.raises(ValueError, match="is what this command reads"):
                    options(**{**needed, given: f"coco:{file}" if str in kinds[given] else file, written: file})
                tried += 1
    assert tried > 60
