"""A study made of drawn folders: its pairs, its attention checks, and copies of the pictures under plain numbers."""

import shlex
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pydantic
from PIL import Image

from dalle2 import atomic
from dalle2.images import open_picture
from dalle2.judgements.study import FILE, Pair, Question, Side, Study
from evaluation.cli.study import Options
from evaluation.comparing.contestants import open_contestants
from evaluation.comparing.measuring import check_pairing
from evaluation.pictures.manifest import Row
from evaluation.reporting.report import write_text

ASKED = {
    "caption match": Question(
        key="caption match", en="Which picture fits the words better?", zh="哪张图片更符合文字描述？"
    ),
    "photorealism": Question(key="photorealism", en="Which picture looks better made?", zh="哪张图片看起来画得更好？"),
}
DAMAGED = "damaged"
COARSE = 6  # squares a side of a check's wrong picture


def make(options: Options) -> Study:
    """Write the study's folder; ValueError for folders that do not belong together, and for an `out` that is taken."""
    if options.out.exists() and any(options.out.iterdir()):
        raise ValueError(f"{options.out} holds something already: a study has a new folder of its own.")
    names = [str(folder) for folder in options.folders]
    if len(names) < 2 or len({folder.expanduser().resolve() for folder in options.folders}) < len(names):
        raise ValueError("A study needs at least two different folders.")
    specs = {name: shlex.quote(name) for name in names}
    contestants = open_contestants(specs, options.out, [], with_prompts=False)
    check_pairing(contestants)
    rows = contestants[0].manifest.rows
    chosen, spare = _chosen(len(rows), options)
    checked = _checked(spare, options)
    names_of = _numbered([one.folder / rows[index].file for index in chosen for one in contestants], options.seed)
    pairs = _pairs(rows, chosen, {one.name: one.folder for one in contestants}, names_of)
    with atomic.folder(options.out) as out:
        (out / "pictures").mkdir()
        for source, name in names_of.items():
            _plain(open_picture(source), out / name)
        files = contestants[0].files
        checks = [_check(n, rows[right], files[right], files[wrong], out) for n, (right, wrong) in enumerate(checked)]
        study = _study(options, pairs, checks)
        write_text(out / FILE, study.model_dump_json(indent=1) + "\n")
    return study


def _chosen(count: int, options: Options) -> tuple[list[int], list[int]]:
    """Return the prompts of the pairs, and all in an order in which checks take them: what is not asked comes first."""
    num = count if options.num is None else options.num
    if num > count:
        raise ValueError(f"--num must be from 1 to the {count:,} prompts of the folders, not {num}.")
    order = np.random.default_rng(options.seed).permutation(count).tolist()
    return sorted(order[:num]), order[num:] + order[:num]


def _numbered(files: Sequence[Path], seed: int) -> dict[Path, str]:
    """Return the pictures' names in the study, in an order that tells nothing of whose they are."""
    order = np.random.default_rng(seed).permutation(len(files)).tolist()
    return {files[place]: f"pictures/{number:05d}.png" for number, place in enumerate(order)}


def _pairs(
    rows: Sequence[Row], chosen: Sequence[int], folders: Mapping[str, Path], names: Mapping[Path, str]
) -> list[Pair]:
    """Return a pair of every two folders for each prompt."""
    return [
        Pair(
            id=f"{index:06d}-{i}-{j}",
            prompt=rows[index].caption,
            a=Side(name=a, picture=names[folders[a] / rows[index].file]),
            b=Side(name=b, picture=names[folders[b] / rows[index].file]),
        )
        for index in chosen
        for (i, a), (j, b) in combinations(enumerate(folders), 2)
    ]


def _checked(spare: Sequence[int], options: Options) -> list[tuple[int, int]]:
    """Return for each check the prompt whose picture is right, and another one's."""
    if options.checks and len(spare) < 2:
        raise ValueError("A check needs two prompts at least: leave them out with --checks 0.")
    return [(spare[n % len(spare)], spare[(n + 1) % len(spare)]) for n in range(options.checks)]


def _check(number: int, row: Row, right: Path, wrong: Path, out: Path) -> Pair:
    """Return a check: the prompt's picture, and another prompt's in coarse squares, which is better in nothing."""
    good, bad = (f"pictures/check-{number:03d}-{which}.png" for which in ("a", "b"))
    picture = _plain(open_picture(right), out / good)
    coarse = open_picture(wrong).resize((COARSE, COARSE), Image.Resampling.BOX)
    _plain(coarse.resize(picture.size, Image.Resampling.NEAREST), out / bad)
    sides = {"a": Side(name="drawn", picture=good), "b": Side(name=DAMAGED, picture=bad)}
    return Pair(id=f"check-{number:03d}", prompt=row.caption, right="a", **sides)


def _study(options: Options, pairs: Sequence[Pair], checks: Sequence[Pair]) -> Study:
    words = {name: getattr(options, name) for name in ("title", "words", "consent", "completion", "ties")}
    numbers = {"per_rater": options.per_rater, "raters": options.raters}
    asked = tuple(ASKED[question] for question in dict.fromkeys(options.question))
    try:
        return Study(pairs=tuple(pairs), checks=tuple(checks), questions=asked, **words, **numbers)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"This makes no study: {'.'.join(map(str, first['loc']))} {first['msg']}.") from error


def _plain(picture: Image.Image, path: Path) -> Image.Image:
    """Write a picture without its record."""
    picture.convert("RGB").save(path, "PNG")
    return picture
