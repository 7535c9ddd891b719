"""Stage "prior_linear": the linear prior in closed form, by ridge regression of the picture on the text embedding."""

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.networks.linear_prior import LinearPrior, features
from dalle2.training.batches import Pictures
from dalle2.training.clip import ClipTowers
from dalle2.training.loop import Run
from dalle2.training.recipe import LinearPriorRecipe
from dalle2.training.resuming import check_shapes, read_snapshot, write_snapshot
from dalle2.training.stage import TrainingStage

_HELD_OUT_BATCHES = 8


class NormalEquations:
    """Sums of products over rows, from which follow a ridge regression and, on any rows, a regression's error.

    One table in float64, (1 + inputs + outputs) squared, of the products of [1, x, y] with itself: rows can come in
    any portions, and the tables of portions add up to the table of all.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self.inputs = inputs
        self.sums = torch.zeros(1 + inputs + outputs, 1 + inputs + outputs, dtype=torch.float64)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Add rows x (n, inputs) and what they should give, y (n, outputs)."""
        rows = torch.cat([torch.ones(len(x), 1).to(x), x, y], dim=1).cpu().double()
        self.sums += rows.T @ rows

    def solve(self, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weight (outputs, inputs) and bias (outputs,) with the least mean squared error plus penalty.

        The penalty is ridge * sum of (weight * deviation of its input) ** 2, as if inputs had been standardised.
        """
        means = self.sums[0, 1:] / self.sums[0, 0]
        covariance = self.sums[1:, 1:] / self.sums[0, 0] - means.outer(means)
        inside, across = covariance[: self.inputs, : self.inputs], covariance[: self.inputs, self.inputs :]
        deviation = inside.diag().clamp(min=0).sqrt()
        deviation = deviation.clamp(min=1e-6 * deviation.max())  # an input that never varies says nothing
        correlation = inside / deviation.outer(deviation)
        penalised = correlation + ridge * torch.eye(self.inputs, dtype=torch.float64)
        weight = (torch.linalg.solve(penalised, across / deviation[:, None]) / deviation[:, None]).T
        return weight, means[self.inputs :] - weight @ means[: self.inputs]

    def errors(self, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return mean squared error (outputs,) of y = weight x + bias on the rows of this table."""
        outputs = len(bias)
        residual = torch.cat([-bias[:, None], -weight, torch.eye(outputs, dtype=torch.float64)], dim=1)
        return ((residual @ self.sums) * residual).sum(1) / self.sums[0, 0]

    def explained(self, weight: torch.Tensor, bias: torch.Tensor) -> float:
        """Return the share of the variance of y that y = weight x + bias explains on the rows of this table."""
        means = self.sums[0, 1 + self.inputs :] / self.sums[0, 0]
        unconditional = self.errors(torch.zeros_like(weight), means)
        return float(1 - self.errors(weight, bias).sum() / unconditional.sum())


class LinearPriorStage(TrainingStage):
    """Solved for, not descended to: the loss is the one that the solution minimises.

    Args:
        towers: the frozen CLIP.
    """

    name = "prior_linear"

    def __init__(self, plan: LinearPriorRecipe, towers: ClipTowers) -> None:
        super().__init__()
        self.plan, self.towers = plan, towers
        self.network = LinearPrior(embedding_dim=towers.text.config.projection_dim)

    @torch.no_grad()
    def pairs(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the prior reads of the captions (n, 2 * dim), and the embeddings of their pictures (n, dim)."""
        read = features(self.towers.read(batch.captions))
        return read, self.towers.embed_pictures(batch.pictures.to(read.device))

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        read, embeddings = self.pairs(batch)
        predicted = self.network.linear(read)
        return {
            "loss": F.mse_loss(predicted, embeddings),
            "cosine": torch.cosine_similarity(predicted, embeddings).mean(),
        }

    def fit(
        self, pictures: Pictures, held_out: Pictures | None, run: Run, until: float | None = None
    ) -> "LinearPriorStage":
        """Solve for the weights; the ridge is the one with the least held-out error.

        Without held-out pictures it is the smallest one. A killed run resumes from the sums of its last snapshot.
        Against the clock (`until`, as in `loop.fit`) it takes as many batches as there is time for, at least one.
        """
        snapshot = run.folder / "snapshots" / f"{self.name}.pt"
        trained, first = self._equations(), 0
        if state := read_snapshot(snapshot):
            check_shapes(snapshot, {"sums": state["sums"]}, {"sums": trained.sums})
            trained.sums, first = state["sums"], state["step"]
        every = self.plan.snapshot_every if until is None else 1
        while first < self.plan.steps and (first == 0 or until is None or time.monotonic() < until):
            last = min(first + every, self.plan.steps)
            trained.sums += self._sums(pictures, self.name, range(first, last), run)
            if run.accelerator.is_main_process:
                write_snapshot(snapshot, {"sums": trained.sums, "step": last})
            first = last
        watched, ridges = trained, (min(self.plan.ridges),)
        if held_out is not None:
            watched, ridges = self._equations(), self.plan.ridges
            watched.sums = self._sums(held_out, f"{self.name} held out", range(_HELD_OUT_BATCHES), run)
        solutions = {ridge: trained.solve(ridge) for ridge in ridges}
        explained = {ridge: watched.explained(*solution) for ridge, solution in solutions.items()}
        best = max(explained, key=explained.__getitem__)
        if run.accelerator.is_main_process:
            where = "training" if held_out is None else "held-out"
            tqdm.write(f"prior_linear: ridge {best:g} explains {explained[best]:.1%} of the {where} variance.")
        self.network.linear.load_state_dict(dict(zip(("weight", "bias"), solutions[best], strict=True)))
        return self

    def _equations(self) -> NormalEquations:
        return NormalEquations(self.network.linear.in_features, self.network.linear.out_features)

    def _sums(self, pictures: Pictures, name: str, steps: range, run: Run) -> torch.Tensor:
        """Return the sums over these steps' batches, over all processes."""
        equations = self._equations()
        for step in tqdm(steps, desc=name, leave=False, disable=not run.accelerator.is_main_process):
            equations.add(*self.pairs(pictures.batch(run.randomness(name, step, self.plan.batch_size))))
        device = run.accelerator.device
        return run.accelerator.reduce(equations.sums.to(device), "sum").cpu()

    def compiled(self) -> None:
        self.network.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "prior_linear")
