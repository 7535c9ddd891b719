"""Stages against the clock: which ones each needs, and how long each may take."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dalle2.training.recipe import Recipe
from dalle2.training.resuming import read_snapshot


def check_minutes(minutes: float, recipe: Recipe) -> None:
    """Raise ValueError, with the least that works, for a smaller budget."""
    if not recipe.least_minutes <= minutes < math.inf:
        raise ValueError(
            f"--minutes {minutes:g} is not a budget: this recipe needs at least {recipe.least_minutes:g} (its "
            "least_minutes, for loading, compiling and writing the checkpoint)."
        )


def needs(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Return stage -> the stages whose weights it reads."""
    towers = "text" if recipe.text else "clip"
    needs: dict[str, tuple[str, ...]] = dict.fromkeys(recipe.stages, (towers,))
    needs |= {"clip": (), "text": ("clip",), "upsampler": ()}
    return needs


def parts(recipe: Recipe, stage: str) -> dict[str, float]:
    """Return the names of a stage's snapshots -> the part of the stage's time that each has."""
    if stage != "upsampler":
        return {stage: 1.0}
    plan = recipe.upsampler
    first = plan.steps / max(1, plan.steps + plan.last_steps)
    return {"super_res_first": first, "super_res_last": 1 - first}


def progress(folder: Path, part: str) -> float:
    """Return the share of its schedule that a stage has behind it, by its snapshot in a run's folder; 0 without one."""
    state = read_snapshot(folder / "snapshots" / f"{part}.pt")
    return state.get("progress", 0.0) if state else 0.0


@dataclass(frozen=True)
class Schedule:
    """When each stage has to be done.

    A stage takes its share of the longest chain of stages that need one another; what is in no such chain ends earlier
    and leaves the machine to the others. Where a stage comes late, all behind it in its chain are cut alike.

    Attributes:
        needs: as above. left: of each stage's share what is not behind it, by the names of its snapshots.
        end: when all must be done, on the clock of `pace`. unit: seconds for a share of 1.
    """

    needs: Mapping[str, tuple[str, ...]]
    left: Mapping[str, Mapping[str, float]]
    end: float
    unit: float

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, now: float, end: float) -> "Schedule":
        """Plan the stages that have no folder yet, from now on; those that were begun are resumed."""
        left = {}
        for stage in recipe.stages:
            plan = getattr(recipe, stage)
            share = plan.share if plan.steps and not (folder / stage).exists() else 0.0
            named = parts(recipe, stage).items()
            left[stage] = {part: own * share and own * share * (1 - progress(folder, part)) for part, own in named}
        schedule = cls(needs(recipe), left, end, 0.0)
        longest = max((schedule._chain(stage) for stage in left), default=0.0)
        return replace(schedule, unit=(end - now) / max(longest, 1e-9))

    def until(self, stage: str, part: str | None = None, now: float | None = None) -> float:
        """Return when this stage, or a part of it, has to be done, if the stage starts now."""
        now, left = time.monotonic() if now is None else now, self.left[stage]
        upto = list(left)[: len(left) if part is None else list(left).index(part) + 1]
        scale = min(self.unit, max(0.0, self.end - now) / max(self._chain(stage), 1e-9))
        return now + scale * sum(left[name] for name in upto)

    def _chain(self, stage: str) -> float:
        """Return the shares of this stage and of the longest chain behind it."""
        behind = [other for other in self.left if stage in self.needs[other]]
        return sum(self.left[stage].values()) + max((self._chain(other) for other in behind), default=0.0)
