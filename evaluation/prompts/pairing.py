"""Which picture of a folder belongs to which caption.

What says so, the surest first: the folder's own manifest; the picture that a prompt states, by its path or its name;
the prompt's id, where files are named by ids. The number of a row is no name. What is not certain is refused.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from operator import eq
from pathlib import Path, PurePosixPath

import numpy as np

from evaluation.pictures.image_folder import SUFFIXES, look_into, measured_pictures
from evaluation.pictures.manifest import Row, is_whole, read_manifest
from evaluation.pictures.survey import survey
from evaluation.prompts import Sampling
from evaluation.prompts.prompt_sets import read_prompts
from evaluation.prompts.sources import Prompt


@dataclass(frozen=True)
class Pair:
    """A picture's file, its caption, and a real picture of the same content where there is one."""

    picture: Path
    caption: str
    reference: Path | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs in the order of the prompts, and what a reader of their scores must know, as what was left out."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def read_pairs(images: Path, prompts: str | None, num: int | None, seed: int, sampling: Sampling) -> Pairs:
    """Read pictures and captions by the folder's manifest, else by a prompt set; `num` of them, chosen by the seed.

    ValueError when a prompt has no picture, or more than one that may be its own.
    """
    images = images.expanduser()
    if prompts is None:
        manifest = read_manifest(images)
        if manifest is None:
            raise ValueError(f"{images} has no manifest that tells its captions: name their source with --prompts.")
        notes = [*measured_pictures(images).notes]
        rows = _sample(list(manifest.rows), num, seed)
        if manifest.left_behind:
            notes.append(manifest.left_behind)
        pairs = [Pair(images / row.file, row.caption, row.reference_path) for row in rows]
        return Pairs(tuple(pairs), (*notes, *_first_of_several(pairs, images)))
    chosen = read_prompts(prompts, num, seed, sampling)
    found = look_into(images)
    files = pair(chosen.prompts, found.pictures, images)
    notes = [*chosen.notes, *found.notes]
    if num is None and (others := sorted(set(found.pictures).difference(*files))):
        name = others[0].relative_to(images).as_posix()
        notes.append(f"Not measured of {images.name}: pictures without a prompt: {len(others):,} (as {name}).")
    pairs = []
    for prompt, own in zip(chosen.prompts, files, strict=True):
        for file in own:
            itself = prompt.reference is not None and _place(file) == _place(prompt.reference)
            pairs.append(Pair(file, prompt.caption, None if itself else prompt.reference))
    return Pairs(tuple(pairs), (*notes, *_first_of_several(pairs, images)))


def _first_of_several(pairs: Sequence[Pair], images: Path) -> list[str]:
    references = [one.reference for one in pairs if one.reference is not None]
    notes = survey(images.name, [one.picture for one in pairs]).notes
    return notes + survey("the real pictures", references).notes


def pair(prompts: Sequence[Prompt], pictures: Sequence[Path], images: Path) -> list[list[Path]]:
    """Return the files of each prompt: one, unless the manifest of `images` says that it was drawn several times.

    Args:
        pictures: the files of the folder `images` among which they are.

    Raises:
        ValueError: a prompt has no file, or more than one that may be its own.
    """
    files = _Files(pictures, images)
    numbered = any(prompt.numbered for prompt in prompts)
    drawn = _by_manifest(prompts, images)
    if drawn and all(
        row.caption == prompt.caption for prompt, rows in zip(prompts, drawn, strict=True) for row in rows
    ):
        return [[images / row.file for row in rows] for rows in drawn]
    stated = files.of([(prompt.picture, prompt) for prompt in prompts])
    if drawn and not numbered:
        own = [[images / row.file for row in rows] for rows in drawn]
        if stated and any(file not in files_of for file, files_of in zip(stated, own, strict=True)):
            raise ValueError(
                f"The manifest of {images} and the prompts disagree about which picture is whose: leave out --prompts, "
                "or the column of pictures."
            )
        return own
    if stated is None and not numbered:
        stated = files.of([(prompt.id, prompt) for prompt in prompts])
    if stated is None:
        why = "the prompts' ids are only their places in the list" if numbered else f"the first is {prompts[0].id!r}"
        raise ValueError(
            f"{images} has no picture for any of the {len(prompts):,} prompts ({why}): a list states its pictures in a "
            "column file_name, or ids that files are named by in a column id."
        )
    return [[file] for file in stated]


