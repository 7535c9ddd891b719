"""What may stand behind `python -m dalle2.finetune`; nothing heavy is imported, and what can be checked is."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from dalle2 import atomic
from dalle2.cli.arguments import SOURCE

LONGEST = 40  # characters of a name
NAME = re.compile(r"\w[\w' -]*")
STEPS = (300, 200, 200)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options; SystemExit after --help, and with 2 for an option that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m dalle2.finetune",
        description="Teach a checkpoint a new style or concept by some 20 to 200 pictures; writes a LoRA file.",
        epilog='Draw with it: python -m dalle2 "a cat, my style" --lora my-style.safetensors',
    )
    captions = "pictures, with captions as NAME.txt beside NAME.png, in metadata.jsonl or metadata.csv, or without"
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=captions)
    parser.add_argument("--name", required=True, help='what prompts call it, such as "my style"')
    concept = "the name is that of a thing, which all pictures show; default: of a style, in which they are drawn"
    parser.add_argument("--concept", dest="kind", action="store_const", const="concept", default="style", help=concept)
    parser.add_argument("--checkpoint", default="emoji", help=SOURCE)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.safetensors in the current folder")
    parser.add_argument("--minutes", type=float, help="have the file after so many minutes, whatever --steps says")
    steps = f"of word, prior and decoder; default {','.join(map(str, STEPS))}"
    parser.add_argument("--steps", type=_steps, default=STEPS, metavar="N,N,N", help=steps)
    parser.add_argument("--rank", type=int, default=16, help="of the changes; default %(default)s")
    own = "pictures that the checkpoint draws first, so as not to forget them; default %(default)s"
    parser.add_argument("--own", type=int, default=120, metavar="N", help=own)
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    missing = "image-to-text model for pictures without a caption, folder or hub id; default: the checkpoint itself"
    parser.add_argument("--captioner", metavar="FOLDER_OR_ID", help=missing)
    parser.add_argument("--licence", metavar="TEXT", help="of the pictures and who made them, to be kept in the file")
    parser.add_argument("--allow-pickle", action="store_true", help="read a checkpoint's pickled weights too")
    parser.add_argument("--resume", action="store_true", help="continue what was stopped, from its last snapshot")
    options = parser.parse_args(arguments)
    options.name = " ".join(options.name.split())
    options.out = options.out or Path(f"{_slug(options.name)}.safetensors")
    return options


def check(options: argparse.Namespace) -> None:
    """ValueError for what would only fail after long work."""
    if _is_one_of_several():
        raise ValueError(
            "Teaching takes minutes in one process, and several would write the same file: start it as "
            "python -m dalle2.finetune, without accelerate launch or torchrun."
        )
    name, out = options.name, options.out
    if not NAME.fullmatch(name) or len(name) > LONGEST or name.isdecimal():
        raise ValueError(f"A name is a few words of letters, at most {LONGEST} characters, not {name!r}.")
    if out.suffix != ".safetensors":
        raise ValueError(f"The file's name must end in .safetensors, not as {out.name!r}.")
    if out.exists():
        raise ValueError(f"{out} exists already: choose another name with --out, or remove it first.")
    atomic.check_writable(out.parent)
    if options.minutes is not None and not 0.5 <= options.minutes <= 24 * 60:
        raise ValueError(f"--minutes must be 0.5 or more, and at most a day, not {options.minutes:g}.")
    if not 1 <= options.rank <= 256:
        raise ValueError(f"--rank must be from 1 to 256, not {options.rank}.")
    if not 8 <= options.own <= 10_000:
        raise ValueError(f"--own must be from 8 to 10,000 pictures, not {options.own}.")
    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {options.seed}.")
    run = run_folder(out)
    if run.exists() and not options.resume:
        raise ValueError(f"{run} holds a run that was stopped: add --resume to continue it, or remove that folder.")


def _is_one_of_several() -> bool:
    """Whether this process is one of several, or was meant to be: without GPUs accelerate may start one of them."""
    launched = {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys()
    return int(os.environ.get("WORLD_SIZE", 2 if launched else 1)) > 1


def run_folder(out: Path) -> Path:
    """Return where a run keeps what it needs to be resumed; it is removed when the file is there."""
    return out.with_suffix(".run")


def _steps(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(STEPS) or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise argparse.ArgumentTypeError(f"three whole numbers with commas between them, not {text!r}")
    return tuple(map(int, parts))


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.casefold()).strip("-") or "lora"
