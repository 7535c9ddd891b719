"""python -m benchmarks.controls --data data/emoji --out controls: how often the ruler calls chance a difference.

Two control experiments on what `evaluation.compare` concludes, stated before they are run:

A/A. Two sets of the same checkpoint and prompts, other seeds: there is no difference. Of 200 such comparisons the share
with p < 0.05 must be 0.05 or less, up to chance, for every measure; and of the verdicts, which are corrected for the
number of measures, as many comparisons may name a winner at all.

A/B. The same, but every second set is blurred (a Gaussian of two pixels): a difference that can be seen. At the same
level, 80 of 100 comparisons or more must find it in the Fréchet distance, and none may find it the other way round. The
damage was chosen by a pilot on two sets, in which a blur of one pixel was not found and one of two pixels was.

By default every comparison of either experiment has pictures of its own, so that the intervals of the shares hold:
40,000 pictures, of 400 seeds for each of 100 prompts. With `--pool 40` each comparison takes two different pictures of
every prompt by lot from 40: no picture is on both sides of a comparison, but comparisons share pictures, so their
results are not quite independent and the intervals of the shares a little too narrow; the table says so. The same
command resumes, drawing and comparing: it may be stopped at any time.
"""

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import binomtest
from tqdm import tqdm

import evaluation
from evaluation.cli.command import positive
from evaluation.comparing.comparison import LEVEL, Contest, Measured, contests_of
from evaluation.comparing.contestants import Contestant
from evaluation.comparing.measuring import NOT_SHOWN
from evaluation.metrics import clip_score, distances
from evaluation.metrics.frechet import Moments
from evaluation.metrics.statistics import Statistics
from evaluation.networks.clip import Clip
from evaluation.networks.features import extract
from evaluation.networks.network import Network, open_network, space_of
from evaluation.pictures.manifest import Manifest, Row
from evaluation.prompts.pairing import Pair
from evaluation.reporting.report import markdown_table, write_text

POWER = 0.8  # of the Fréchet distance in A/B, stated beforehand
COLUMNS = ("measure", f"A/A: p < {LEVEL:g}", "95 % interval", "A/B: found", "the wrong way")
ANY = "any, corrected (a verdict)"


@dataclass(frozen=True)
class Blurred:
    """A picture of a folder, blurred when it is read."""

    path: Path
    radius: float

    @property
    def name(self) -> str:
        return self.path.name

    def read_bytes(self) -> bytes:
        file = io.BytesIO()
        Image.open(self.path).convert("RGB").filter(ImageFilter.GaussianBlur(self.radius)).save(file, "PNG")
        return file.getvalue()


