"""`python -m dalle2 TASK …`: the tasks that start from pictures or several prompts, one subcommand each."""

import argparse
import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from dalle2 import images
from dalle2.arguments import DTYPES, add_arguments, chosen_settings, open_checkpoint
from dalle2.film import FILMS, save_film
from dalle2.model import UnclipModel
from dalle2.output import Progress, file_names
from dalle2.settings import MAX_SEED, OnStep, Settings, check_seed
from dalle2.tasks.blending import STRENGTHS
from dalle2.tasks.captioning import check_num

TASKS: dict[str, str] = {
    "variations": "pictures with the content of PICTURE; with --eta also its composition",
    "reconstruct": "PICTURE through its embedding and its noise, and back",
    "interpolate": "the way through two or more pictures or prompts",
    "mix": "pictures and prompts at once, by weight, as cat.png=0.7 'a robot'=0.3",
    "diff": "PICTURE moved toward what a text says",
    "inpaint": "PICTURE with what is white in the mask painted anew",
    "outpaint": "the world around PICTURE",
    "enhance": "a small PICTURE, enlarged by the upsampler alone",
    "dimensions": "PICTURE from a growing number of the principal axes of its embedding",
    "steps": "what is predicted at each step for PROMPT",
    "attention": "which pixels each word of PROMPT drew",
    "caption": "what each PICTURE shows, in words, the nearest caption first",
}
_NUMBER = re.compile(r"(?P<content>.+)=(?P<weight>[-+0-9.eE]+)", re.DOTALL)


def is_task(arguments: Sequence[str]) -> bool:
    """Whether the arguments are a task and what it starts from, and not a prompt that is a task's name."""
    followed = len(arguments) > 1 and (not arguments[1].startswith("-") or arguments[1] in ("-h", "--help"))
    return followed and arguments[0] in TASKS


def run(arguments: Sequence[str]) -> list[Path] | list[str]:
    """Do what the arguments ask for -> the files that were written, or the captions that were found.

    ValueError says what is wrong with the arguments.
    """
    options = parser().parse_args(arguments)
    if options.task == "caption":
        return _captions(options)
    seeds = _seeds(options)
    # Told now: a long drawing must not end at a bad name.
    out = Path(options.out).expanduser()
    film = options.task == "interpolate" and out.suffix.lower() in FILMS
    if not film:
        file_names(options.out, options.task, seeds)
    draw = _drawing(options, seeds)
    model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = _settings(options, model)
    with Progress() as progress:
        pictures = draw(model, settings, progress.advance)
    if film:
        return [save_film(pictures, out)]
    if options.strip:
        return [images.save(images.strip(pictures), file_names(options.out, options.task, seeds[:1])[0])]
    one_a_seed = len(pictures) == len(seeds)
    names = file_names(options.out, options.task, seeds if one_a_seed else range(len(pictures)))
    return [images.save(picture, name) for picture, name in zip(pictures, names, strict=True)]


