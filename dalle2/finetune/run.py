"""A finetuning from pictures to file: own pictures, then the three stages; resumable by what a run's folder keeps."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from dalle2 import atomic
from dalle2.datasets.picture_columns import fingerprint_of
from dalle2.families.karlo.learning import FAMILY, add_word
from dalle2.families.karlo.model import KarloModel
from dalle2.families.lora import WORD, LoraMetadata, write
from dalle2.families.places import public_name
from dalle2.finetune.adapters import restore
from dalle2.finetune.data import FinetuningData, Word
from dalle2.finetune.folder import Picture
from dalle2.finetune.own import OwnPictures, own_prompts
from dalle2.finetune.stages import FILE, DecoderStage, PriorStage, WordStage
from dalle2.networks.text_encoder import PromptTokenizer
from dalle2.training.loop import Run, fit, read_reports
from dalle2.training.recipe import Fit

STAGES = ("word", "prior", "decoder")
RATES = {"word": 2e-3, "prior": 1e-3, "decoder": 1.5e-3}
BATCHES = {"word": 32, "prior": 32, "decoder": 16}
NEW_SHARES = {"word": 0.5, "prior": 0.5, "decoder": 2 / 3}
SHARES = {"word": 0.1, "prior": 0.35, "decoder": 0.55}  # of the time that is left
SNAPSHOT_EVERY = 25  # steps
CLOSING_SECONDS = 5.0  # to write the file


@dataclass(frozen=True)
class Plan:
    """How it is taught.

    Attributes:
        name: the new word. kind: "style" or "concept".
        steps: of each of `STAGES`; with `minutes` they count for nothing, but that 0 is still none.
        rank: of the changes. own: how many pictures the checkpoint draws first. keep: how heavily its predictions for
        these weigh.
    """

    name: str
    kind: str
    steps: tuple[int, int, int] = (300, 200, 200)
    rank: int = 16
    own: int = 120
    keep: float = 4.0
    seed: int = 0

    def fit(self, stage: str) -> Fit:
        """Return how a stage is optimised."""
        return Fit(
            steps=self.steps[STAGES.index(stage)],
            batch_size=BATCHES[stage],
            learning_rate=RATES[stage],
            weight_decay=0.0,
            snapshot_every=SNAPSHOT_EVERY,
        )


class Finetuning:
    """What a model is taught; it is changed by it, and of no other use afterwards.

    Args:
        run: where snapshots are. until: when the stages have to be done, on the monotonic clock; None where steps
        count.
    """

    def __init__(
        self, model: KarloModel, pictures: Sequence[Picture], plan: Plan, run: Run, until: float | None = None
    ) -> None:
        self.model, self.pictures, self.plan, self.run, self.until = model, pictures, plan, run, until
        self.base = model.checkpoint_hash

    def check(self) -> None:
        """ValueError where the run's folder was begun with other pictures, weights or options; else keep these."""
        words = [(one.name, one.caption) for one in self.pictures]
        digest = fingerprint_of([one.picture.tobytes() for one in self.pictures], words)
        here = json.loads(json.dumps(asdict(self.plan) | {"pictures": digest, "checkpoint_hash": self.base}))
        file = self.run.folder / "plan.json"
        if not file.exists():
            with atomic.file(file) as partial:
                partial.write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
            return
        begun = json.loads(file.read_text(encoding="utf-8"))
        if different := [key for key in here if here[key] != begun.get(key)]:
            raise ValueError(
                f"{self.run.folder} was begun otherwise: {different[0].replace('_', ' ')} differs. Give the same "
                "pictures and options to resume, or remove that folder."
            )

    def own(self) -> OwnPictures:
        """Return the checkpoint's own pictures, drawn unless they are there."""
        file, parts = self.run.folder / "own.safetensors", self.model.parts
        if not file.exists():
            captions = list(dict.fromkeys(one.caption for one in self.pictures))
            prompts = own_prompts(self.model, captions, self.plan.own, self.plan.seed)
            OwnPictures.draw(self.model, prompts, parts.decoder.config.sample_size).write(file)
        return OwnPictures.read(file)

    def train(self, own: OwnPictures) -> dict[str, torch.Tensor]:
        """Train what is not finished, and return the tensors of the LoRA file."""
        parts, plan = self.model.parts, self.plan
        word = Word(plan.name, plan.kind)
        data = FinetuningData.of_pictures(self.pictures, self.model, own, word, 0.5)
        place = add_word(parts.tokenizer, parts.text_encoder, plan.name, _first(parts, plan.name))
        torch.manual_seed(plan.seed)
        stage = self._stage(WordStage(parts, place), data)
        stage.take_out()
        tensors = {WORD: stage.words.row.detach().cpu()}
        for made in (
            lambda: PriorStage(parts, plan.rank, plan.keep),
            lambda: DecoderStage(parts, plan.rank, plan.keep, own.seen.std(0)),
        ):
            torch.manual_seed(plan.seed)  # the changes begin with numbers of their own
            stage = self._stage(made(), data)
            tensors |= {f"{stage.name}.{name}": tensor.half() for name, tensor in stage.learnt().items()}
        return tensors

    @property
    def steps(self) -> list[int]:
        """How many steps each of `STAGES` took; of a run against the clock as it tells."""
        told = read_reports(self.run.folder)
        pairs = zip(STAGES, self.plan.steps, strict=True)
        return [told[stage]["steps"] if stage in told else steps for stage, steps in pairs]

    def write(self, file: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
        """Write the LoRA file, whole or not at all."""
        plan = self.plan
        scales = dict.fromkeys(("prior", "decoder"), 1.0)  # alpha is the rank
        checkpoint = public_name(self.model.checkpoint)
        taught = LoraMetadata(plan.name, plan.kind, FAMILY, checkpoint, self.base, scales, about)
        write(file, taught, {name: tensor.cpu() for name, tensor in tensors.items()})

    def _stage(self, stage: Any, data: FinetuningData) -> Any:
        """Train a stage, or read what it learnt, and return it in evaluation mode."""
        folder = self.run.folder / stage.name
        data.new_share = NEW_SHARES[stage.name]
        if folder.exists():
            _read(stage, load_file(folder / FILE))
            return stage.eval()
        plan = self.plan.fit(stage.name)
        stage = fit(stage, data, None, plan, self.run, self._until(stage.name))  # ty: ignore[invalid-argument-type]
        with atomic.folder(folder) as partial:
            stage.save(partial)
        return stage

    def _until(self, stage: str) -> float | None:
        """Return when a stage has to be done: its share of what is left is its own."""
        if self.until is None:
            return None
        now, rest = time.monotonic(), STAGES[STAGES.index(stage) :]
        left = max(0.0, self.until - CLOSING_SECONDS - now)
        return now + left * SHARES[stage] / sum(SHARES[name] for name in rest)


def _first(parts: Any, name: str) -> torch.Tensor:
    """Return the embedding that a new word begins with: the mean of what it was read as, as long as others are."""
    table = parts.text_encoder.get_input_embeddings().weight.detach()
    tokenizer = PromptTokenizer(parts.tokenizer, parts.text_encoder.config.max_position_embeddings)
    mean = table[tokenizer.tokenize([name])[0][1:-1]].mean(0)
    return mean * table.norm(dim=1).median() / mean.norm().clamp(min=1e-6)


@torch.no_grad()
def _read(stage: Any, saved: Mapping[str, torch.Tensor]) -> None:
    if isinstance(stage, WordStage):
        stage.words.row.copy_(saved[WORD])
    else:
        restore(stage.network, saved)
