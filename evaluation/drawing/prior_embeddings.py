"""Image embeddings as a checkpoint's priors predict them, and those of the real pictures."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dalle2.cli.arguments import chosen_settings, open_checkpoint
from dalle2.model import UnclipModel
from dalle2.settings import Settings, check_seed
from evaluation.cli.prior import Options
from evaluation.drawing.cost import Stopwatch
from evaluation.pictures.loading import open_file
from evaluation.prompts.prompt_sets import PromptSet
from evaluation.prompts.sources import Prompt


@dataclass(frozen=True)
class Priors:
    """The kinds of prior of a checkpoint that are measured."""

    model: UnclipModel
    settings: Settings
    kinds: Sequence[str]

    @property
    def facts(self) -> dict[str, object]:
        """Return what decides their embeddings."""
        prior = self.settings.to_dict()["prior"] | {"kind": ", ".join(self.kinds)}
        model = self.model
        return {"checkpoint": model.checkpoint, "checkpoint_hash": model.checkpoint_hash, "settings": {"prior": prior}}


@dataclass(frozen=True, eq=False)
class Embedded:
    """(n, dim) of each kind of prior, of the captions' text and of the real pictures, and how long each kind took."""

    predicted: Mapping[str, np.ndarray]
    texts: np.ndarray
    true: np.ndarray
    watches: Mapping[str, Stopwatch]


def open_priors(options: Options) -> Priors:
    """Return the priors of the checkpoint that are asked for; ValueError for one that it does not have."""
    model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = chosen_settings(options, model)
    if not model.priors:
        raise ValueError(f"The checkpoint {model.checkpoint} has no prior, so there is nothing to measure.")
    kinds = (settings.prior.kind,) if options.prior and settings.prior else model.priors
    if absent := set(kinds) - set(model.priors):
        has = ", ".join(model.priors)
        raise ValueError(f"The checkpoint {model.checkpoint} has no {min(absent)} prior: it has {has}.")
    return Priors(model, settings, kinds)


def check_seeds(seed: int, count: int = 1) -> None:
    """Raise ValueError unless `seed` and the `count` - 1 after it are seeds."""
    check_seed(seed)
    check_seed(seed + count - 1)


def embed(priors: Priors, prompts: PromptSet, seed: int, batch_size: int) -> Embedded:
    """Return all embeddings of these prompts, prompt i drawn with the seed `seed` + i.

    ValueError unless each prompt has a real picture.
    """
    model, chosen = priors.model, prompts.prompts
    if any(prompt.reference is None for prompt in chosen):
        raise ValueError(f"{prompts.name} has no real pictures to embed: name a source that has them.")
    model.require("variations")
    batches = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
    true = np.concatenate([_true(model, batch) for batch in tqdm(batches, desc="pictures", unit="batch")])
    rows, watches = _drawn(model, batches, priors.settings, priors.kinds, seed)
    texts = np.concatenate([model.embed_text([prompt.caption for prompt in batch]).numpy() for batch in batches])
    return Embedded(rows, texts, true, watches)


def _drawn(
    model: UnclipModel, batches: Sequence[Sequence[Prompt]], settings: Settings, kinds: Sequence[str], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Stopwatch]]:
    """Each kind's embeddings (n, dim), and how long its batches took: the kinds take turns, after one batch each."""
    assert settings.prior is not None, "the model has priors"
    own = {kind: dataclasses.replace(settings, prior=dataclasses.replace(settings.prior, kind=kind)) for kind in kinds}
    watches = {kind: Stopwatch(len(batches[0])) for kind in kinds}
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}

    def draw(kind: str, batch: Sequence[Prompt], first: int) -> np.ndarray:
        start = watches[kind].start()
        drawn = model.embed_prompt([p.caption for p in batch], range(first, first + len(batch)), own[kind]).numpy()
        watches[kind].stop(start, len(batch))
        return drawn

    for kind in kinds:
        draw(kind, batches[0], seed)  # reads the weights, and is not timed
    first = seed
    for batch in tqdm(batches, desc=", ".join(kinds), unit="batch"):
        for kind in kinds:
            rows[kind].append(draw(kind, batch, first))
        first += len(batch)
    return {kind: np.concatenate(drawn) for kind, drawn in rows.items()}, watches


def _true(model: UnclipModel, batch: Sequence[Prompt]) -> np.ndarray:
    references = [prompt.reference for prompt in batch if prompt.reference is not None]
    assert len(references) == len(batch), "prompts without a picture are refused before"
    return model.embed_image([open_file(reference) for reference in references]).numpy()