@dataclass(frozen=True)
class Instruments:
    """What all sets are measured with."""

    folder: Path
    manifest: Manifest
    clip: Clip
    network: Network
    reference: Statistics

    def measured(self, name: str, rows: Sequence[Row], blur: float = 0.0) -> Measured:
        """Return the measures of a set of pictures, one a prompt, as `evaluation.compare` takes them."""
        paths = [self.folder / row.file for row in rows]
        pictures: list[Any] = [Blurred(path, blur) for path in paths] if blur else paths
        pairs = [Pair(picture, row.caption, None) for picture, row in zip(pictures, rows, strict=True)]
        scores = clip_score.score(pairs, self.clip, workers=0, progress=False)
        measures = [one for one in clip_score.measures_of(scores) if one.key not in NOT_SHOWN]
        features = extract(pictures, self.network, workers=0, progress=False)
        statistics = Statistics(self.reference.space, Moments.of(features), features)
        measures += distances.measure(statistics, self.reference, self.network)
        return Measured(Contestant(name, self.folder, self.manifest, None), tuple(measures))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, compare, and write controls.json and controls.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controls", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the emoji set, whose test pictures are the reference")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--same", type=positive, default=200, help="A/A comparisons; default 200")
    parser.add_argument("--damaged", type=positive, default=100, help="A/B comparisons; default 100")
    parser.add_argument("--num", type=positive, default=100, help="prompts; default 100")
    parser.add_argument("--blur", type=float, default=2.0, help="pixels, the deviation of the Gaussian; default 2")
    words = "pictures of each prompt that comparisons take theirs from; default: so many that each has its own"
    parser.add_argument("--pool", type=int, help=words)
    options = parser.parse_args(arguments)
    comparisons = max(options.same, options.damaged)
    sets = 2 * comparisons if options.pool is None else options.pool
    if sets < 2:
        parser.error(f"--pool must be 2 or more, not {sets}: a comparison takes two pictures of each prompt.")
    prompts = f"emoji:{options.data / 'test-pictures'}"
    drawn = evaluation.draw(prompts, options.out / "pictures", num=options.num, per_prompt=sets, draft=True)
    bench = _opened(options.out / "pictures", drawn)
    runs = runs_of(drawn.rows, options.num, sets, comparisons)
    same = _compared(bench, runs[: 2 * options.same], 0.0, options.out / "same.jsonl")
    file = options.out / f"damaged-{options.blur:g}.jsonl"
    damaged = _compared(bench, runs[: 2 * options.damaged], options.blur, file)
    summary = summarised(same, damaged)
    own = options.pool is None or options.pool >= 2 * comparisons
    design = "of its own" if own else f"by lot from {sets} of each prompt, which comparisons share"
    sentences = [f"{options.num} pictures a side, {design}; the damage is a blur of {options.blur:g} pixels."]
    sentences += concluded(summary, bench.network.naming.frechet[0])
    written = {"level": LEVEL, "power": POWER, "told": sentences, "rows": summary}
    write_text(options.out / "controls.json", json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    table = "\n".join([*sentences, "", *markdown_table(COLUMNS, rows_of(summary))])
    write_text(options.out / "controls.md", table + "\n")
    print(table)


def runs_of(rows: Sequence[Row], prompts: int, pool: int, comparisons: int) -> list[list[Row]]:
    """Return two sets for each comparison, a picture of each prompt in either, of `pool` pictures that each prompt has.

    Where there are enough, no picture is in two sets; else each comparison takes its two of a prompt by lot.
    """
    of_prompt = [rows[first : first + pool] for first in range(0, len(rows), pool)]
    assert len(of_prompt) == prompts and all(len({row.caption for row in own}) == 1 for own in of_prompt)
    if pool >= 2 * comparisons:
        return [[own[place] for own in of_prompt] for place in range(2 * comparisons)]
    runs = []
    for comparison in range(comparisons):
        lot = np.random.default_rng(comparison)
        places = [lot.choice(pool, 2, replace=False) for _ in of_prompt]
        runs += [[own[place[side]] for own, place in zip(of_prompt, places, strict=True)] for side in (0, 1)]
    return runs


def _opened(folder: Path, manifest: Manifest) -> Instruments:
    network = open_network("judge")
    real = list(dict.fromkeys(path for row in manifest.rows if (path := row.reference_path) is not None))
    features = extract(real, network, manifest.picture_size, workers=0, progress=False)
    return Instruments(folder, manifest, Clip(), network, Statistics(space_of(network), Moments.of(features), features))


def _compared(bench: Instruments, runs: Sequence[Sequence[Row]], blur: float, kept: Path) -> list[Any]:
    """Compare the runs two by two, the second of each blurred; what is in `kept` is not compared again."""
    done = read_kept(kept)[: len(runs) // 2]
    for index in tqdm(range(2 * len(done), len(runs), 2), desc=kept.stem, unit="comparison"):
        sides = bench.measured("a", runs[index]), bench.measured("b", runs[index + 1], blur)
        rows = [_plain(contest) for contest in contests_of(sides, index)]
        with kept.open("a") as file:
            file.write(json.dumps(rows) + "\n")
        done.append(rows)
    return done


def read_kept(file: Path) -> list[Any]:
    """Return the comparisons that a file keeps, a line each; half a line, which a kill left, is cut off."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(file, whole)
    return [json.loads(line) for line in whole.split("\n")[:-1]]


def _plain(contest: Contest) -> Any:
    """Return what a summary needs of a contest: its measure, p-value, and who won by how much."""
    worse = (contest.found.mean > 0) == (contest.better == "higher")
    return {
        "key": contest.key,
        "label": contest.label,
        "p": contest.found.p,
        "verdict": contest.verdict,
        "ahead": "a" if worse else "b",
    }


def summarised(same: Sequence[Sequence[Any]], damaged: Sequence[Sequence[Any]]) -> list[dict[str, object]]:
    """Return a row a measure, and one of all: the shares called significant, and whether A/A's holds."""
    labels = {row["key"]: row["label"] for rows in same for row in rows}
    summary = []
    for key, label in labels.items():
        alike = [row["p"] < LEVEL for rows in same for row in rows if row["key"] == key]
        found = [row for rows in damaged for row in rows if row["key"] == key and row["p"] < LEVEL]
        right = sum(row["ahead"] == "a" for row in found)
        summary.append({"key": key, **_row(label, alike, right, len(damaged), len(found))})
    won = [[row for row in rows if row["verdict"] in ("a", "b")] for rows in damaged]
    named = [any(row["verdict"] in ("a", "b") for row in rows) for rows in same]
    right = sum(any(row["verdict"] == "a" for row in rows) for rows in won)
    wrong = sum(any(row["verdict"] == "b" for row in rows) for rows in won)
    summary.append({"key": "", **_row(ANY, named, right, len(damaged), right + wrong)})
    return summary


def concluded(summary: Sequence[Mapping[str, Any]], frechet: str) -> list[str]:
    """Return what was stated beforehand, and whether it came out so; `frechet` is the key of the Fréchet distance."""
    broken = [str(row["measure"]) for row in summary if not row["holds"]]
    row = next(row for row in summary if row["key"] == frechet)
    found, of = row["found"]
    met = found >= POWER * of and not row["wrong"]
    return [
        f"Stated beforehand of A/A: at α = {LEVEL:g} the 95 % interval of the share includes α or lies below it. "
        + (f"It does not for {', '.join(broken)}." if broken else "It does for all."),
        f"Stated beforehand of A/B: the Fréchet distance finds the damage in {POWER:.0%} or more, and never the wrong "
        f"way round. It {'did' if met else 'DID NOT'}: {found} of {of}, the wrong way {row['wrong']}.",
    ]


def _row(label: str, alike: Sequence[bool], right: int, damaged: int, found: int) -> dict[str, object]:
    test = binomtest(sum(alike), max(1, len(alike))).proportion_ci(method="wilson")
    return {
        "measure": label,
        "same": [sum(alike), len(alike)],
        "interval": [float(test.low), float(test.high)],
        "holds": bool(test.low <= LEVEL),
        "found": [right, damaged],
        "wrong": found - right,
    }


def rows_of(summary: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table."""
    return [
        (
            str(row["measure"]),
            "{} of {}".format(*row["same"]) + ("" if row["holds"] else " (too many)"),
            "{:.3f} to {:.3f}".format(*row["interval"]),
            "{} of {}".format(*row["found"]),
            str(row["wrong"]),
        )
        for row in summary
    ]


if __name__ == "__main__":
    main()
