"""`python -m dalle2`: pictures with their record, drawn again to the last bit, nothing overwritten, errors told."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tqdm import tqdm

from dalle2 import families, formats, images, reports, serve
from dalle2.__main__ import main
from dalle2.cli import parsers
from dalle2.cli.output import Destination, Progress
from dalle2.families import load
from dalle2.settings import MAX_SEED, Step
from dalle2.stage_settings import PriorSettings, UpsamplerSettings

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Capture) -> str:
    """The last line on stderr of a run that ends with exit code 1 and no file name on stdout."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    *beginning, line = err.splitlines()
    assert out == "" and line.startswith("dalle2: ")
    assert len(beginning) <= 1 and all(text.startswith(("Opening ", "Reading ", "Of ")) for text in beginning)
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
        assert picture.tobytes() == model.text_to_image(["a cat face!"], seeds=[8])[0].tobytes()


def test_as_a_command(tiny_checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dalle2", "一只猫", "--seed", "0", "-o", tmp_path / "cat.png"]
    command += ["--checkpoint", tiny_checkpoint, "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"{tmp_path / 'cat.png'}\n"
    assert done.stderr.startswith(f'Opening {tiny_checkpoint} to draw "一只猫" …\n')
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
        ({"strip": 3}, "is a strip of several"),
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
    assert "There is no picture" in refused(["--from", str(drawn.with_name("absent.png"))], capsys)
    assert "leave out --seed," in refused(["--from", str(drawn), "--seed", "0"], capsys)
    assert "exists already" in refused(["--from", str(drawn), "-o", str(drawn)], capsys)


def test_a_strip_is_not_drawn_again_as_its_first_picture(drawn: Path, capsys: Capture) -> None:
    file = drawn.with_name("strip.png")
    images.save(images.strip([images.open_with_record(drawn)] * 2), file)
    assert images.read_record(file) == images.read_record(drawn) | {"strip": 2}
    assert "is a strip of several" in refused(["--from", str(file), "-o", str(drawn.with_name("x.png"))], capsys)


def test_a_transparent_picture_is_drawn_again_transparent(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with images.open_with_record(drawn) as opaque:
        cut = opaque.convert("RGBA")
    cut.info |= opaque.info
    images.save(cut, tmp_path / "cut.png")
    # A tiny random checkpoint draws no even background, which is what `transparent` looks for.
    monkeypatch.setattr(formats, "transparent", lambda picture: picture.convert("RGBA"))
    for given, mode in (([], "RGBA"), (["--format", "png"], "RGB")):
        file = tmp_path / f"{mode}.png"
        assert main(["--from", str(tmp_path / "cut.png"), "-o", str(file), *given]) == 0
        with Image.open(file) as picture:
            assert picture.mode == mode


def test_options_reach_the_stages(tiny_checkpoint: Path, tmp_path: Path) -> None:
    common = ["a cat", "--seed", "1", "-o", str(tmp_path / "cat.png"), "--checkpoint", str(tiny_checkpoint)]
    assert main([*common, "--steps", "2,3,4", "--guidance", "2,5", "--scheduler", "ddim,unipc,dpm++"]) == 0
    settings = images.read_record(tmp_path / "cat.png")["settings"]
    assert settings["prior"] == PriorSettings(2, 2.0, scheduler="ddim").to_dict()
    assert (settings["decoder"]["num_inference_steps"], settings["decoder"]["guidance_scale"]) == (3, 5.0)
    assert settings["upsampler"] == UpsamplerSettings(4, scheduler="dpm++").to_dict()
    assert [settings[stage]["scheduler"] for stage in settings] == ["ddim", "unipc", "dpm++"]
    assert main([*common, "--steps", "2", "--guidance", "1", "--dtype", "bfloat16", "--overwrite"]) == 0
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
        (["a cat", "-n", "100000000", "-o", "huge/"], "-n must be 1 or more, and at most 10,000, not 100,000,000."),
        (["a cat", "--checkpoint", ""], "--checkpoint is empty: give it a value, or leave it out."),
        (["a cat", "-o", ""], "--out is empty"),
        (["a cat", "--device", "mps"], "no device mps that PyTorch can use"),
        (["a cat", "--device", "meta"], "no device meta that PyTorch can use"),
        (["a cat", "-n", "2.5"], "-n takes a whole number, not '2.5'"),
        (["a cat", "--stepz", "4"], "There is no option --stepz: did you mean --steps?"),
        (["a cat", "--prior", "best"], "invalid choice: 'best'"),
        (["variatons", "cat.png"], "There is no task variatons: did you mean variations?"),
        (["a cat", "-o", "cat.png/a/cat.png"], "cat.png is not a folder"),
        (["a cat", "-o", "c" * 250 + ".png"], "too long for a file"),
        (
            ["a cat", "-o", "w/cat.jpg"],
            "PNG or SVG, but 'cat.jpg' ends in .jpg: name it 'cat.png', or name a folder: 'cat.jpg/'.",
        ),
        (["a cat", "-o", "cat.xyz"], "PNG or SVG, but 'cat.xyz' ends in .xyz: name it 'cat.png', or name a folder"),
        (
            ["interpolate", "a cat", "a dog", "-o", "way.webm"],
            "PNG or SVG and films as GIF or MP4, but 'way.webm' ends",
        ),
        (["a cat", "-o", "way.gif"], "PNG or SVG, but 'way.gif' ends in .gif"),
        (["a cat", "--steps", "1,2"], "--steps takes one value or 3"),
        (["a cat", "--steps", "many"], "--steps takes numbers"),
        (["a cat", "--draft", "--steps", "3"], "--draft and --steps both say how many steps are taken"),
        (["a cat", "--quality", "best", "--draft"], "--draft and --quality both say how many steps are taken"),
        (["--from", "x.png", "--quality", "best"], "leave out --quality"),
        (["a cat", "--size", "0"], "--size must be 1 or more pixels, not 0."),
        (["mix", "cat.png=half"], "The weight in 'cat.png=half' is not a number."),
        (["a cat", "--steps", "0"], "--steps must be a whole number from 1 to 1000, not 0."),
        (["a cat", "--guidance", "4,101"], "--guidance must be a number from 0 to 100, not 101.0."),
        (["caption"], "The task caption needs PICTURE; to draw the word itself, write a longer prompt"),
        (["steps", "--strip"], "The task steps needs PROMPT; to draw the word itself"),
        (["diff", "cat.png"], "The task diff needs --to ("),
        (["a cat", "--guidance", "1,2,3"], "--guidance takes one value or 2"),
        (["a cat", "--scheduler", "euler"], "--scheduler must be one of"),
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
    (tmp_path / "cat.png").write_bytes(b"mine")
    assert expected in refused(arguments, capsys)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"mine"]


def test_an_absent_embedded_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(families, "EMBEDDED", tmp_path / "emoji")
    assert "embedded checkpoint is not there" in refused(["a cat", "-o", str(tmp_path)], capsys)


def test_stopping_is_no_crash(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dalle2.cli.output.Progress.advance", stop)
    assert main(["a cat", "-o", str(tmp_path), "--checkpoint", str(tiny_checkpoint)]) == 130
    assert "stopped" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_what_the_documents_say_is_understood() -> None:
    """Every command of the model's in the README and in docs/, without its pictures."""
    written = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for file in written for line in file.read_text(encoding="utf-8").splitlines()]
    asked = [shlex.split(line, comments=True)[3:] for line in lines if line.startswith("python -m dalle2 ")]
    assert len(asked) > 25 and {words[0] for words in asked} >= set(parsers.TASKS)
    for words in asked:
        if made := {"serve": serve.parser, "new-key": serve.key_parser, "reports": reports.parser}.get(words[0]):
            options = made()
            assert vars(options.parse_args(words[1:]))
            continue
        task = parsers.task_of(words)
        assert vars(parsers.parser(task).parse_intermixed_args(words[1:] if task else words))


def test_the_record_is_plain_json(drawn: Path) -> None:
    with Image.open(drawn) as picture:
        assert json.loads(picture.text["parameters"])["prompt"] == "a cat face!"


# What takes seconds to import, or would: nobody who asks for help waits for it.
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "gradio", "numpy", "av", "huggingface_hub", "safetensors")


@pytest.mark.parametrize(
    "words", ["--help", "variations --help", "caption --help", "a cat --stepz 4", "variations no.png"]
)
def test_help_and_refusals_wait_for_no_library(words: str) -> None:
    code = f"""
import sys
from dalle2.__main__ import main
try:
    code = main({words.split()!r})
except SystemExit as end:
    code = end.code
print([name for name in {HEAVY!r} if name in sys.modules], code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == f"[] {0 if '--help' in words else 1}"
    assert "current folder" in done.stdout or "caption" in words or done.stderr.startswith("dalle2: ")


def test_words_without_quotes_are_one_prompt(tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["--seed", "1", "--steps", "1", "--checkpoint", str(tiny_checkpoint)]
    assert main(["a", "cat", "-o", str(tmp_path), "face", *common]) == 0
    assert capsys.readouterr().err.startswith(f'Opening {tiny_checkpoint} to draw "a cat face" …')
    assert images.read_record(tmp_path / "a-cat-face-1.png")["prompt"] == "a cat face"
    assert main(["steps", "a", "cat", "-o", str(tmp_path / "steps"), *common]) == 0
    assert images.read_record(tmp_path / "steps" / "steps-0.png")["prompt"] == "a cat"


def test_a_task_may_follow_its_options_and_a_picture_alone_is_no_prompt(drawn: Path, capsys: Capture) -> None:
    assert parsers.task_of(["variations", "-n", "2", str(drawn)]) == "variations"
    assert parsers.task_of(["variations", "--eta", "0.5", str(drawn)]) == "variations"
    assert parsers.task_of(["variations", "-n", "2"]) == "variations"
    assert f"as in variations {drawn}" in refused([str(drawn)], capsys)


def test_two_prompts_alike_in_their_first_letters_keep_both_pictures(tiny_checkpoint: Path, tmp_path: Path) -> None:
    prompts = [f"a very large and friendly looking cat that is {colour}" for colour in ("red", "blue")]
    for prompt in prompts:
        common = ["--seed", "1", "--steps", "1", "--checkpoint", str(tiny_checkpoint)]
        assert main([prompt, "-n", "2", "-o", str(tmp_path), *common]) == 0
    files = sorted(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert [images.read_record(file)["prompt"] for file in files] == [prompts[0]] * 2 + [prompts[1]] * 2
    assert [file.stem[-5:] for file in files] == ["-th-1", "-th-2", "h-1-2", "h-2-2"]


def test_a_named_file_is_replaced_only_when_asked(tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["--steps", "1", "--seed", "3", "--checkpoint", str(tiny_checkpoint)]
    for name in ("cat.png", "way.gif", "set-4.png", "row-7.png", "strip.png"):
        (tmp_path / name).write_bytes(b"mine")
    commands = {
        "cat.png": ["a cat"],
        "set.png": ["a cat", "-n", "2"],
        "way.gif": ["interpolate", "a cat", "a dog"],
        "row.png": ["interpolate", "a cat", "a dog", "--frames", "3"],
        "strip.png": ["steps", "a cat", "--strip"],
    }
    for out, command in commands.items():
        place = ["-o", str(tmp_path / out)]
        assert "exists already: name another file, or replace it with --overwrite" in refused(
            [*command, *place, *common], capsys
        )
        assert not capsys.readouterr().err  # refused before anything was opened
    assert {file.read_bytes() for file in tmp_path.iterdir()} == {b"mine"}
    for out, command in commands.items():
        assert main([*command, "-o", str(tmp_path / out), "--overwrite", *common]) == 0
    kept = {file.name for file in tmp_path.iterdir() if file.read_bytes() == b"mine"}
    assert kept == {"row-7.png"}  # which is none of the three frames


def test_a_name_that_another_process_takes_meanwhile_is_left_to_it(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    save = Image.Image.save

    def raced(picture: Image.Image, *given: object, **named: object) -> None:
        """Another process writes its own picture of the name while ours is encoded."""
        for name in ("a-cat-1.png", "named.png"):
            if not (tmp_path / name).exists():
                (tmp_path / name).write_bytes(b"theirs")
        save(picture, *given, **named)

    monkeypatch.setattr(Image.Image, "save", raced)
    common = ["a cat", "--seed", "1", "--steps", "1", "--checkpoint", str(tiny_checkpoint)]
    for out, ours in ((tmp_path, "a-cat-1-2.png"), (tmp_path / "named.png", "named-2.png")):
        (tmp_path / "named.png").unlink(missing_ok=True)
        assert main([*common, "-o", str(out)]) == 0
        assert capsys.readouterr().out == f"{tmp_path / ours}\n"  # and where it went is said
        assert images.read_record(tmp_path / ours)["seed"] == 1
    assert {(tmp_path / name).read_bytes() for name in ("a-cat-1.png", "named.png")} == {b"theirs"}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_prompt_of_emoji_alone_names_its_file_by_what_it_means(tmp_path: Path) -> None:
    destination = Destination(str(tmp_path))
    assert destination.names("🐱", [1], "cat face") == [tmp_path / "cat-face-1.png"]
    assert destination.names("🐱 two", [1], "cat face") == [tmp_path / "two-1.png"]
    assert main(["❤️", "--seed", "1", "--draft", "-o", str(tmp_path)]) == 0
    assert main(["--from", str(tmp_path / "red-heart-1.png"), "-o", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["red-heart-1-2.png", "red-heart-1.png"]


def test_vowel_signs_and_tone_marks_stay_in_the_name_of_a_file(tmp_path: Path) -> None:
    destination = Destination(str(tmp_path))
    assert destination.names("บ้าน / बड़ी बिल्ली", [1]) == [tmp_path / "บ้าน-बड़ी-बिल्ली-1.png"]


def test_a_name_that_begins_as_an_option_does_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-cat.png").write_bytes(b"mine")
    assert "write ./-cat.png." in refused(["variations", "-cat.png"], capsys)


def test_an_opaque_picture_is_not_its_own_mask(tmp_path: Path, capsys: Capture) -> None:
    Image.new("RGB", (8, 8), "white").save(tmp_path / "cat.png")
    assert "cat.png is transparent nowhere" in refused(["inpaint", str(tmp_path / "cat.png")], capsys)


def test_what_of_a_picture_is_not_used_is_told(tmp_path: Path, capsys: Capture) -> None:
    wide, moving, square = (tmp_path / name for name in ("wide.png", "moving.gif", "square.png"))
    Image.new("RGB", (30, 20)).save(wide)
    frames = [Image.new("L", (8, 8), level) for level in (0, 255)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    frames[0].save(square)
    options = parsers.parse(["mix", f"{wide}=0.5", str(moving), str(square), "-o", str(tmp_path)])
    assert len(parsers.TASKS["mix"].request(options).parts) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"Of {wide} (30 × 20 pixels) only the middle square is used.",
        f"Of the 2 frames of {moving} only the first is used.",
    ]


def test_enlarging_is_in_the_bar_from_its_beginning(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, update = [], tqdm.update

    def updated(bar: tqdm, *given: int) -> None:
        update(bar, *given)
        told.append((bar.n, bar.total))

    monkeypatch.setattr(tqdm, "update", updated)
    common = ["a cat", "-n", "2", "--steps", "1", "--size", "512", "-o", str(tmp_path)]
    assert main([*common, "--checkpoint", str(tiny_checkpoint)]) == 0
    (total,) = {total for _, total in told}
    assert total > 6 and [done for done, _ in told] == list(range(1, total + 1))


def test_a_long_prompt_is_not_repeated_whole(tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["--steps", "1", "-o", str(tmp_path), "--checkpoint", str(tiny_checkpoint)]
    assert main(["a very " * 140 + "\n red cat", *common]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Opening")]
    assert line.endswith(' a ve…" …') and len(line) < 100 + len(str(tiny_checkpoint))


def test_a_new_folder_may_have_dots(tiny_checkpoint: Path, tmp_path: Path) -> None:
    common = ["a cat", "--seed", "3", "--steps", "1", "--checkpoint", str(tiny_checkpoint)]
    (tmp_path / "old.set").mkdir()
    for folder in ("runs/2024.05.01/", "runs/2024.05.02", "v1.png/", "old.set", "cats.v2", "cats.drawings"):
        assert main([*common, "-o", str(tmp_path) + "/" + folder]) == 0
        assert (tmp_path / folder / "a-cat-3.png").is_file()


def test_what_was_drawn_before_a_stop_is_told(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    save, saved = images.save, []

    def once(picture: Image.Image, file: Path, overwrite: bool) -> Path:
        if saved:
            raise KeyboardInterrupt
        saved.append(file)
        return save(picture, file, overwrite)

    monkeypatch.setattr(images, "save", once)
    common = ["--steps", "1", "-o", str(tmp_path), "--checkpoint", str(tiny_checkpoint)]
    assert main(["a cat", "-n", "3", *common]) == 130
    out, err = capsys.readouterr()
    assert out == f"{saved[0]}\n" and "stopped" in err


def test_nobody_reading_the_names_is_no_crash(tiny_checkpoint: Path, tmp_path: Path) -> None:
    command = (
        f"{shlex.quote(sys.executable)} -m dalle2 'a cat' --steps 1 --checkpoint {tiny_checkpoint} -o {tmp_path} | true"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert len(list(tmp_path.glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("planned", "told"),
    [
        ({"prior": 4, "decoder": 5}, [("prior", 4), ("decoder", 5)] * 2),
        ({"prior": 25, "decoder": 5}, [("prior", 1), ("decoder", 5)] * 2),  # a prior with its own number of steps
        ({"decoder": 5}, [("decoder", 5)] * 4),  # more pictures than are decoded at once
        ({"decoder": 5}, [("decoder", 5), ("decoder", 5), ("upsampler", 2), ("upsampler", 2)]),  # and enlarged
    ],
)
def test_a_bar_ends_where_its_steps_do(planned: dict[str, int], told: list[tuple[str, int]]) -> None:
    with Progress(planned, 2) as progress:
        if told[-1][0] == "upsampler":
            progress.expect(4)
        for stage, total in told:
            for index in range(1, total + 1):
                progress.advance(Step(stage, index, total))
        assert progress._bar.n == progress._bar.total == sum(total for _, total in told)


def test_the_largest_first_seed_of_several_pictures_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(["a cat", "--seed", str(MAX_SEED), "-n", "2"], capsys)
    assert f"let --seed be at most {MAX_SEED - 1}" in said and str(MAX_SEED + 1) not in said
