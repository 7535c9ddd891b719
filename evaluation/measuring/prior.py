"""How near priors come to the embeddings of real pictures: the work of `evaluation.prior`."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch

from evaluation.cli.prior import Options
from evaluation.drawing.cost import Stopwatch
from evaluation.drawing.prior_embeddings import Priors, check_seeds, embed, open_priors
from evaluation.metrics import retrieval
from evaluation.metrics.bootstrap import median_interval, paired_bootstrap
from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.metrics.means import mean_of, notes_on
from evaluation.metrics.retrieval import AMONG
from evaluation.pictures.survey import survey
from evaluation.prompts.blocks import linked
from evaluation.prompts.prompt_sets import PromptSet, read_chosen
from evaluation.reporting import report
from evaluation.reporting.measure import Better, Measure
from evaluation.reporting.report import Report

NONE = "no_prior"
LABELS = {NONE: "the text embedding, no prior"}


def measure_priors(options: Options) -> Report:
    """Measure every prior that is asked for, beside no prior at all; ValueError says what is wrong or missing."""
    check_seeds(options.seed)
    prompts = read_chosen(options.prompts, options.num, options.sampling_seed, options.sampling, options.protocol)
    check_seeds(options.seed, len(prompts.prompts))
    priors = open_priors(options)
    facts = priors.facts | {
        "prompts": prompts.name,
        "prompts_sha256": prompts.sha256,
        "sampling": dict(prompts.sampling),
        "seed": options.seed,
        "batch_size": options.batch_size,
    }
    measures, notes = measure(priors, prompts, options.seed, options.batch_size)
    return Report(
        f"The priors of {priors.model.checkpoint} on {prompts.name}",
        tuple(measures),
        report.provenance(device=str(priors.model.device), **facts),
        (*prompts.notes, *notes),
    )


def measure(priors: Priors, prompts: PromptSet, seed: int, batch_size: int) -> tuple[list[Measure], list[str]]:
    """Measure these priors in every way, prompt i drawn with the seed `seed` + i; also what a reader must know.

    ValueError unless there are two prompts, and each has a real picture.
    """
    if len(prompts.prompts) < 2:
        raise ValueError(f"A mean needs at least two prompts, not {len(prompts.prompts)}.")
    found = embed(priors, prompts, seed, batch_size)
    pictures = [prompt.reference for prompt in prompts.prompts if prompt.reference is not None]
    blocks = linked([(prompt.caption, picture) for prompt, picture in zip(prompts.prompts, pictures, strict=True)])
    alike = linked([(picture,) for picture in pictures])
    own = np.arange(len(pictures)) if alike is None else alike
    measures = [*_measures({**found.predicted, NONE: found.texts}, found.true, own, seed, blocks)]
    return [*measures, *_times(found.watches)], [*notes_on(blocks), *survey("the real pictures", pictures).notes]


def _measures(
    rows: Mapping[str, np.ndarray], true: np.ndarray, own: np.ndarray, seed: int, blocks: np.ndarray | None
) -> Iterator[Measure]:
    """By measure, each `kind` of rows (n, dim) beside the others.

    `true` (n, dim) are the pictures' own embeddings, and `own` (n,) which picture each is: several captions may be of
    one, which is no other picture to any of them. `blocks` as in `mean_of`.
    """
    unit, real, n = {kind: _unit(given) for kind, given in rows.items()}, _unit(true), len(true)
    moments, mean = Moments.of(true), partial(mean_of, seed=seed, blocks=blocks)
    distinct = real[np.unique(own, return_index=True)[1]]
    for kind, given in unit.items() if len(distinct) > 1 else ():
        found = retrieval.found_caption(given, distinct, own, seed)
        label = f"R@1 of its own picture among {min(AMONG, len(distinct))}"
        yield mean(*_name("recall_at_1", label, kind), found, _better(kind))
    for kind, given in rows.items():
        name = _name("frechet_distance", "Fréchet distance to the true embeddings", kind)
        yield Measure(*name, frechet_distance(Moments.of(given), moments), n, "lower" if kind != NONE else "")
    cosines = {kind: (given * real).sum(1) for kind, given in unit.items()}
    for kind, values in cosines.items():
        yield mean(*_name("cosine", "cosine to the true embedding", kind), values, _better(kind))
    for kind, values in cosines.items():
        if kind != NONE:
            gain = paired_bootstrap(values, cosines[NONE], seed, blocks=blocks)
            test = {"won": f"{gain.wins} : {gain.losses}", "p": f"{gain.p:.3g}"}
            name = _name("gain_in_cosine", "gain in cosine over no prior", kind)
            kept = {"values": values - cosines[NONE], "blocks": blocks}
            yield Measure(*name, gain.mean, n, "higher", gain.interval, test, **kept)
    for kind, given in unit.items():
        if kind != NONE and len(distinct) > 1:
            # Each prompt's prediction against the next picture.
            chance = (given * np.roll(distinct, -1, axis=0)[own]).sum(1)
            name = _name("cosine_to_another", "cosine to another picture's embedding", kind)
            yield mean(*name, chance, "lower")


def _times(watches: Mapping[str, Stopwatch]) -> Iterator[Measure]:
    """Yield the medians of whole batches, told of a prompt."""
    for kind, watch in watches.items():
        values = [1000 * seconds for seconds in watch.seconds]
        details = {"batch": watch.size, "timed batches": len(values)}
        n, interval = watch.size * len(values), median_interval(values)
        name = _name("milliseconds_a_prompt", "milliseconds a prompt", kind)
        yield Measure(*name, float(np.median(values)), n, "lower", interval, details)


def _unit(rows: np.ndarray) -> np.ndarray:
    return torch.nn.functional.normalize(torch.from_numpy(rows).double(), dim=1).numpy()


def _better(kind: str) -> Better:
    return "" if kind == NONE else "higher"


def _name(key: str, label: str, kind: str) -> tuple[str, str]:
    """Return the key and the label of a measure of a kind of prior."""
    return f"{key}_{kind}", f"{label} ({LABELS.get(kind, kind)})"