class _Files:
    """The files of a folder by their names, with and without endings. Names are compared as NFC, and never resolved."""

    def __init__(self, pictures: Sequence[Path], folder: Path) -> None:
        self._folder = folder
        self._places = {_place(path): path for path in pictures}
        self._named: list[dict[str, list[tuple[tuple[str, ...], Path]]]] = []
        for parts_of in (_parts, _bare_parts):
            named = defaultdict(list)
            for path in pictures:
                parts = parts_of(path.relative_to(folder).as_posix())
                named[parts[-1]].append((parts, path))
            self._named.append(named)

    def of(self, names: Sequence[tuple[str, Prompt]]) -> list[Path] | None:
        """Return the file of each name, all by their whole names or all without endings; None where no name has any.

        ValueError where some have a file and others not, or a file is not certain.
        """
        best: list[list[Path]] = []
        for parts_of, named in zip((_parts, _bare_parts), self._named, strict=True):
            best = [self._candidates(parts_of(name), named, prompt) for name, prompt in names]
            if all(best):
                return self._certain(best, names)
        if not any(best):
            return None
        missing = next(name for candidates, name in zip(best, names, strict=True) if not candidates)
        raise ValueError(
            f"{self._folder} has no picture {missing[0]!r} for the prompt {missing[1].id!r}, but has those of others: "
            "complete it, or measure fewer prompts."
        )

    def _candidates(
        self, parts: tuple[str, ...], named: dict[str, list[tuple[tuple[str, ...], Path]]], prompt: Prompt
    ) -> list[Path]:
        """Return the prompt's own reference if it lies here, else the file of that path, else all that agree."""
        if prompt.reference is not None and (itself := self._places.get(_place(prompt.reference))):
            return [itself]
        known = named.get(parts[-1], []) if parts else []
        if same := [path for other, path in known if other == parts]:
            return same
        # One path may begin in a folder further up than the other does.
        return [path for other, path in known if all(map(eq, reversed(other), reversed(parts)))]

    def _certain(self, found: Sequence[Sequence[Path]], names: Sequence[tuple[str, Prompt]]) -> list[Path]:
        owner: dict[Path, str] = {}
        for candidates, (name, prompt) in zip(found, names, strict=True):
            if len(candidates) > 1:
                one, other = (path.relative_to(self._folder).as_posix() for path in candidates[:2])
                raise ValueError(
                    f"{one} and {other} in {self._folder} may both be the picture of the prompt {prompt.id!r}: state "
                    "it with its whole path, or remove one."
                )
            if owner.setdefault(candidates[0], name) != name:
                raise ValueError(
                    f"{candidates[0]} would be the picture {owner[candidates[0]]!r} and {name!r} at once: give each a "
                    "file of its own."
                )
        return [candidates[0] for candidates in found]


def _by_manifest(prompts: Sequence[Prompt], images: Path) -> list[list[Row]]:
    """Return the rows that the folder's manifest has for each prompt's id; [] unless it has some for all.

    ValueError when the file of one is missing.
    """
    manifest = read_manifest(images)
    rows = defaultdict(list)
    for row in manifest.rows if manifest else ():
        rows[row.id].append(row)
    if not all(prompt.id in rows for prompt in prompts):
        return []
    drawn = [rows[prompt.id] for prompt in prompts]
    if missing := [row.file for own in drawn for row in own if not is_whole(images / row.file)]:
        raise ValueError(f"{images} is not complete, {missing[0]} is missing: repeat the command that drew it.")
    return drawn


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(unicodedata.normalize("NFC", name)).parts


def _bare_parts(name: str) -> tuple[str, ...]:
    parts = _parts(name)
    if parts and (suffix := PurePosixPath(parts[-1]).suffix).lower() in SUFFIXES:
        return (*parts[:-1], parts[-1].removesuffix(suffix))
    return parts


def _place(path: Path) -> Path:
    """Follow the links of the path's folders, but not its own: into a store, these lead to other names."""
    return _folder_of(path.parent) / path.name


@cache
def _folder_of(folder: Path) -> Path:
    return folder.resolve()


def _sample(rows: list, num: int | None, seed: int) -> list:
    if num is None:
        return rows
    if not 2 <= num <= len(rows):
        raise ValueError(f"--num must be from 2 to the {len(rows):,} pictures that there are, not {num}.")
    return [rows[index] for index in sorted(np.random.default_rng(seed).permutation(len(rows))[:num])]
