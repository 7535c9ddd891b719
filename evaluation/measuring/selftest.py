"""Our measures against answers that are known: the work of `evaluation.selftest`.

The pictures, the features and the answers lie beside this file; `benchmarks.known_answers` made them without our
measures, from closed forms and second implementations.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.markup import escape

from dalle2.images import open_picture
from evaluation.metrics import bootstrap, kernel_distance, prdc, similarity
from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.metrics.inception_score import inception_score
from evaluation.metrics.mind import mind
from evaluation.networks.features import extract
from evaluation.networks.network import Network, open_network
from evaluation.networks.resizing import RESIZES
from evaluation.pictures.sources import open_source
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report, print_table, provenance

FOLDER = Path(__file__).with_name("known_answers")
SIDES = ("drawn", "real")

Verdict = Literal["agrees", "differs", "not run"]


@dataclass(frozen=True)
class Check:
    """A measure with its known answer.

    Attributes:
        key: what programs know it by; `words` are for readers.
        known: the answer; None where nobody has found it yet.
        found: what this machine makes of it; None where it was not run, for the reason in `why`.
        digits: that must agree, counted from the first that is not zero.
        source: where the answer comes from.
    """

    key: str
    words: str
    known: float | None
    found: float | None
    digits: int
    source: str
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        """Return whether both agree to the digits."""
        if self.known is None or self.found is None:
            return "not run"
        return "agrees" if math.isclose(self.known, self.found, rel_tol=0.5 * 10 ** (1 - self.digits)) else "differs"


@dataclass(frozen=True)
class Selftest:
    """All checks, in the order of the answers, and how long they took."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def drifted(self) -> tuple[Check, ...]:
        """Return the checks whose answer is another one here."""
        return tuple(check for check in self.checks if check.verdict == "differs")


def check_all(weights: str | None = None, folder: Path = FOLDER) -> Selftest:
    """Run every check; `weights` are Inception's, None for those that are found on this machine."""
    start = time.perf_counter()
    known = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    ours = _Ours(folder, weights)
    checks = tuple(_checked(answer, ours) for answer in known)
    return Selftest(checks, time.perf_counter() - start)


class _NotRun(Exception):
    """Why a check cannot be run here."""


class _Ours:
    """What this machine makes of the known-answer set, by key."""

    def __init__(self, folder: Path, weights: str | None) -> None:
        self._folder, self._weights = folder, weights
        with np.load(folder / "features.npz") as file:
            self._drawn, self._real, self._logits = (file[name] for name in (*SIDES, "logits"))

    @cached_property
    def measures(self) -> Mapping[str, Callable[[], float]]:
        """Return how each key is measured, for those that depend on no network."""
        x, y = self._drawn, self._real
        found: dict[str, Callable[[], float]] = {
            "frechet_closed": _two_gaussians,
            "frechet": lambda: frechet_distance(Moments.of(x), Moments.of(y)),
            "kid": lambda: kernel_distance.kid(x, y).value,
            "cmmd": lambda: kernel_distance.cmmd(x, y),
            "mind": lambda: mind(x, y).value,
            "mind_shift": lambda: mind(x, x + np.float32(0.5)).value,
            "inception_score": lambda: inception_score(self._logits, lambda rows: rows)[0],
            "psnr": lambda: similarity.compare(_flat(100), _flat(105)).psnr,
            "ssim_flat": lambda: similarity.compare(_flat(100), _flat(120)).ssim,
            "ssim": lambda: similarity.compare(self._picture("real", 1), self._picture("real", 3)).ssim,
            "sign_test": lambda: bootstrap.sign_test(8, 2)[2],
            "holm": lambda: bootstrap.holm([0.01, 0.04, 0.03])[1],
            "jackknife": _error_of_a_mean,
        }
        for name in ("precision", "recall", "density", "coverage"):
            found[name] = partial(self._share, name)
        for name in RESIZES:
            found[f"resize_{name}"] = partial(self._resized, name)
        return found

    def found(self, answer: Mapping) -> float:
        """Measure what an answer is known to; `_NotRun` where this machine cannot."""
        key = answer["key"]
        if key in self.measures:
            return self.measures[key]()
        name, _, what = key.partition("_")
        network = self._judge if name == "judge" else self._inception
        if answer.get("weights", network.sha256) != network.sha256:
            raise _NotRun(f"the answer is to the weights {answer['weights'][:12]}…, here are {network.sha256[:12]}…")
        x, y = (self._features(network, side) for side in SIDES)
        if what in ("frechet", "fid"):
            return frechet_distance(Moments.of(x), Moments.of(y))
        return kernel_distance.kid(x, y).value if what == "kid" else mind(x, y).value

    @cached_property
    def _judge(self) -> Network:
        return open_network("judge")

    @cached_property
    def _inception(self) -> Network:
        try:
            network = open_network("inception", weights=self._weights)
        except ValueError as error:
            raise _NotRun("the published weights are not on this machine") from error
        if network.naming.frechet[0] != "fid":
            raise _NotRun("the weights are not the published ones")
        return network

    def _features(self, network: Network, side: str) -> np.ndarray:
        found = [one for one in open_source(self._folder / "pictures.zip").pictures if one.name.startswith(side)]
        return np.asarray(extract(found, network, workers=0, progress=False))

    def _picture(self, side: str, index: int) -> Image.Image:
        found = [one for one in open_source(self._folder / "pictures.zip").pictures if one.name.startswith(side)]
        return open_picture(found[index].read_bytes())

    def _resized(self, name: str) -> float:
        levels = RESIZES[name](self._picture("drawn", 1)).double()  # (3, height, width)
        return float(levels.diff(n=2, dim=2).square().mean().sqrt())

    def _share(self, name: str) -> float:
        return float(getattr(prdc.measure(self._drawn, self._real), name).mean())


