"""What all commands of the ruler do alike: options are checked as they are read, and every error is one sentence.

A command is lost time when it fails at its end, so what an option names is looked at when the option is read. Nothing
heavy is imported before it is needed: `--help` does not wait for torch.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

import numpy as np

from evaluation.cli.outputs import REPORTS, Refused, keep, report_file
from evaluation.networks import ray_map
from evaluation.networks.embedded import default_judge
from evaluation.prompts import KINDS, SAMPLINGS
from evaluation.prompts.protocol import PROTOCOLS
from evaluation.reporting.trackers import FOLDER, TRACKERS, require

WORKERS = "processes that open pictures; default: as many as cores, up to 8"
# The fields of options that name files to write; all other texts and paths may be what is read.
WRITTEN = ("report", "save_stats", "hub_results", "map")

Options = TypeVar("Options", bound="CommandOptions")


@dataclass(frozen=True)
class CommandOptions:
    """What the options of all commands have in common, whether they come from a command line or from Python.

    Texts become paths, paths texts, and lists or a single value tuples, where a field is of that kind. ValueError for a
    value that is not among the field's choices, and where the command would write over what it reads.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _of_kind(field.name, field.type, getattr(self, field.name)))
        keep(self.written, self.read)

    @property
    def written(self) -> list[Path]:
        """Return the files that the command writes, as far as its options tell."""
        return [path for name in WRITTEN for path in _values(getattr(self, name, None)) if isinstance(path, Path)]

    @property
    def read(self) -> list[object]:
        """Return what the other options name; some of it are files that the command reads."""
        names = [field.name for field in fields(self) if field.name not in WRITTEN]
        return [value for name in names for value in _values(getattr(self, name)) if isinstance(value, str | Path)]


def _values(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _of_kind(name: str, kind: object, value: Any) -> object:
    """Return the value as the field of this kind has it."""
    kinds = get_args(kind) or (kind,)
    if get_origin(kind) is tuple and not isinstance(value, list | tuple):
        value = (value,)
    if isinstance(value, list | tuple):
        return tuple(map(Path, value)) if Path in kinds else tuple(value)
    if isinstance(value, str) and Path in kinds:
        return Path(value)
    if isinstance(value, Path) and str in kinds:
        return str(value)
    choices = [choice for one in (kind, *kinds) if get_origin(one) is Literal for choice in get_args(one)]
    if choices and value is not None and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


class Parser(argparse.ArgumentParser):
    """Argparse's, whose errors are one sentence on one line."""

    def parse_args(self, *given: Any) -> argparse.Namespace:  # ty: ignore[incompatible-method-override]  (has overloads)
        """Parse as argparse does; a path that the system refuses even to look at, as one too long, is an error too."""
        try:
            return super().parse_args(*given)
        except OSError as error:
            self.error(str(error))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parsed(parser: argparse.ArgumentParser, options: type[Options], argv: Sequence[str] | None) -> Options:
    """Return the command line as the frozen options of a command; what these refuse is the parser's error."""
    given = vars(parser.parse_args(argv))
    try:
        return options(**given)
    except ValueError as error:
        parser.error(str(error))


def add_measuring(
    parser: argparse.ArgumentParser, seed: str, batch_size: int | None = 32, workers: bool = True
) -> None:
    """Add --seed ("of what" being told), --batch-size, --workers and --device, as all that measure have them."""
    parser.add_argument("--seed", type=whole, default=0, help=f"{seed}; default 0")
    if batch_size is not None:
        parser.add_argument("--batch-size", type=positive, default=batch_size, help=f"default {batch_size}")
    if workers:
        parser.add_argument("--workers", type=whole, help=WORKERS)
    parser.add_argument("--device", type=device, help="cpu or cuda; default: cuda if there is one")


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """Add --prompts, --num, --sampling, --sampling-seed and --protocol, for `prompt_sets.read_chosen`."""
    parser.add_argument("--prompts", metavar="SOURCE", required=True, help=KINDS)
    parser.add_argument("--num", type=int, metavar="N", help="how many prompts; default: all")
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in SAMPLINGS.items())
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help=f"{meanings} (default)")
    parser.add_argument("--sampling-seed", type=int, default=0, metavar="S", help="which N prompts; default 0")
    words = "fixes the number of prompts and their seed as in published tables"
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), help=words)


def add_clip(parser: argparse.ArgumentParser) -> None:
    """Add --clip, or --network as evaluation.fid calls it: the CLIP that judges, in the spellings of both."""
    words = f"the CLIP that judges: folder, hub id, id@revision, clip:SOURCE, or judge: the embedded {default_judge()}"
    parser.add_argument("--clip", "--network", dest="clip", metavar="CLIP", help=f"{words} (default)")


