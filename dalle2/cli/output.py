"""Where a command line's pictures go: names of files, and the bar that stands meanwhile."""

import errno
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

from tqdm import tqdm

from dalle2 import atomic
from dalle2.settings import Step

FILMS = (".gif", ".mp4")
FORMS = ("png", "transparent", "svg")
# What ends a file's name, whatever kind of file that may be; the ending of "runs/2024.05.01" or "v.2" does not.
ENDING = re.compile(r"\.(?!v\d)[a-z][a-z0-9]{0,4}", re.IGNORECASE)


class Destination:
    """The folder or file that is named by `-o`; ValueError, before anything is drawn, where nothing can be written.

    A file of that name is replaced only with `overwrite`. In a folder there is always a free name.
    """

    def __init__(self, out: str, overwrite: bool = False, films: Sequence[str] = (), form: str | None = None) -> None:
        """Look at the name: `films` are the endings that are a film's and no picture's; `form` is one of FORMS.

        Without a form the name's ending decides: .svg or .png.
        """
        self.path = Path(out).expanduser()
        self.overwrite = overwrite
        suffix = self.path.suffix.lower()
        self.folder = out.endswith(("/", os.sep)) or self.path.is_dir() or not ENDING.fullmatch(suffix)
        self.film = not self.folder and suffix in films
        self.form = form or ("svg" if suffix == ".svg" and not self.folder else "png")
        self.ending = ".svg" if self.form == "svg" else ".png"
        if not self.folder and not self.film and suffix != self.ending:
            raise ValueError(_misnamed(self.path, form, self.ending, films))
        atomic.check_writable(self.path if self.folder else self.path.parent, "-o")
        if not self.folder:
            _check_length(self.path)

    def names(self, words: str, numbers: Sequence[int], meaning: str = "") -> list[Path]:
        """Return a file for each number: in the folder, named by the words, or beside the named file.

        Words without a letter or digit, such as an emoji, give way to their `meaning`. Where one of these files is in
        the folder already, all get the next addition that is free: "a-cat-7-2.png".
        """
        if not self.folder:
            return [self.path] if len(numbers) == 1 else [self._numbered(number) for number in numbers]
        slug = _slug(words) or _slug(meaning) or "picture"
        names = [self.path / f"{slug}-{number}{self.ending}" for number in numbers]
        addition = 1
        while not self.overwrite and any(map(os.path.lexists, names)):
            addition += 1
            names = [self.path / f"{slug}-{number}-{addition}{self.ending}" for number in numbers]
        return names

    def keep(self, name: Path, write: Callable[[Path, bool], Path]) -> Path:
        """Return what `write(name, overwrite)` returns; the next free name where another process has taken this one."""
        free = (name.with_name(f"{name.stem}-{number}{name.suffix}") for number in count(2))
        for each in chain([name], free):
            try:
                return write(each, self.overwrite)
            except FileExistsError:
                if not os.path.lexists(each):  # something else is in the way
                    raise
        raise AssertionError("there is always a next name")

    def refuse_overwriting(self, numbers: Sequence[int] | None) -> None:
        """Raise ValueError where a named file exists; None stands for any number of pictures."""
        if self.folder or self.overwrite:
            return
        if self.film or (numbers is not None and len(numbers) == 1):
            taken = [self.path] if os.path.lexists(self.path) else []
        elif numbers is not None:
            taken = [name for name in map(self._numbered, numbers) if os.path.lexists(name)]
        else:
            ours = re.compile(re.escape(self.path.stem) + r"-\d+" + re.escape(self.path.suffix))
            folder = self.path.parent
            taken = sorted(name for name in folder.iterdir() if ours.fullmatch(name.name)) if folder.is_dir() else []
        if taken:
            raise ValueError(f"{taken[0]} exists already: name another file, or replace it with --overwrite.")

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-{number}{self.path.suffix}")


class Progress:
    """One bar over all steps of a command: `runs` times those of each stage.

    A stage tells with its first step how many it takes after all, which corrects the total: an autoregressive prior
    has its own number, and many pictures are decoded in several batches.
    """

    def __init__(self, steps: Mapping[str, int], runs: int = 1) -> None:
        self._steps, self._runs, self._more = steps, dict.fromkeys(steps, runs), 0
        self._total = sum(steps.values()) * runs
        self._bar = tqdm(total=self._total, unit="step")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, step: Step) -> None:
        """Move the bar by a step; this is the `on_step` of a task."""
        if step.index == 1:
            self._total += step.total - self._planned(step)
            self._bar.total = self._total
        self._bar.set_description(step.stage, refresh=False)
        self._bar.update()

    def _planned(self, step: Step) -> int:
        """Return how many steps of the total were meant for the run that begins with this step."""
        planned, enlarging = bool(self._runs.get(step.stage)), step.stage == "upsampler" and self._more >= step.total
        if planned and (self._steps[step.stage] == step.total or not enlarging):
            self._runs[step.stage] -= 1
            return self._steps[step.stage]
        if enlarging:
            self._more -= step.total
            return step.total
        return 0

    def expect(self, steps: int) -> None:
        """Raise the total by so many steps of the upsampler, which enlarges finished pictures."""
        self._more += steps
        self._total += steps
        self._bar.total = self._total


def _slug(words: str) -> str:
    """Return the words as a part of a file's name, in letters of any script; 40 stay below 255 bytes."""
    kept = "".join(letter if _is_of_a_word(letter) else " " for letter in words.lower())
    return "-".join(kept.split())[:40].rstrip("-")


def _is_of_a_word(letter: str) -> bool:
    """Whether it is a letter, a digit, or a vowel sign or tone mark, as of Thai and Hindi."""
    mark = "\u0300" <= letter < "\u2000" and unicodedata.category(letter).startswith("M")
    return letter.isalnum() or letter == "_" or mark


def _misnamed(file: Path, form: str | None, ending: str, films: Sequence[str]) -> str:
    """Why pictures cannot be saved under this name, and what to do."""
    name, ends = repr(file.with_suffix(ending).name), f"{file.name!r} ends in {file.suffix}"
    if form is None:
        forms = f"PNG or SVG{' and films as GIF or MP4' if films else ''}"
        return f"Pictures are saved as {forms}, but {ends}: name it {name}, or name a folder: '{file.name}/'."
    leave = ", or leave out --format" if file.suffix.lower() in (".png", ".svg") else ""
    return f"--format {form} saves pictures as {ending}, but {ends}: name it {name}{leave}."


def _check_length(file: Path) -> None:
    """ValueError where the name is too long for the disk, that of a file half written included."""
    try:
        atomic.partial_path(file).lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(f"The name {file.name[:40]}… is too long for a file.") from error
