"""Generation: one seed a picture, resumable to the last byte, shared by processes, errors of one sentence."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import forked
import pytest
import torch
from PIL import Image

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.settings import MAX_SEED, Settings
from evaluation.cli.generation import Options
from evaluation.drawing import generation
from evaluation.drawing.generation import generate
from evaluation.drawing.ray_drawing import anywhere
from evaluation.generation import main
from evaluation.pictures.manifest import MANIFEST, ROWS, read_manifest
from evaluation.prompts.prompt_sets import read_prompts

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]
COUNT, BATCH, SEED = 10, 3, 5


@pytest.fixture(scope="module")
def prompts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prompts") / "list.jsonl"
    file.write_text("".join(json.dumps({"id": f"p{i}", "caption": f"a cat face {i}"}) + "\n" for i in range(COUNT)))
    return file


@pytest.fixture(scope="module")
def unbroken(model: UnclipModel, prompts_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one process without interruption."""
    out = tmp_path_factory.mktemp("unbroken") / "pictures"
    generate(model, read_prompts(str(prompts_file)), out, seed=SEED, batch_size=BATCH)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the manifest, which tells the command."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != MANIFEST}


def assert_same(one: Path, other: Path) -> None:
    assert read_manifest(one).difference(read_manifest(other)) == ""
    assert sorted(contents(one)) == sorted(contents(other))
    assert contents(one) == contents(other)


def arguments(prompts_file: Path, checkpoint: Path, out: Path) -> list[str]:
    run = {"prompts": prompts_file, "checkpoint": checkpoint, "out": out}
    run |= {"seed": SEED, "batch-size": BATCH, "device": "cpu"}
    return [text for name, value in run.items() for text in (f"--{name}", str(value))]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}


def refused(given: list[str], capsys: Capture) -> str:
    """The one line on stderr of a run that ends with exit code 2."""
    assert main(given) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("evaluation.generation: ")]
    assert out == "" and "Traceback" not in err
    return line


def test_the_manifest_tells_no_secret_of_the_command(
    model: UnclipModel, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "evaluation.generation", "--token", "s3cret"])
    prompts = read_prompts(str(prompts_file))
    found = generation.describe(model, prompts, tmp_path / "out", model.settings, SEED, BATCH, False)
    assert found.command == "python -m evaluation.generation --token '***'"


def test_each_picture_has_its_prompt_and_seed(unbroken: Path, model: UnclipModel) -> None:
    manifest = read_manifest(unbroken)
    assert (manifest.pictures, manifest.seed, manifest.picture_size) == (COUNT, SEED, model.picture_size)
    assert manifest.checkpoint_hash == model.checkpoint_hash
    assert Settings.from_dict(manifest.settings) == model.settings
    assert sorted(contents(unbroken)) == sorted([ROWS, *(f"{index:06d}.png" for index in range(COUNT))])
    for index, row in enumerate(manifest.rows):
        record = images.read_record(unbroken / row.file)
        assert (row.file, row.id, row.seed) == (f"{index:06d}.png", f"p{index}", SEED + index)
        assert (record["prompt"], record["seed"]) == (row.caption, row.seed) == (f"a cat face {index}", SEED + index)
    group = manifest.rows[3:6]
    drawn = model.text_to_image([row.caption for row in group], seeds=[row.seed for row in group])
    for row, picture in zip(group, drawn, strict=True):
        with Image.open(unbroken / row.file) as stored:
            assert stored.tobytes() == picture.tobytes()