def add_reporting(parser: argparse.ArgumentParser, suffixes: Sequence[str] = REPORTS, required: bool = False) -> None:
    """Add --report, as often as wanted."""
    words = f"{' '.join(suffixes)}; repeatable; an older report of that name is replaced"
    parser.add_argument(
        "--report",
        action="append",
        default=None if required else [],
        required=required,
        type=lambda text: report_file(text, suffixes),
        metavar="FILE",
        help=words,
    )


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Add --log-with; a tracker that is not installed is refused."""
    words = f"hand the measures to a tracker as well: {', '.join(TRACKERS)}; files of trackers go into {FOLDER}/"
    parser.add_argument("--log-with", type=tracker, metavar="TRACKER", help=words)


def add_ray(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --ray, which shares the work over a cluster; it is refused where Ray is not installed."""
    words = f"{what} over a Ray cluster: at ADDRESS, else where RAY_ADDRESS says, else on all cores of this machine"
    parser.add_argument("--ray", nargs="?", const="", type=ray_address, metavar="ADDRESS", help=words)


def ray_address(text: str) -> str:
    """Return a cluster's address, "" for the environment's, where Ray is installed."""
    try:
        ray_map.require()
    except ValueError as error:
        raise Refused(str(error)) from error
    return text


def tracker(text: str) -> str:
    """Return a tracker that is installed."""
    if text not in TRACKERS:
        raise Refused(f"a tracker is one of {', '.join(TRACKERS)}, not {text!r}.")
    try:
        require(text)
    except ValueError as error:
        raise Refused(str(error)) from error
    return text


def chosen_device(name: str | None) -> str:
    """Return the device of this name; without one cuda if there is one."""
    import torch  # seconds, which --help need not wait for

    return name or ("cuda" if torch.cuda.is_available() else "cpu")


def whole(text: str) -> int:
    """Return a number that is 0 or more."""
    return _number(text, 0)


def positive(text: str) -> int:
    """Return a number that is 1 or more."""
    return _number(text, 1)


def share(text: str) -> float:
    """Return a share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Refused(f"a share from 0 to 1 is needed, not {text!r}.")
    return value


def seconds(text: str) -> float:
    """Return a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise Refused(f"seconds above 0 are needed, not {text!r}.")
    return value


def address(text: str) -> str:
    """Return the address of an endpoint, which begins with http:// or https://."""
    if not text.startswith(("http://", "https://")) or len(text.split("//", 1)[1]) == 0:
        raise Refused(f"an endpoint is an address such as http://localhost:8000/v1, not {text!r}.")
    return text


def guidance(text: str) -> str:
    """Return a guidance scale, or two of them: kept as it is, for the command line of generation."""
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not np.isfinite(values).all():
        raise Refused(f"a scale is given as 4, or as 4,8 for prior and decoder, not as {text!r}.")
    return text


def steps(text: str) -> str:
    """Return numbers of steps, one or one a stage: kept as it is, for the command line of generation."""
    if not all(number.isdecimal() and int(number) > 0 for number in text.split(",")):
        raise Refused(f"steps are given as 10, or as 10,4,2 for the stages, not as {text!r}.")
    return text


def device(text: str) -> str:
    """Return a device that torch has here."""
    import torch  # as above

    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise Refused(f"There is no device {text!r} here: use cpu, or cuda where there is one.") from error
    return text


@contextlib.contextmanager
def sentences(prog: str, resumes: bool = False) -> Generator[None]:
    """End in one sentence: with 2 when something is wrong, with 130 when stopped (`resumes`: and can be resumed)."""
    try:
        yield
    except (ValueError, OSError, KeyboardInterrupt) as error:
        code, sentence = _ending(error, resumes)
        print(f"{prog}: {sentence}", file=sys.stderr)
        sys.exit(code)


def exit_code(
    prog: str, work: Callable[[], None], *, resumes: bool = False, tells: bool = True, tells_stop: bool = True
) -> int:
    """Do as `sentences` for a command of several processes, of which not all tell; return 0 when `work` was done."""
    try:
        work()
    except (ValueError, OSError, KeyboardInterrupt) as error:
        code, sentence = _ending(error, resumes)
        if tells_stop if isinstance(error, KeyboardInterrupt) else tells:
            print(f"{prog}: {sentence}", file=sys.stderr)
        return code
    return 0


def _ending(error: BaseException, resumes: bool) -> tuple[int, str]:
    """Return the exit code of an error, and the sentence that tells it."""
    if isinstance(error, KeyboardInterrupt):
        return 130, f"stopped{'; the same command resumes' if resumes else ''}."
    return 2, str(error)


def _number(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise Refused(f"a whole number is needed, not {text!r}.") from error
    if value < least:
        raise Refused(f"it must be {least} or more, not {value}.")
    return value
