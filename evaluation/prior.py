"""python -m evaluation.prior: how near the priors' image embeddings come to those of the real pictures.

    python -m evaluation.prior --checkpoint C --prompts coco:COCO --num 500
    python -m evaluation.prior --prompts emoji:data/emoji/test-pictures --report priors.md

Every prior of the checkpoint, or the one that --prior names, one under another: whether the predicted embedding finds
its own picture among a hundred, the Fréchet distance to the true embeddings, the cosine to the true one, and the time.
Beside them stands what no prior at all would reach: the caption's own text embedding in its place (paper, section
5.1), and the picture of another prompt. All in the checkpoint's own space: no picture is drawn.
"""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from tqdm import tqdm

from dalle2.cli.arguments import add_arguments, chosen_settings, open_checkpoint
from dalle2.model import UnclipModel
from dalle2.settings import Settings, check_seed
from evaluation.cli import command
from evaluation.comparing.cost import Stopwatch
from evaluation.metrics import retrieval
from evaluation.metrics.bootstrap import mean_interval, median_interval, paired_bootstrap
from evaluation.metrics.retrieval import AMONG
from evaluation.metrics.statistics import Moments, frechet_distance
from evaluation.pictures.image_folder import open_file
from evaluation.prompts import prompt_sets
from evaluation.prompts.prompt_sets import Prompt, PromptSet
from evaluation.reporting import report
from evaluation.reporting.report import Measure, Report

NONE = "the text embedding, no prior"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with command.sentences(parser.prog):
        command.keep(options.report, (options.prompts,))
        check_seed(options.seed)
        prompts = prompt_sets.chosen_prompts(options)
        check_seed(options.seed + len(prompts.prompts) - 1)
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
        settings = chosen_settings(options, model)
        kinds = (settings.prior.kind,) if options.prior else model.priors
        if absent := set(kinds) - set(model.priors):
            has = ", ".join(model.priors)
            raise ValueError(f"The checkpoint {model.checkpoint} has no {min(absent)} prior: it has {has}.")
        facts = {
            "checkpoint": model.checkpoint,
            "checkpoint_hash": model.checkpoint_hash,
            "settings": {"prior": settings.to_dict()["prior"] | {"kind": ", ".join(kinds)}},
            "prompts": prompts.name,
            "prompts_sha256": prompts.sha256,
            "sampling": dict(prompts.sampling),
            "seed": options.seed,
            "batch_size": options.batch_size,
        }
        measures = measure(model, prompts, settings, kinds, options.seed, options.batch_size)
        found = Report(
            f"The priors of {model.checkpoint} on {prompts.name}",
            tuple(measures),
            report.provenance(device=str(model.device), **facts),
            prompts.notes,
        )
        report.deliver(found, options.report)


def measure(
    model: UnclipModel,
    prompts: PromptSet,
    settings: Settings,
    kinds: Sequence[str],
    seed: int,
    batch_size: int,
) -> list[Measure]:
    """All measures of these priors, prompt i drawn with the seed `seed` + i.

    ValueError unless each prompt has a real picture.
    """
    chosen = prompts.prompts
    if len(chosen) < 2:
        raise ValueError(f"A mean needs at least two prompts, not {len(chosen)}.")
    if any(prompt.reference is None for prompt in chosen):
        raise ValueError(f"{prompts.name} has no real pictures to embed: name a source that has them.")
    model.require("variations")
    batches = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
    true = np.concatenate([_true(model, batch) for batch in tqdm(batches, desc="pictures", unit="batch")])
    rows, watches = _drawn(model, batches, settings, kinds, seed)
    texts = np.concatenate([model.embed_text([prompt.caption for prompt in batch]).numpy() for batch in batches])
    return [*_measures({**rows, NONE: texts}, true, seed), *_times(watches)]


def _measures(rows: Mapping[str, np.ndarray], true: np.ndarray, seed: int) -> Iterator[Measure]:
    """By measure, each `kind` of rows (n, dim) beside the others; `true` (n, dim) are the pictures' own embeddings."""
    unit, real, n = {kind: _unit(given) for kind, given in rows.items()}, _unit(true), len(true)
    moments = Moments.of(true)
    for kind, given in unit.items():
        found = retrieval.found_caption(given, real, np.arange(n), seed)
        yield _mean(f"R@1 of its own picture among {min(AMONG, n)} ({kind})", found, _better(kind), seed)
    for kind, given in rows.items():
        distance = frechet_distance(Moments.of(given), moments)
        yield Measure(f"Fréchet distance to the true embeddings ({kind})", distance, n, "lower" if kind != NONE else "")
    cosines = {kind: (given * real).sum(1) for kind, given in unit.items()}
    for kind, values in cosines.items():
        yield _mean(f"cosine to the true embedding ({kind})", values, _better(kind), seed)
    for kind, values in cosines.items():
        if kind != NONE:
            gain = paired_bootstrap(values, cosines[NONE], seed)
            test = {"won": f"{gain.wins} : {gain.losses}", "p": f"{gain.p:.3g}"}
            yield Measure(f"gain in cosine over no prior ({kind})", gain.mean, n, "higher", gain.interval, test)
    for kind, given in unit.items():
        if kind != NONE:
            # Each prompt's prediction against the picture of the next one.
            chance = (given * np.roll(real, -1, axis=0)).sum(1)
            yield _mean(f"cosine to another picture's embedding ({kind})", chance, "lower", seed)


def _drawn(
    model: UnclipModel, batches: Sequence[Sequence[Prompt]], settings: Settings, kinds: Sequence[str], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Stopwatch]]:
    """Each kind's embeddings (n, dim), and how long its batches took: the kinds take turns, after one batch each."""
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


def _times(watches: Mapping[str, Stopwatch]) -> Iterator[Measure]:
    """The medians of whole batches, told of a prompt."""
    for kind, watch in watches.items():
        values = [1000 * seconds for seconds in watch.seconds]
        details = {"batch": watch.size, "timed batches": len(values)}
        n, interval = watch.size * len(values), median_interval(values)
        yield Measure(f"milliseconds a prompt ({kind})", float(np.median(values)), n, "lower", interval, details)


def _true(model: UnclipModel, batch: Sequence[Prompt]) -> np.ndarray:
    return model.embed_image([open_file(prompt.reference) for prompt in batch]).numpy()


def _unit(rows: np.ndarray) -> np.ndarray:
    return torch.nn.functional.normalize(torch.from_numpy(rows).double(), dim=1).numpy()


def _better(kind: str) -> str:
    return "" if kind == NONE else "higher"


def _mean(name: str, values: np.ndarray, better: str, seed: int) -> Measure:
    return Measure(name, float(values.mean()), len(values), better, mean_interval(values, seed))


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m evaluation.prior",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prompt_sets.add_arguments(parser)
    parser.add_argument("--seed", type=command.whole, default=0, help="of prompt 0; prompt i has SEED + i; default 0")
    parser.add_argument("--batch-size", type=command.positive, default=32, help="default 32")
    add_arguments(parser)
    command.add_report(parser)
    return parser


if __name__ == "__main__":
    main()