def test_only_what_is_missing_is_drawn(
    unbroken: Path, model: UnclipModel, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(unbroken, tmp_path / "copy")
    for index in (4, 9):
        (out / f"{index:06d}.png").unlink()
    (out / ".000004.png.123.partial").write_bytes(b"half a pict")  # as a kill leaves it
    kept = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    drawn = []

    def watched(prompts: list[str], *others: object, **how: object) -> list[Image.Image]:
        drawn.append(prompts)
        return type(model).text_to_image(model, prompts, *others, **how)

    monkeypatch.setattr(model, "text_to_image", watched)
    prompts = read_prompts(str(prompts_file))
    for _ in range(2):
        generate(model, prompts, out, seed=SEED, batch_size=BATCH)
    # The group of three around the missing one, for alone it might be rounded otherwise; and once only.
    assert drawn == [[f"a cat face {index}" for index in (3, 4, 5)], ["a cat face 9"]]
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    assert_same(out, unbroken)


def test_what_was_not_written_to_its_end_is_drawn_again(
    unbroken: Path, model: UnclipModel, prompts_file: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(unbroken, tmp_path / "copy")
    (out / "000003.png").write_bytes(b"")
    (out / "000005.png").write_bytes((out / "000005.png").read_bytes()[:400])
    (out / "000007.png").write_bytes(bytes(len((out / "000007.png").read_bytes())))  # as a machine that lost power
    generate(model, read_prompts(str(prompts_file)), out, seed=SEED, batch_size=BATCH)
    assert_same(out, unbroken)


def test_the_same_checkpoint_and_list_at_other_places_go_on(
    unbroken: Path, prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(unbroken, tmp_path / "copy")
    (out / "000002.png").unlink()
    moved = shutil.copytree(tiny_checkpoint, tmp_path / "moved")
    renamed = shutil.copy(prompts_file, tmp_path / "renamed.jsonl")
    given = arguments(Path(renamed), moved, out)
    given[given.index(str(moved))] = f"{moved}/"
    assert main(given) == 0
    with Image.open(out / "000002.png") as again, Image.open(unbroken / "000002.png") as first:
        assert again.tobytes() == first.tobytes()  # the record beside the pixels tells where the checkpoint lay


def test_killed_and_resumed(unbroken: Path, prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    given = arguments(prompts_file, tiny_checkpoint, out)
    process = forked.Popen(
        [sys.executable, "-m", "evaluation.generation", *given],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not (out / "000001.png").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    there = {file.name: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert 2 <= len(there) < COUNT, "the run ended before it could be killed"
    assert main(given) == 0
    assert all((out / name).stat().st_mtime_ns == time for name, time in there.items())
    assert_same(out, unbroken)


def test_two_processes_draw_the_folder_of_one(
    unbroken: Path, prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "evaluation.generation", *arguments(prompts_file, tiny_checkpoint, out)]
    done = forked.run(command, cwd=ROOT, env=environment(), timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "process 1 of 2" in done.stderr and "pictures/s" in done.stderr
    assert done.stdout.count("10 pictures of list.jsonl") == 1
    assert_same(out, unbroken)


def test_whoever_goes_on_uses_as_many_threads(
    unbroken: Path, model: UnclipModel, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = shutil.copytree(unbroken, tmp_path / "copy"), []
    begun = read_manifest(out).model_copy(update={"threads": 2})
    (out / MANIFEST).write_text(begun.model_dump_json())
    (out / "000004.png").unlink()

    def watched(*given: object, **how: object) -> list[Image.Image]:
        seen.append(torch.get_num_threads())
        return type(model).text_to_image(model, *given, **how)

    monkeypatch.setattr(model, "text_to_image", watched)
    generate(model, read_prompts(str(prompts_file)), out, seed=SEED, batch_size=BATCH)
    assert seen == [2] and torch.get_num_threads() == 1


def test_memory_runs_out(
    model: UnclipModel, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    sizes, limit = [], 2

    def small(prompts: list[str], *others: object, **how: object) -> list[Image.Image]:
        sizes.append(len(prompts))
        if len(prompts) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return type(model).text_to_image(model, prompts, *others, **how)

    monkeypatch.setattr(model, "text_to_image", small)
    prompts = read_prompts(str(prompts_file))
    generate(model, prompts, tmp_path / "halved", batch_size=8)
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    assert len(list((tmp_path / "halved").glob("*.png"))) == COUNT
    assert "drawing 2 at a time" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(model, "text_to_image", small)
    limit = 0
    with pytest.raises(ValueError, match="Not even one picture"):
        generate(model, prompts, tmp_path / "none", batch_size=2)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    model: UnclipModel, prompts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **how: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model, "text_to_image", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        generate(model, read_prompts(str(prompts_file)), tmp_path / "out", batch_size=4)


def test_a_full_disk(
    unbroken: Path,
    prompts_file: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    out, save = tmp_path / "full", images.save

    def full(picture: Image.Image, path: Path) -> Path:
        if path.name == "000005.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(picture, path)

    monkeypatch.setattr(images, "save", full)
    given = arguments(prompts_file, tiny_checkpoint, out)
    assert "No space left on device" in refused(given, capsys)
    assert len(list(out.glob("*.png"))) == 5 and not list(out.glob(".*"))
    monkeypatch.undo()
    assert main(given) == 0
    assert_same(out, unbroken)


def test_stopping_is_no_crash(
    prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "_draw_missing", stop)
    assert main(arguments(prompts_file, tiny_checkpoint, tmp_path / "out")) == 130
    assert "stopped; the same command resumes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["--seed", "6"], "seed is 5 there, but 6 here"),
        (["--num", "4"], "pictures is 10 there, but 4 here"),
        (["--batch-size", "2"], "batch_size is 3 there, but 2 here"),
        (["--steps", "2"], "settings.prior.num_inference_steps is 3 there, but 2 here"),
        (["--dtype", "bfloat16"], "dtype is float32 there, but bfloat16 here"),
        (["--num", "10"], "the id of prompt 1 is 'p0' there, but 'p"),
        (["--per-prompt", "2"], "pictures is 10 there, but 20 here"),
    ],
)
def test_a_folder_that_was_drawn_otherwise_is_refused(
    change: list[str], expected: str, unbroken: Path, prompts_file: Path, tiny_checkpoint: Path, capsys: Capture
) -> None:
    before = contents(unbroken)
    line = refused([*arguments(prompts_file, tiny_checkpoint, unbroken), *change], capsys)
    assert f"was drawn otherwise: {expected}" in line and "name another folder with --out" in line
    assert contents(unbroken) == before


def test_folders_that_are_not_ours(
    prompts_file: Path, tiny_checkpoint: Path, unbroken: Path, tmp_path: Path, capsys: Capture
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    Image.new("RGB", (4, 4)).save(foreign / "a.png")
    assert "pictures without a manifest" in refused(arguments(prompts_file, tiny_checkpoint, foreign), capsys)
    assert [file.name for file in foreign.iterdir()] == ["a.png"]
    with pytest.raises(SystemExit) as stopped:
        main(arguments(prompts_file, tiny_checkpoint, foreign / "a.png"))
    assert stopped.value.code == 2 and "is a file: name a folder" in capsys.readouterr().err
    damaged = shutil.copytree(unbroken, tmp_path / "damaged")
    (damaged / MANIFEST).write_text("{}")
    assert "cannot be read" in refused(arguments(prompts_file, tiny_checkpoint, damaged), capsys)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["--prompts", "nowhere"], "no prompts at 'nowhere'"),
        (["--num", "11"], "10 captions to draw from, not 11"),
        (["--num", "0"], "--num must be 1 or more"),
        (["--batch-size", "0"], "--batch-size must be 1 or more"),
        (["--per-prompt", "0"], "at least once"),
        (["--seed", "-1"], "A seed must be"),
        (["--seed", str(MAX_SEED - 5)], "start with a smaller --seed"),
        (["--steps", "many"], "--steps takes numbers"),
        (["--guidance", "1,2,3"], "--guidance takes one value or 2"),
        (["--checkpoint", "/nowhere/at/all"], "/nowhere/at/all does not exist"),
        (["--device", "abacus"], "no device"),
        (["--protocol", "coco30k-256"], "10 captions to draw from, not 30,000"),
    ],
)
def test_bad_arguments(
    change: list[str], expected: str, prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    assert expected in refused([*arguments(prompts_file, tiny_checkpoint, out), *change], capsys)
    assert not out.exists()


def test_a_prompt_that_cannot_be_drawn_is_named_before_any_is(
    model: UnclipModel, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(json.dumps({"id": "long", "caption": "x" * 2000}))
    with pytest.raises(ValueError, match=r"The prompt 'long' of list\.jsonl cannot be drawn.* 2,000 characters"):
        generate(model, read_prompts(str(file)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_and_several_pictures_a_prompt(
    prompts_file: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = [*arguments(prompts_file, tiny_checkpoint, tmp_path / "out"), "--num", "2", "--per-prompt", "2"]
    assert main([*given, "--steps", "1,2,1", "--guidance", "4,8"]) == 0
    assert "4 pictures of list.jsonl, 32 pixels a side, guidance scale prior 4, decoder 8" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "out")
    assert manifest.settings["decoder"]["num_inference_steps"] == 2
    assert manifest.sampling["pictures_per_prompt"] == 2
    assert [row.seed for row in manifest.rows] == [5, 6, 7, 8]
    assert manifest.rows[0].id == manifest.rows[1].id != manifest.rows[2].id == manifest.rows[3].id
    one, two = ((tmp_path / "out" / name).read_bytes() for name in ("000000.png", "000001.png"))
    assert one != two


def test_references_are_found_from_anywhere(
    model: UnclipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "real.png")
    (tmp_path / "list.csv").write_text("caption,reference\na cat,real.png\n")
    monkeypatch.chdir(tmp_path)
    generate(model, read_prompts("list.csv"), Path("out"))
    assert [row.reference_path for row in read_manifest(tmp_path / "out").rows] == [tmp_path.resolve() / "real.png"]


def test_the_map_names_each_prompts_picture(tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    """A list as GenEval 2 publishes it, and the {prompt: path} that its evaluator takes."""
    rows = [
        {"prompt": f"{count} cats", "atom_count": 1, "vqa_list": [], "skills": ["count"]} for count in ("two", "three")
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = arguments(tmp_path / "prompts.jsonl", tiny_checkpoint, tmp_path / "out")
    assert main([*given, "--draft", "--map", str(tmp_path / "map.json")]) == 0
    found = json.loads((tmp_path / "map.json").read_text())
    assert list(found) == ["two cats", "three cats"]
    assert found["three cats"] == str(tmp_path / "out" / "000001.png") and Path(found["three cats"]).is_file()
    assert main([*given, "--draft", "--map", str(tmp_path / "map.json")]) == 0  # its own map is replaced
    capsys.readouterr()
    (tmp_path / "notes.json").write_text("[1, 2]")
    with pytest.raises(SystemExit):
        main([*given, "--map", str(tmp_path / "notes.json")])
    assert "not a map of ours" in capsys.readouterr().err
    twice = [*given[:-2], "--per-prompt", "2", "--map", str(tmp_path / "map.json")]
    assert main(twice) == 2 and "one picture for each prompt" in capsys.readouterr().err


def test_a_cluster_s_workers_find_every_file_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("prior", "decoder"):
        Path(name).mkdir()
    Path("cat.safetensors").touch()

    def sent(checkpoint: str | None, *loras: str) -> tuple[str | None, list[str]]:
        options = anywhere(Options("emoji", Path("out"), checkpoint=checkpoint, loras=loras))
        return options.checkpoint, [*options.loras]

    here = Path.cwd()
    assert sent("prior+decoder") == (f"{here}/prior+{here}/decoder", [])
    assert sent("org/prior@main+decoder")[0] == f"org/prior@main+{here}/decoder"
    assert sent("decoder")[0] == f"{here}/decoder"
    assert [sent("emoji")[0], sent(None)[0]] == ["emoji", None]
    files = sent(None, "cat.safetensors", "cat.safetensors=0.5")[1]
    assert files == [f"{here}/cat.safetensors=1.0", f"{here}/cat.safetensors=0.5"]
