"""What may stand behind `python -m dalle2`, and what is meant by it.

Nothing heavy is imported here, and all that can be checked without a network is: --help and refusals come at once.
"""

import argparse
import difflib
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from dalle2.cli.arguments import DTYPES, add_arguments, check_stage_values
from dalle2.cli.output import FILMS, FORMS, Destination
from dalle2.settings import MAX_SEED, SIZES, STRENGTHS, check_negative_prompt, check_prompt, check_seed

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
# One picture a frame, a strength, a step or a word, and not one a seed.
SERIES = ("interpolate", "diff", "dimensions", "steps", "attention")
PICTURE = re.compile(r".+\.(png|jpe?g|webp|gif|bmp|avif|tiff?)", re.IGNORECASE | re.DOTALL)
WEIGHTED = re.compile(r"(?P<content>.+)=(?P<weight>[-+0-9.eE]+)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """Refuses with a ValueError of one sentence, and knows what a misspelt option should have been."""

    def error(self, message: str) -> NoReturn:
        unknown = re.fullmatch(r"unrecognized arguments: (.*)", message, re.DOTALL)
        option = next((word for word in unknown[1].split() if word.startswith("-")), None) if unknown else None
        if option:
            near = difflib.get_close_matches(option, self._option_string_actions, 1)
            message = f"there is no option {option}{f': did you mean {near[0]}?' if near else '.'}"
        if lacking := re.fullmatch(r"the following arguments are required: (.*)", message, re.DOTALL):
            message = f"the task {self.prog.rpartition(' ')[2]} needs {lacking[1].replace(', ', ' and ')}"
            if not lacking[1].startswith("-"):
                message += "; to draw the word itself, write a longer prompt"
        message = re.sub(r"^argument (\S+): takes", r"\1 takes", message)
        raise ValueError(f"{message[0].upper()}{message[1:].rstrip('.')} ({self.prog} --help lists what there is)")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options with their task (None: from a prompt), `seeds` and `destination`; ValueError says what is wrong.

    SystemExit after --help.
    """
    task = task_of(arguments)
    options = parser(task).parse_intermixed_args(arguments[1:] if task else arguments)
    options.task = task
    if task == "caption":
        return _captioning(options)
    _check_seeds(options)
    check_stage_values(options)
    check_negative_prompt(options.negative_prompt)
    if task is None:
        _check_prompt(options)
    else:
        _check_task(options)
    films = FILMS if task == "interpolate" else ()
    options.destination = Destination(options.out, options.overwrite, films, options.format)
    one = task is not None and options.strip
    if (one or options.destination.film) and (options.size or options.destination.form != "png"):
        raise ValueError(
            "--size and --format are for single pictures: leave them out, or leave out --strip or the film."
        )
    pictures = options.seeds[:1] if one else None if task in SERIES else options.seeds
    options.destination.refuse_overwriting(pictures)
    return options


def task_of(arguments: Sequence[str]) -> str | None:
    """The task that the arguments begin with; None for a prompt."""
    return arguments[0] if arguments and arguments[0] in TASKS else None


def parser(task: str | None) -> Parser:
    """What the options of a task may be, or where there is none, those of drawing from a prompt."""
    if task is None:
        return _prompt_parser()
    description = TASKS[task][0].upper() + TASKS[task][1:] + "."
    parser = Parser(prog=f"python -m dalle2 {task}", description=description)
    match task:
        case "interpolate" | "mix":
            parser.add_argument("contents", nargs="+", metavar="PICTURE_OR_PROMPT")
        case "caption":
            _add_captioning(parser)
            return parser
        case "steps" | "attention":
            parser.add_argument("contents", nargs="+", metavar="PROMPT")
        case _:
            parser.add_argument("contents", nargs=1, metavar="PICTURE")
    _add_own(parser, task)
    parser.add_argument("--seed", type=whole, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
    _add_out(parser)
    parser.add_argument("--strip", action="store_true", help="all pictures side by side in one file")
    add_arguments(parser)
    return parser


def _prompt_parser() -> Parser:
    width = max(map(len, TASKS))
    tasks = "\n".join(f"  {name:{width}}  {text}" for name, text in TASKS.items())
    more = f"tasks that start from pictures or several prompts (python -m dalle2 TASK --help tells more):\n{tasks}"
    parser = Parser(
        prog="python -m dalle2",
        usage="python -m dalle2 PROMPT [options]\n       python -m dalle2 TASK … [options]",
        description="Draw pictures from a prompt.",
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help='what the pictures should show, as "a cat face"')
    parser.add_argument("-n", type=whole, metavar="N", help="how many pictures (seeds count up); default 1")
    parser.add_argument("--seed", type=whole, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
    _add_out(parser)
    parser.add_argument("--from", dest="source", metavar="PICTURE", help="draw this PNG or SVG again, from its record")
    said = "draw the very words, without looking for what the checkpoint knows"
    parser.add_argument("--literal", action="store_true", help=said)
    add_arguments(parser)
    return parser


def _add_out(parser: Parser) -> None:
    where = "a name ending in .png, or a folder, new or not; default: the current folder, in files named by"
    parser.add_argument("-o", "--out", default=".", metavar="DIR_OR_FILE", help=f"{where} prompt or task, and seed")
    parser.add_argument("--overwrite", action="store_true", help="replace files that have the name already")
    parser.add_argument("--size", type=whole, choices=SIZES, help="pixels a side, by the upsampler once more")
    forms = "default: png, or what the file's name ends in; transparent: a PNG without its even background"
    parser.add_argument("--format", choices=FORMS, help=forms)


def _add_own(parser: Parser, name: str) -> None:
    """The options that only this task has."""
    if name in ("variations", "mix", "inpaint", "outpaint"):
        parser.add_argument("-n", type=whole, metavar="N", help="how many pictures (seeds count up); default 1")
    if name in ("variations", "inpaint", "outpaint"):
        parser.add_argument("--prompt", help="what the picture should show")
    match name:
        case "variations":
            parser.add_argument("--eta", type=float, help="0 keeps the picture as it is, 1 only its rough composition")
        case "reconstruct":
            parser.add_argument("--refinements", type=whole, default=1, help="0 for the plain inversion; default 1")
        case "interpolate":
            parser.add_argument("--frames", type=whole, default=8, help="default 8; -o way.gif or way.mp4: a film")
            parser.add_argument("--noise", choices=("fixed", "slerp"), default="fixed", help="slerp: the pictures' own")
            parser.add_argument("--loop", action="store_true", help="lead back to the first end")
        case "diff":
            parser.add_argument("--to", required=True, metavar="TEXT", help="what it should become")
            parser.add_argument("--from", dest="old", metavar="TEXT", help="what it is; default: nothing said")
            parser.add_argument(
                "--way", choices=STRENGTHS, help="prior: it tells the picture anew; slerp: the paper's way"
            )
            shown = "from 0 to 1, with commas; default: some that show the way well"
            parser.add_argument("--strengths", type=numbers(float), help=shown)
        case "inpaint":
            parser.add_argument("--mask", help="white is repainted; default: where PICTURE is transparent")
        case "outpaint":
            parser.add_argument("--share", type=float, default=0.5, help="of the side that PICTURE covers; default 0.5")
            place = "where it stands: 0,0 is left and top; default 0.5,0.5"
            parser.add_argument("--anchor", type=numbers(float), default=[0.5, 0.5], help=place)
        case "dimensions":
            axes = [2**power for power in range(9)]
            parser.add_argument("--axes", type=numbers(int), default=axes, help="with commas; default 1,2,4 to 256")
            parser.add_argument("--pictures", metavar="FOLDER", help="whose axes; default: what the prior imagines")


def _add_captioning(parser: Parser) -> None:
    """Another command line: it draws nothing."""
    parser.add_argument("contents", nargs="+", metavar="PICTURE")
    parser.add_argument("--num", type=whole, default=5, help="captions of each picture; default 5")
    parser.add_argument("--captioner", metavar="FOLDER_OR_ID", help="an image-to-text model, instead of the checkpoint")
    parser.add_argument("--checkpoint", help="folder, hub id or id@revision; default: the embedded checkpoint")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is one")
    parser.add_argument("--dtype", choices=DTYPES, help="what the networks compute in; default float32")
    parser.set_defaults(compile=False)


def whole(text: str) -> int:
    """For argparse: a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}.") from None


def numbers(kind: type) -> Callable[[str], list]:
    """For argparse: numbers of this kind with commas between them."""

    def read(text: str) -> list:
        try:
            return [kind(value) for value in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"takes numbers with commas between them, not {text!r}.") from None

    return read


def _check_seeds(options: argparse.Namespace) -> None:
    given = getattr(options, "n", None)
    count = 1 if given is None else given
    if not 1 <= count <= MAX_SEED:
        raise ValueError(f"-n must be 1 or more, not {count}.")
    first = random.randint(0, MAX_SEED - count + 1) if options.seed is None else check_seed(options.seed)
    check_seed(first + count - 1)
    options.seeds = list(range(first, first + count))


def _check_prompt(options: argparse.Namespace) -> None:
    """A prompt, whose words may have been written without quotes, or a picture to draw again."""
    words = options.prompt
    if options.source is not None:
        given = ("n", "seed", "steps", "guidance", "negative_prompt", "scheduler", "prior")
        clashing = [name for name in given if getattr(options, name) is not None]
        clashing += [name for name in ("draft", "literal") if getattr(options, name)]
        if words or clashing:
            name = "the prompt" if words else clashing[0]
            raise ValueError(f"--from draws the picture as it was: leave out {name}, or leave out --from.")
        options.source = existing(options.source)
        return
    if not words:
        raise ValueError('Give a prompt, such as "a cat face", or a picture to draw again with --from.')
    if len(words) > 1 and (near := difflib.get_close_matches(words[0], TASKS, 1, 0.8)):
        quoted = " ".join(words)
        raise ValueError(f'There is no task {words[0]}: did you mean {near[0]}? A prompt stands in quotes, "{quoted}".')
    if picture := next((word for word in words if PICTURE.fullmatch(word) and Path(word).is_file()), None):
        raise ValueError(
            f"{picture} is a picture: say what to do with it, as in variations {picture}, or draw it again with "
            f"--from {picture}."
        )
    options.prompt = check_prompt(" ".join(words))


def _check_task(options: argparse.Namespace) -> None:
    """What the task starts from: files that are there, and words that can be drawn."""
    match options.task:
        case "interpolate":
            options.contents = [_content(text) for text in options.contents]
            if len(options.contents) < 2:
                raise ValueError("An interpolation needs at least two ends, pictures or prompts.")
        case "mix":
            options.contents = [_part(text) for text in options.contents]
        case "steps" | "attention":
            options.contents = [check_prompt(" ".join(options.contents))]
        case _:
            options.contents = [existing(options.contents[0])]
    for name in ("prompt", "to", "old"):
        if getattr(options, name, None) is not None:
            setattr(options, name, check_prompt(getattr(options, name)))
    if getattr(options, "mask", None):
        options.mask = existing(options.mask)
    if getattr(options, "pictures", None) and not Path(options.pictures).expanduser().is_dir():
        raise ValueError(f"There is no folder {options.pictures}.")


def _captioning(options: argparse.Namespace) -> argparse.Namespace:
    if options.captioner and (options.checkpoint or options.dtype):
        raise ValueError("--captioner describes without a checkpoint: leave out --checkpoint and --dtype.")
    options.files = [existing(name) for name in options.contents]
    return options


def existing(name: str) -> Path:
    """The file of this name; ValueError unless there is one."""
    path = Path(name).expanduser()
    if path.is_dir():
        raise ValueError(f"{name} is a folder: name one picture.")
    if not path.exists():
        raise ValueError(f"There is no picture {name}.")
    return path


def _content(text: str) -> str | Path:
    """A picture, where the text is the name of a file, or else a prompt."""
    if Path(text).expanduser().is_file() or PICTURE.fullmatch(text):
        return existing(text)
    return check_prompt(text)


def _part(text: str) -> tuple[str | Path, float]:
    """ "cat.png=0.7" -> the picture and its weight, which is 1 where none is named."""
    if not (match := WEIGHTED.fullmatch(text)):
        return _content(text), 1.0
    try:
        weight = float(match["weight"])
    except ValueError as error:
        raise ValueError(f"The weight in {text!r} is no number.") from error
    return _content(match["content"]), weight