def parser() -> argparse.ArgumentParser:
    """What a task's arguments may be."""
    parser = argparse.ArgumentParser(prog="python -m dalle2")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, text in TASKS.items():
        task = tasks.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        match name:
            case "interpolate" | "mix":
                task.add_argument("contents", nargs="+", metavar="PICTURE_OR_PROMPT")
            case "caption":
                _add_captioning(task)
                continue
            case "steps" | "attention":
                task.add_argument("contents", nargs=1, metavar="PROMPT")
            case _:
                task.add_argument("contents", nargs=1, metavar="PICTURE")
        _add_own(task, name)
        task.add_argument("--seed", type=int, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
        task.add_argument("-o", "--out", default=".", metavar="DIR_OR_FILE", help="a folder, or a name ending in .png")
        task.add_argument("--strip", action="store_true", help="all pictures side by side in one file")
        add_arguments(task)
    return parser


def _add_own(task: argparse.ArgumentParser, name: str) -> None:
    """The options that only this task has."""
    if name in ("variations", "mix", "inpaint", "outpaint"):
        task.add_argument("-n", type=int, default=1, metavar="N", help="how many pictures (seeds count up); default 1")
    if name in ("variations", "inpaint", "outpaint"):
        task.add_argument("--prompt", help="what the picture should show")
    match name:
        case "variations":
            task.add_argument("--eta", type=float, help="0 keeps the picture as it is, 1 only its rough composition")
        case "reconstruct":
            task.add_argument("--refinements", type=int, default=1, help="0 for the plain inversion; default 1")
        case "interpolate":
            task.add_argument("--frames", type=int, default=8, help="default 8; -o way.gif or way.mp4 makes a film")
            task.add_argument("--noise", choices=("fixed", "slerp"), default="fixed", help="slerp: the pictures' own")
            task.add_argument("--loop", action="store_true", help="lead back to the first end")
        case "diff":
            task.add_argument("--to", required=True, metavar="TEXT", help="what it should become")
            task.add_argument("--from", dest="old", metavar="TEXT", help="what it is; default: nothing said")
            task.add_argument(
                "--way", choices=STRENGTHS, help="prior: it tells the picture anew; slerp: the paper's way"
            )
            task.add_argument("--strengths", help="from 0 to 1, with commas; default: some that show the way well")
        case "inpaint":
            task.add_argument("--mask", help="white is repainted; default: where PICTURE is transparent")
        case "outpaint":
            task.add_argument("--share", type=float, default=0.5, help="of the side that PICTURE covers; default 0.5")
            task.add_argument(
                "--anchor", default="0.5,0.5", help="where it stands: 0,0 is left and top; default 0.5,0.5"
            )
        case "dimensions":
            task.add_argument("--axes", default="1,2,4,8,16,32,64,128,256", help="how many, with commas")
            task.add_argument("--pictures", metavar="FOLDER", help="whose axes; default: what the prior imagines")


def _add_captioning(task: argparse.ArgumentParser) -> None:
    """Another command line: it draws nothing."""
    task.add_argument("contents", nargs="+", metavar="PICTURE")
    task.add_argument("--num", type=int, default=5, help="captions of each picture; default 5")
    task.add_argument("--captioner", metavar="FOLDER_OR_ID", help="an image-to-text model, instead of the checkpoint")
    task.add_argument("--checkpoint", help="folder, hub id or id@revision; default: the embedded checkpoint")
    task.add_argument("--device", help="cpu or cuda; default: cuda if there is one")
    task.add_argument("--dtype", choices=DTYPES, help="what the networks compute in; default float32")
    task.set_defaults(compile=False)


def _captions(options: argparse.Namespace) -> list[str]:
    """Lines of a table: picture, score, caption."""
    if options.captioner and (options.checkpoint or options.dtype):
        raise ValueError("--captioner describes without a checkpoint: leave out --checkpoint and --dtype.")
    check_num(options.num)
    pictures = [images.open_picture(Path(name).expanduser()) for name in options.contents]
    if options.captioner:
        from dalle2.families.captioner import Captioner

        model = Captioner(options.captioner, options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    else:
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    found = model.caption(pictures, options.num)
    return [
        f"{name}\t{one.score:.3f}\t{one.caption}"
        for name, captions in zip(options.contents, found, strict=True)
        for one in captions
    ]


def _seeds(options: argparse.Namespace) -> list[int]:
    count = getattr(options, "n", 1)
    if not 1 <= count <= MAX_SEED:
        raise ValueError(f"-n must be 1 or more, not {count}.")
    first = random.randint(0, MAX_SEED - count + 1) if options.seed is None else check_seed(options.seed)
    check_seed(first + count - 1)
    return list(range(first, first + count))


def _settings(options: argparse.Namespace, model: UnclipModel) -> Settings:
    """The checkpoint's settings as this task needs them, with what the arguments change."""
    task, default = options.task, model.settings
    inverts = task == "reconstruct" or (task == "variations" and options.eta is not None)
    if task == "diff":
        default = default.rewording()
    elif inverts or (task == "interpolate" and options.noise == "slerp"):
        default = default.retracing()
    elif task in ("inpaint", "outpaint"):
        default = default.repainting()
    if options.scheduler:  # what only the task's own scheduler can do must not stand in its way
        default = dataclasses.replace(default, decoder=dataclasses.replace(default.decoder, times=1))
    return chosen_settings(options, model, default)


def _drawing(
    options: argparse.Namespace, seeds: list[int]
) -> Callable[[UnclipModel, Settings, OnStep], list[Image.Image]]:
    """The task, its files opened and its numbers read, waiting for the model."""
    name, seed, first = options.task, seeds[0], options.contents[0]
    match name:
        case "steps" | "attention":
            return lambda model, *rest: getattr(model, name)(first, seed, *rest)
        case "interpolate":
            ends = [_content(text) for text in options.contents]
            frames, ways = options.frames, (options.noise, options.loop)
            return lambda model, *rest: model.interpolate(ends, frames, seed, *rest, *ways)
        case "mix":
            parts = [_part(text) for text in options.contents]
            return lambda model, *rest: model.mix(parts, seeds, *rest)
        case "inpaint":
            mask = images.open_mask(options.mask or first)
            picture = images.open_picture(first)
            return lambda model, *rest: model.inpaint(picture, mask, seeds, options.prompt, *rest)
    picture = images.open_picture(first)
    match name:
        case "variations":
            return lambda model, *rest: model.variations(picture, seeds, options.prompt, *rest, options.eta)
        case "reconstruct":
            return lambda model, *rest: model.reconstruct([picture], seeds, *rest, options.refinements)
        case "diff":
            strengths = options.strengths and _numbers("strengths", options.strengths, float)
            texts, way = (options.to, seed, options.old, strengths), options.way
            return lambda model, *rest: model.text_diff(picture, *texts, *rest, way)
        case "outpaint":
            place = (options.share, tuple(_numbers("anchor", options.anchor, float)))
            return lambda model, *rest: model.outpaint(picture, seeds, options.prompt, *rest, *place)
        case "enhance":
            return lambda model, *rest: model.enhance([picture], seeds, *rest)
    counts, others = _numbers("axes", options.axes, int), _folder(options.pictures)
    return lambda model, *rest: model.dimensions(picture, counts, seed, others, *rest)


def _content(text: str) -> str | Image.Image:
    """A picture, where the text is the name of a file, or else a prompt."""
    if Path(text).expanduser().is_file():
        return images.open_picture(Path(text).expanduser())
    if re.search(r"\.(png|jpe?g|webp|gif|bmp)$", text, re.IGNORECASE):
        raise ValueError(f"There is no picture {text}.")
    return text


def _part(text: str) -> tuple[str | Image.Image, float]:
    """ "cat.png=0.7" -> the picture and its weight, which is 1 where none is named."""
    if not (match := _NUMBER.fullmatch(text)):
        return _content(text), 1.0
    try:
        return _content(match["content"]), float(match["weight"])
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(f"The weight in {text!r} is no number.") from error


def _numbers(name: str, text: str, kind: type) -> list:
    try:
        return [kind(value) for value in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--{name} takes numbers with commas between them, not {text!r}.") from error


def _folder(folder: str | None) -> list[Image.Image] | None:
    if folder is None:
        return None
    files = [file for file in sorted(Path(folder).expanduser().rglob("*")) if file.is_file() and file.name[0] != "."]
    return [images.open_picture(file) for file in files]
