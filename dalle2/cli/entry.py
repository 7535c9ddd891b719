"""What a command says of two things that can end it before its own first line: Ctrl-C, and a misfit torchvision.

Both can happen while the libraries are imported, which takes seconds. `guard` is called by `dalle2/__init__.py` where
one of this project's commands is run, and by nobody who imports it as a library.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from types import TracebackType

COMMANDS = ("dalle2", "evaluation", "demo", "benchmarks")


def is_command() -> bool:
    """Return whether Python was started as `python -m` one of `COMMANDS`, or as `python app.py`."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    script = words[1:2] and words[1].replace("\\", "/").rpartition("/")[2]
    return module.partition(".")[0] in COMMANDS or script == "app.py"


def guard() -> None:
    """Tell both in a sentence instead of a traceback; every other fault keeps its own."""
    sys.excepthook = _tell


def misfit() -> str:
    """Say what is wrong with the installed torchvision, in a sentence; "" where it can be imported or is absent."""
    if importlib.util.find_spec("torchvision") is None:
        return ""
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # an operator that is missing, a library that cannot be loaded
        versions = {name: _version(name) for name in ("torchvision", "torch")}
        return (
            f"torchvision {versions['torchvision']} does not fit torch {versions['torch']} ({error}). Nothing here "
            "needs it: pip uninstall torchvision, or install the one from where this torch came."
        )
    return ""


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("Stopped.\n")  # Python then ends as one that was interrupted does
    elif "torchvision" in "".join(traceback.format_exception(error)) and (sentence := misfit()):
        sys.stderr.write(f"Error: {sentence}\n")
    else:
        sys.__excepthook__(kind, error, trace)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of an unknown version"
