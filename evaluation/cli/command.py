"""What all commands of the ruler do alike: options are checked as they are read, and every error is one sentence.

A command is lost time when it fails at its end, so what an option names is looked at when the option is read. Nothing
heavy is imported before it is needed: `--help` does not wait for torch.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

import numpy as np

from evaluation.networks.embedded import default_judge
from evaluation.prompts import KINDS, SAMPLINGS
from evaluation.prompts.protocol import PROTOCOLS

REPORTS = (".json", ".csv", ".md", ".html")
WORKERS = "processes that open pictures; default: as many as cores, up to 8"
# What a table of ours begins with; the other formats have provenance.
TABLES = ("key,label", "kind,key", "name,value", "kind,name")  # the last two of older versions


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


class Refused(argparse.ArgumentTypeError, ValueError):
    """What an option cannot be, in a sentence; argparse shows such a one as it is."""


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


def report_file(text: str, suffixes: Sequence[str] = REPORTS) -> Path:
    """Return the path if a report can be written there: a known suffix, a folder that takes it, nobody else's file."""
    path = Path(text).expanduser()
    if path.suffix.lower() not in suffixes:
        raise Refused(f"A report is written as {', '.join(suffixes)}: give {path.name!r} one of these endings.")
    return _writable(path, _is_report, "no report of ours")


def statistics_file(text: str) -> Path:
    """Return the path if statistics can be saved there."""
    path = Path(text).expanduser()
    if path.suffix != ".npz":
        raise Refused(f"Statistics are saved as .npz: let {path.name!r} end so.")
    return _writable(path, _is_statistics, "no statistics of ours")


def map_file(text: str) -> Path:
    """Return the path if a JSON file of picture paths can be written there."""
    path = Path(text).expanduser()
    if path.suffix != ".json":
        raise Refused(f"The map is written as .json: let {path.name!r} end so.")
    return _writable(path, _is_map, "no map of ours")


def yaml_file(text: str) -> Path:
    """Return the path if results for the hub can be written there."""
    path = Path(text).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise Refused(f"Results for the hub are written as .yaml: let {path.name!r} end so.")
    return _writable(path, lambda there: "model-index" in there.read_text(errors="replace"), "no results of ours")


def out_folder(text: str) -> Path:
    """Return a folder to write into, there or not yet."""
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise Refused(f"{path} is a file: name a folder.")
    _require_folder(path)
    return path


def keep(outputs: Iterable[Path], inputs: Iterable[object]) -> None:
    """Raise ValueError when a command would write over what it reads; `inputs` that are no files are passed over."""
    there = [path for path in outputs if path.exists()]
    for source in (file for given in inputs if there for file in _files(given)):
        for path in there:
            if path.samefile(source):
                raise ValueError(f"{path} is what this command reads, and would be written over: name another file.")


def _files(given: object) -> list[Path]:
    """Return the files that an option may mean: as a path, as one with a part ("FILE#NAME"), after a kind ("coco:")."""
    text = str(given or "")
    found = []
    for name in dict.fromkeys((text, text.partition("#")[0], text.partition(":")[2])):
        with contextlib.suppress(OSError, ValueError):  # what is no path at all, as a sentence
            if name and (path := Path(name).expanduser()).is_file():
                found.append(path)
    return found


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


def _writable(path: Path, ours: Callable[[Path], bool], other: str) -> Path:
    if path.is_dir():
        raise Refused(f"{path} is a folder: name a file in it.")
    _require_folder(path.parent)
    if path.exists() and path.stat().st_size and not ours(path):
        raise Refused(f"{path} is there already and is {other}: name another file.")
    return path


def _require_folder(folder: Path) -> None:
    """Check that files can be written into the folder, or into one that is made there."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise Refused(f"{there} is a file, so there can be nothing in it: name another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f"Nothing can be written into {there}: its permissions do not allow it.")


def _is_report(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith(TABLES) if path.suffix.lower() == ".csv" else "provenance" in text.lower()


def _is_map(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and all(isinstance(one, str) and one.endswith(".png") for one in found.values())


def _is_statistics(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as file:
            return "space" in file.files
    except (OSError, ValueError):
        return False
