"""What may stand behind `python -m dalle2`, and what is meant by it.

Nothing heavy is imported here, and all that can be checked without a network is: --help and refusals come at once.
"""

import argparse
import difflib
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from dalle2 import provenance
from dalle2.cli import (
    attention,
    caption,
    dimensions,
    enhance,
    inpaint,
    interpolate,
    kinds,
    mix,
    outpaint,
    reconstruct,
    steps,
    text_diff,
    text_to_image,
    tour,
    variations,
)
from dalle2.cli.arguments import add_arguments, check_stage_values
from dalle2.cli.command import Command
from dalle2.cli.output import FILMS, FORMS, Destination
from dalle2.settings import MAX_SEED, SIZES, check_negative_prompt, check_seed

COMMANDS: tuple[Command, ...] = (
    variations.COMMAND,
    reconstruct.COMMAND,
    interpolate.COMMAND,
    mix.COMMAND,
    text_diff.COMMAND,
    inpaint.COMMAND,
    outpaint.COMMAND,
    enhance.COMMAND,
    dimensions.COMMAND,
    steps.COMMAND,
    attention.COMMAND,
    tour.COMMAND,
    caption.COMMAND,
)
TASKS = {command.name: command for command in COMMANDS}
SERVE = "python -m dalle2 serve offers all of it as an HTTP API, which OpenAI's clients know."
MAX_COUNT = 10_000  # pictures of one call, as each has its name before any is drawn
SPELLINGS = TASKS | {alias: command for command in COMMANDS for alias in command.aliases}
# Where these are empty, the default must not stand in silently.
NEVER_EMPTY = {
    "checkpoint": "--checkpoint",
    "captioner": "--captioner",
    "mask": "--mask",
    "out": "--out",
    "source": "--from",
    "audio": "--audio",
    "sound": "--sound",
    "recogniser": "--recogniser",
    "device": "--device",
}


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
    """Read the options with their task (None: from a prompt), `seeds` and `destination`; ValueError: what is wrong.

    SystemExit after --help.
    """
    task = task_of(arguments)
    _check_names(arguments)
    options = parser(task and arguments[0]).parse_intermixed_args(arguments[1:] if task else arguments)
    options.task = task
    _check_not_empty(options)
    command = TASKS.get(task)
    if command:
        command.check(options)
        if not command.draws:
            return options
    _check_seeds(options)
    if options.size is not None and options.size < 1:
        raise ValueError(f"--size must be 1 or more pixels, not {options.size}.")
    check_stage_values(options)
    check_negative_prompt(options.negative_prompt)
    if command is None:
        text_to_image.check(options, SPELLINGS)
    options.destination = Destination(
        options.out, options.overwrite, FILMS if command and command.film else (), options.format
    )
    one = command is not None and options.strip
    if (one or options.destination.film) and (options.size or options.destination.form != "png"):
        raise ValueError(
            "--size and --format are for single pictures: leave them out, or leave out --strip or the film."
        )
    pictures = options.seeds[:1] if one else None if command and command.series else options.seeds
    options.destination.refuse_overwriting(pictures)
    return options


def task_of(arguments: Sequence[str]) -> str | None:
    """Return the task that the arguments begin with; None for a prompt."""
    command = SPELLINGS.get(arguments[0]) if arguments else None
    return command.name if command else None


def parser(task: str | None) -> Parser:
    """Return what the options of a task, by any of its names, may be; of drawing from a prompt, where there is none."""
    if task is None:
        parser = _prompt_parser()
    else:
        command = SPELLINGS[task]
        description = command.help[0].upper() + command.help[1:] + "."
        other = [name for name in (command.name, *command.aliases) if name != task]
        also = f" Also called {' and '.join(other)}." if other else ""
        parser = Parser(prog=f"python -m dalle2 {task}", description=description + also)
        command.add(parser)
        if not command.draws:
            return parser
        parser.add_argument("--strip", action="store_true", help="all pictures side by side in one file")
    parser.add_argument("--seed", type=kinds.whole, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
    _add_out(parser)
    add_arguments(parser)
    return parser


def _prompt_parser() -> Parser:
    names = {" or ".join((command.name, *command.aliases)): command.help for command in COMMANDS}
    width = max(map(len, names))
    tasks = "\n".join(f"  {name:{width}}  {text}" for name, text in names.items())
    more = f"tasks that start from pictures or several prompts (python -m dalle2 TASK --help tells more):\n{tasks}"
    parser = Parser(
        prog="python -m dalle2",
        usage="python -m dalle2 PROMPT [options]\n       python -m dalle2 TASK … [options]",
        description="Draw pictures from a prompt.",
        epilog=f"{more}\n\n{SERVE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    text_to_image.add(parser)
    return parser


def _add_out(parser: Parser) -> None:
    where = "a file name, or a folder, which may be new; default: the current folder, with files named by"
    parser.add_argument("-o", "--out", default=".", metavar="DIR_OR_FILE", help=f"{where} prompt or task, and seed")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files of the same name")
    own = "drawn by the decoder where the checkpoint can, else enlarged by the upsampler"
    parser.add_argument("--size", type=kinds.whole, help=f"pixels per side, up to {SIZES[-1]}: {own}")
    forms = "default: by the file's name, otherwise png; transparent: a PNG without its plain background"
    parser.add_argument("--format", choices=FORMS, help=forms)
    provenance.add_options(parser)


def _check_names(arguments: Sequence[str]) -> None:
    """ValueError for a picture that is there, and whose name would be taken for an option."""
    for word in arguments:
        if word.startswith("-") and kinds.PICTURE.fullmatch(word) and Path(word).is_file():
            raise ValueError(f"The name {word} begins as an option does: write ./{word}.")


def _check_not_empty(options: argparse.Namespace) -> None:
    """ValueError for an option such as --checkpoint "$WEIGHTS" of a script where the variable is not set."""
    for name, option in NEVER_EMPTY.items():
        if getattr(options, name, None) == "":
            raise ValueError(f"{option} is empty: give it a value, or leave it out.")


def _check_seeds(options: argparse.Namespace) -> None:
    given = getattr(options, "n", None)
    count = 1 if given is None else given
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"-n must be 1 or more, and at most {MAX_COUNT:,}, not {count:,}.")
    first = random.randint(0, MAX_SEED - count + 1) if options.seed is None else check_seed(options.seed)
    if first + count - 1 > MAX_SEED:
        raise ValueError(
            f"The seeds of {count:,} pictures count up from --seed, and the largest seed is {MAX_SEED}: let --seed be "
            f"at most {MAX_SEED - count + 1}."
        )
    options.seeds = list(range(first, first + count))
