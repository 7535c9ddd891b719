"""All measures of two sets of features: Fréchet and kernel distance, MIND, precision, recall, density and coverage.

Each is computed once, and carries the values from which two contestants are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import scipy

from evaluation.metrics import kernel_distance, overlap, prdc
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.frechet import POINTS, Moments, extrapolated, frechet_distance, groups_of, leave_groups_out
from evaluation.metrics.frechet_ratio import Ratio
from evaluation.metrics.inception_score import SPLITS, inception_score
from evaluation.metrics.mind import PROJECTIONS, mind
from evaluation.metrics.statistics import Statistics
from evaluation.networks.network import Classifier, Network
from evaluation.reporting.measure import Measure

FEW = 10_000  # pictures, below which FID's bias is larger than most differences
GROUPS = 20
MOST = 50_000  # pictures a side, beyond which what looks at every pair of them is left out: it takes n² comparisons
LEAST = 4  # pictures of which two groups can be left out in turn
SUBSET = 1000
KERNEL = {"kernel": "(x·y / d + 1)³", "estimate": "unbiased, of all pairs"}


def measure(
    pictures: Statistics, reference: Statistics, network: Network, seed: int = 0, groups: int = GROUPS
) -> list[Measure]:
    """Return all measures that the network and the number of pictures allow; ValueError for unlike spaces.

    `groups` is how many a jackknife of the Fréchet distance leaves out in turn, 0 for no interval.
    """
    pictures.space.require(reference.space, "The reference's statistics")
    n, m = pictures.moments.n, reference.count
    details: dict[str, object] = {"network": f"{network.name}@{network.sha256[:8]}", "resize": network.resize}
    details["references"] = "unknown" if m is None else m
    if pictures.space.size:
        details["size"] = pictures.space.size
    found = [_frechet(pictures, reference, network, details, groups, seed)]
    found += _extrapolated(pictures, reference, network, details, seed)
    if pictures.features is not None and reference.features is not None:
        found.append(_kernel(pictures.features, reference.features, network, details, seed))
        found.append(_mind(pictures.features, reference.features, network, details, groups, seed))
        found += _fidelity_and_diversity(pictures, reference, network, details, groups, seed)
        if "cmmd" in network.extras and not _too_many(pictures, reference):
            value = kernel_distance.cmmd(pictures.features, reference.features)
            found.append(Measure("cmmd", "CMMD", value, n, "lower", None, details))
    if "inception_score" in network.extras and pictures.features is not None and n >= SPLITS:
        score, deviation, interval = inception_score(pictures.features, cast(Classifier, network).logits, seed)
        parts = {**details, "parts": SPLITS, "deviation": round(deviation, 4)}
        name = _name("inception_score", "Inception score", network)
        found.append(Measure(*name, score, n, "higher", interval, parts))
    return found


def compared(network: Network) -> list[str]:
    """Return the keys of the measures in which two contestants are compared, where there are pictures enough."""
    names = ("mind", "precision", "recall", "density", "coverage")
    return [network.naming.frechet[0], network.naming.kernel[0], *(_name(one, "", network)[0] for one in names)]


def ratio_measure(ratio: Ratio, network: Network) -> Measure:
    """Return a Fréchet distance over that of other real pictures, as a report has it."""
    details = {"network": f"{network.name}@{network.sha256[:8]}", "resize": network.resize}
    details |= {"pictures": f"{ratio.pictures:.5g}", "other real pictures": f"{ratio.real:.5g}"}
    return Measure(*_name("fdr", "FDr", network), ratio.value, ratio.n, "lower", None, details)


def mean_ratio(ratios: Sequence[Measure]) -> Measure:
    """Return FDr^k, the mean over k networks."""
    value, n = float(np.mean([one.value for one in ratios])), min(one.n for one in ratios)
    details = {"networks": [one.details["network"] for one in ratios]}
    label = f"FDr^{len(ratios)} (mean over {len(ratios)} networks)"
    return Measure("fdr_mean", label, value, n, "lower", None, details)


def warnings_of(
    pictures: Statistics, reference: Statistics, network: Network, measures: Sequence[Measure] = ()
) -> list[str]:
    """Return what a reader of these numbers must know."""
    n, m = pictures.moments.n, reference.count
    warnings = list(network.caveats)
    if overlap.same_pictures(pictures, reference):
        warnings.append("The pictures and the reference are the same: no distance between them means anything.")
    else:
        warnings += overlap.notes_on(pictures, reference)
    least = n if m is None else min(n, m)
    if least < FEW:
        few = f"{n:,} pictures{'' if m is None else f' against {m:,} references'} are few"
        rank = f" and fewer than the {network.dim:,} features, " if least <= network.dim else ", "
        warnings.append(
            f"{few}{rank}so the Fréchet distance comes out too high: compare it only at the same counts, and trust the "
            "kernel distance (KID), which has no such bias. The interval tells the noise, not the bias."
        )
    if _too_many(pictures, reference):
        warnings.append(
            f"More than {MOST:,} pictures on a side: precision, recall, density and coverage (and CMMD) would compare "
            f"every two of them and are not measured, and the kernel distance is that of {kernel_distance.SUBSETS} "
            f"subsets of {SUBSET:,}. Measure --num {MOST} for all."
        )
    for one in measures:
        if one.key == network.naming.kernel[0] and one.value < 0:
            warnings.append(
                f"The {one.label} is negative: it is an unbiased estimate of a distance that is never below zero, so "
                "chance takes it there when the two sets hardly differ. Read it as compatible with zero."
            )
    return warnings


def _frechet(
    pictures: Statistics, reference: Statistics, network: Network, details: Mapping, groups: int, seed: int
) -> Measure:
    """Return the distance, its interval, and what it would be without each group of pictures, for paired tests.

    The interval is a jackknife's, from leaving out a group of pictures, then of references, in turn; errors of both add
    up. A bootstrap would draw pictures twice, which a Fréchet distance takes for a narrower set.
    """
    distance = frechet_distance(pictures.moments, reference.moments)
    left_out = _without_groups(pictures, reference.moments, groups, seed)
    interval = _interval(distance, pictures, reference, left_out, groups, seed)
    n = pictures.moments.n
    return Measure(*network.naming.frechet, distance, n, "lower", interval, details, left_out=left_out)


def _without_groups(side: Statistics, other: Moments, groups: int, seed: int) -> np.ndarray | None:
    """Return the distance without each of `groups` groups of this side's pictures; None for fewer than two groups."""
    groups = min(groups, side.moments.n // 2)
    if side.features is None or groups < 2:
        return None
    return np.array([frechet_distance(part, other) for part in leave_groups_out(side.features, groups, seed)])


def _interval(
    distance: float,
    pictures: Statistics,
    reference: Statistics,
    left_out: np.ndarray | None,
    groups: int,
    seed: int,
) -> tuple[float, float] | None:
    """Of the groups that both sides allow: `left_out` is taken where those of the pictures are as many."""
    sides = [(pictures, reference), (reference, pictures)]
    sides = [(side, other.moments) for side, other in sides if side.features is not None]
    groups = min([groups, *(side.moments.n // 2 for side, _ in sides)])
    if groups < 2:
        return None
    variance = 0.0
    for side, other in sides:
        if side is pictures and left_out is not None and len(left_out) == groups:
            parts = left_out
        else:
            parts = _without_groups(side, other, groups, seed)
        assert parts is not None, "each of these sides has as many groups"
        variance += (groups - 1) * float(np.var(parts))
    reach = float(scipy.stats.t.ppf(0.975, groups - 1)) * variance**0.5
    return max(0.0, distance - reach), distance + reach


def _extrapolated(
    pictures: Statistics, reference: Statistics, network: Network, details: Mapping, seed: int
) -> Iterator[Measure]:
    """Yield the distance that infinitely many pictures would have, nothing where there are too few to tell."""
    if pictures.features is None:
        return
    found = extrapolated(pictures.features, reference.moments, seed)
    if found is not None:
        key, label = network.naming.frechet
        label = f"{label.removesuffix(network.naming.mark)}∞{network.naming.mark}"
        facts = {**details, "line of": f"{POINTS} sets from {found.least:,}", "r²": round(found.fit, 4)}
        yield Measure(f"{key}_infinity", label, found.value, pictures.moments.n, "lower", None, facts)


def _mind(
    pictures: np.ndarray, reference: np.ndarray, network: Network, details: Mapping, groups: int, seed: int
) -> Measure:
    """Return MIND, its interval, and what it would be without each group of pictures, as for the Fréchet distance."""
    found = mind(pictures, reference, seed=seed, groups=groups)
    interval = None
    if found.left_out is not None and found.left_out_reference is not None:
        count = len(found.left_out)
        variance = (count - 1) * float(np.var(found.left_out) + np.var(found.left_out_reference))
        reach = float(scipy.stats.t.ppf(0.975, count - 1)) * variance**0.5
        interval = max(0.0, found.value - reach), found.value + reach
    facts = {**details, "projections": PROJECTIONS, "pictures a side": found.n}
    if interval is not None and found.left_out_of < PROJECTIONS:
        facts["interval over"] = f"{found.left_out_of} of the projections"
    name = _name("mind", "MIND", network)
    return Measure(*name, found.value, found.n, "lower", interval, facts, left_out=found.left_out)


def _kernel(pictures: np.ndarray, reference: np.ndarray, network: Network, details: Mapping, seed: int) -> Measure:
    n = len(pictures)
    if max(n, len(reference)) > MOST:
        return _kernel_of_subsets(pictures, reference, network, details, seed)
    subset = SUBSET if min(n, len(reference)) >= SUBSET else None
    found = kernel_distance.kid(pictures, reference, subset_size=subset, seed=seed)
    facts = {**details, **KERNEL}
    if found.of_subsets is not None:
        mean, deviation = found.of_subsets
        facts["100 subsets of 1,000"] = f"{mean:.6f} ± {deviation:.6f}"
    left_out = found.left_out if n >= LEAST else None
    name = network.naming.kernel
    return Measure(*name, found.value, n, "lower", found.interval, facts, left_out=left_out)


def _kernel_of_subsets(
    pictures: np.ndarray, reference: np.ndarray, network: Network, details: Mapping, seed: int
) -> Measure:
    """Return the distance of so many pictures that not every two of them are compared; nothing is left out in turn."""
    size = min(SUBSET, len(pictures), len(reference))
    mean, deviation = kernel_distance.kid_of_subsets(pictures, reference, size=size, seed=seed)
    reach = kernel_distance.NORMAL_95 * deviation / kernel_distance.SUBSETS**0.5
    estimate = f"unbiased, mean of {kernel_distance.SUBSETS} subsets of {size:,}"
    facts = {**details, **KERNEL, "estimate": estimate, "deviation": f"{deviation:.6f}"}
    return Measure(*network.naming.kernel, mean, len(pictures), "lower", (mean - reach, mean + reach), facts)


def _too_many(pictures: Statistics, reference: Statistics) -> bool:
    return max(pictures.moments.n, reference.moments.n if reference.counted else 0) > MOST


def _fidelity_and_diversity(
    pictures: Statistics, reference: Statistics, network: Network, details: Mapping, groups: int, seed: int
) -> Iterator[Measure]:
    """Precision, recall, density and coverage; none where there are too few pictures for the balls, or too many.

    Of precision and density each picture has a value. Recall and coverage are shares of the reference that the pictures
    reach together, so what another set of pictures would give is told by leaving groups of them out, beside.
    """
    if pictures.features is None or reference.features is None or _too_many(pictures, reference):
        return
    n = len(pictures.features)
    if min(n, len(reference.features)) <= prdc.DENSITY_NEIGHBOURS:
        return
    groups = min(groups, n // 2)
    shares = prdc.measure(
        pictures.features, reference.features, reference.radii, groups_of(n, groups, seed) if groups >= 2 else None
    )
    for name, values, without, neighbours in (
        ("precision", shares.precision, None, prdc.PRECISION_NEIGHBOURS),
        ("recall", shares.recall, shares.recall_without, prdc.PRECISION_NEIGHBOURS),
        ("density", shares.density, None, prdc.DENSITY_NEIGHBOURS),
        ("coverage", shares.coverage, shares.coverage_without, prdc.DENSITY_NEIGHBOURS),
    ):
        facts = {**details, "neighbours": neighbours}
        interval = mean_interval(values, seed) if without is None else _of_both_sides(values, without)
        own = {"values": values, "left_out": without}
        yield Measure(*_name(name, name, network), float(values.mean()), len(values), "higher", interval, facts, **own)


def _of_both_sides(values: np.ndarray, without: np.ndarray) -> tuple[float, float]:
    """Return the interval of a share of the reference: errors of its pictures, and of the groups left out, add up."""
    groups = len(without)
    variance = float(values.var(ddof=1)) / len(values) + (groups - 1) * float(np.var(without))
    reach = float(scipy.stats.t.ppf(0.975, groups - 1)) * variance**0.5
    return max(0.0, float(values.mean()) - reach), min(1.0, float(values.mean()) + reach)


def _name(key: str, label: str, network: Network) -> tuple[str, str]:
    """Return the key and the label of a measure that every network has."""
    return f"{network.naming.prefix}{key}", f"{label}{network.naming.mark}"