def _checked(answer: Mapping, ours: _Ours) -> Check:
    found, why = None, ""
    try:
        found = ours.found(answer)
        why = "" if answer["value"] is not None else "no answer is known yet"
    except _NotRun as error:
        why = str(error)
    return Check(answer["key"], answer["check"], answer["value"], found, answer["digits"], answer["source"], why)


def _two_gaussians() -> float:
    """Means 2 and 1 apart in two of three directions, deviations 2, 3, 0.5 and 1, 4, 0.5: 4 + 1 + 1 + 1."""

    def gaussian(mean: list[float], variances: list[float]) -> Moments:
        scatter = torch.diag(torch.tensor(variances, dtype=torch.float64)) * 10
        return Moments(11, torch.tensor(mean, dtype=torch.float64), scatter=scatter)

    return frechet_distance(gaussian([1, 2, 3], [4, 9, 0.25]), gaussian([1, 0, 4], [1, 16, 0.25]))


def _error_of_a_mean() -> float:
    values = np.arange(10.0)
    return bootstrap.jackknife(float(values.mean()), [np.delete(values, index).mean() for index in range(10)])[0]


def _flat(level: int) -> Image.Image:
    return Image.new("RGB", (32, 32), (level, level, level))


def show(selftest: Selftest, console: Console) -> None:
    """Print the table of all checks, and why some were not run."""
    rows = [
        (
            check.words,
            "" if check.known is None else f"{check.known:.7g}",
            "" if check.found is None else f"{check.found:.7g}",
            str(check.digits),
            check.verdict,
        )
        for check in selftest.checks
    ]
    title = f"{len(rows)} known answers, {len(selftest.drifted)} differ, {selftest.seconds:.1f} s"
    print_table(console, title, ("check", "known", "here", "digits", "verdict"), rows)
    for check in selftest.checks:
        if check.why:
            console.print(f"{escape(check.words)}: {escape(check.why)}.", highlight=False)


def as_report(selftest: Selftest) -> Report:
    """Return what was found as a report; what differs or was not run are its warnings."""
    measures = tuple(
        Measure(check.key, check.words, check.found, 1, "", None, _details(check))
        for check in selftest.checks
        if check.found is not None
    )
    warnings = [f"{check.words} is {check.found}, known is {check.known}." for check in selftest.drifted]
    warnings += [f"{check.words} was not run: {check.why}." for check in selftest.checks if check.found is None]
    facts = provenance(seconds=round(selftest.seconds, 1))
    return Report("Known answers", measures, facts, tuple(warnings))


def _details(check: Check) -> dict[str, object]:
    return {"known": check.known, "digits": check.digits, "verdict": check.verdict, "known from": check.source}
