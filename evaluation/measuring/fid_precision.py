"""How far features that were computed in bfloat16, and the distance of their sets, are from those in float32."""

from dataclasses import dataclass, replace

import numpy as np

from evaluation.measuring.fid_plan import FeatureSpec, Plan
from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.metrics.statistics import Statistics
from evaluation.networks.features import extract
from evaluation.networks.network import Network, open_network
from evaluation.reporting.measure import Measure

PICTURES = 128  # of either side, whose features are computed in float32 too


@dataclass(frozen=True)
class Deviation:
    """How far a few pictures are from float32.

    Attributes:
        precision: of the features that were measured.
        pictures: how many; `features` is their difference over their spread (root mean square), `apart` the Fréchet
            distance between both.
        references: how many; `measured` and `in_float32` are the Fréchet distances of the pictures to these. 0 where
            the reference is statistics without pictures.
    """

    precision: str
    pictures: int
    features: float
    apart: float
    references: int = 0
    measured: float = 0.0
    in_float32: float = 0.0

    @property
    def facts(self) -> dict[str, float]:
        """Return plain values for the provenance."""
        found = {"pictures": self.pictures, "features": self.features, "frechet_distance": self.apart}
        if self.references:
            found |= {"references": self.references, "distance": self.measured, "distance_in_float32": self.in_float32}
        return found

    @property
    def sentence(self) -> str:
        """Return it in words."""
        told = (
            f"In {self.precision} the features of the first {self.pictures} pictures differ from those in float32 by "
            f"{100 * self.features:.2g} % of their spread (root mean square); the distance between both is "
            f"{self.apart:.2g}."
        )
        if self.references:
            told += (
                f" From these to the first {self.references} references the Fréchet distance is {self.measured:.5g}, "
                f"in float32 {self.in_float32:.5g}."
            )
        return told

    def beside(self, measure: Measure) -> Measure:
        """Return a Fréchet distance with the deviation in its details, where that is known."""
        if not self.references or not self.in_float32:
            return measure
        off = f"{100 * (self.measured / self.in_float32 - 1):+.2g} % (of {self.pictures} pictures)"
        return replace(measure, details={**measure.details, "off float32": off})


def deviation(
    plan: Plan, spec: FeatureSpec, network: Network, pictures: Statistics, reference: Statistics
) -> Deviation:
    """Compute the features of a few pictures of either side in float32; `pictures` and `reference` are as measured."""
    assert pictures.features is not None, "they were just extracted"
    options, few = plan.options, plan.pictures[:PICTURES]
    exact = open_network(spec.network, spec.resize, options.inception_weights, device=plan.device)
    right = extract(few, exact, plan.size, options.batch_size, options.workers, progress=False)
    rounded = pictures.features[: len(few)]
    spread = float(np.sqrt(np.asarray(right, dtype=np.float64).var(0).mean()))
    noise = float(np.sqrt(np.square(rounded - right, dtype=np.float64).mean())) / spread
    apart = frechet_distance(Moments.of(rounded), Moments.of(right))
    found = Deviation(network.precision, len(few), noise, apart)
    if plan.real is None or reference.features is None:
        return found
    others = plan.real.pictures[:PICTURES]
    theirs = extract(others, exact, plan.size, options.batch_size, options.workers, progress=False)
    measured = frechet_distance(Moments.of(rounded), Moments.of(reference.features[: len(others)]))
    in_float32 = frechet_distance(Moments.of(right), Moments.of(theirs))
    return replace(found, references=len(others), measured=measured, in_float32=in_float32)
