"""What each reader of the text brings to a picture's fit to its caption: the work of `evaluation.text_contribution`."""

import dataclasses
import sys
from collections.abc import Mapping

import numpy as np

from evaluation.cli import command
from evaluation.cli.text_contribution import Options
from evaluation.drawing.text_contribution import FULL, SHUFFLED, WAYS, draw
from evaluation.metrics import clip_score
from evaluation.metrics.bootstrap import Difference, holm, paired_bootstrap
from evaluation.metrics.means import mean_of
from evaluation.networks.clip import Clip
from evaluation.prompts.blocks import linked
from evaluation.prompts.pairing import Pair
from evaluation.prompts.prompt_sets import read_chosen
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report


def measure(options: Options) -> Report:
    """Draw, judge and compare; ValueError says what is wrong or missing."""
    device = command.chosen_device(options.device)
    prompts = read_chosen(options.prompts, options.num, options.sampling_seed, options.sampling, None)
    clip = Clip(options.clip, device)
    clip.require()
    drawn = draw(
        prompts,
        options.out,
        options.checkpoint,
        seed=options.seed,
        batch_size=options.batch_size,
        device=device,
        draft=options.draft,
    )
    captions = [prompt.caption for prompt in prompts.prompts]
    scores = {}
    for way, files in drawn.files.items():
        pairs = [Pair(file, caption, None) for file, caption in zip(files, captions, strict=True)]
        found = clip_score.score(pairs, clip, options.batch_size, options.workers, options.seed, sys.stderr.isatty())
        scores[way] = 100 * found.cosine
    facts = {
        "checkpoint": options.checkpoint,
        "checkpoint_hash": drawn.checkpoint_hash,
        "prompts": prompts.name,
        "prompts_sha256": prompts.sha256,
        "draft": options.draft,
        "clip": clip.source,
        "clip_image_sha256": clip.sha256,
        "seed": options.seed,
        "tests": "paired by prompt and seed: bootstrap intervals, p-values by exchange within pairs, Holm's correction",
    }
    blocks = linked([(one.caption, *([one.reference] if one.reference else [])) for one in prompts.prompts])
    found = dataclasses.replace(found, blocks=blocks)
    warnings = [*prompts.notes, *clip_score.warnings_of(found, clip, options.checkpoint)]
    title = f"What {options.checkpoint} takes from the text, judged by {clip.source}"
    measures = measures_of(scores, options.seed, blocks)
    return Report(title, tuple(measures), report.provenance(device=device, **facts), tuple(dict.fromkeys(warnings)))


def measures_of(scores: Mapping[str, np.ndarray], seed: int = 0, blocks: np.ndarray | None = None) -> list[Measure]:
    """Return the mean CLIP score of each way, and what it lacks of the full text's, in pairs; `blocks` as `mean_of`.

    The share tells a difference in units of all that the text brings: 0 is the full text, 1 another prompt's.
    """
    found = []
    for way, values in scores.items():
        found.append(mean_of(f"clip_score@{way}", f"CLIP score, {WAYS[way]}", values, seed=seed, blocks=blocks))
    others = [way for way in scores if way != FULL]
    differences = [paired_bootstrap(scores[FULL], scores[way], seed, blocks=blocks) for way in others]
    corrected = holm([one.p for one in differences])
    whole = differences[others.index(SHUFFLED)]
    for way, one, p in zip(others, differences, corrected, strict=True):
        details: dict[str, object] = {"p, corrected": float(f"{p:.2g}"), "better in": f"{one.wins} of {one.n}"}
        if _is_something(whole):
            details["share of all"] = round(one.mean / whole.mean, 3)
        found.append(Measure(f"text@{way}", f"lost by: {WAYS[way]}", one.mean, one.n, "", one.interval, details))
    return found


def _is_something(whole: Difference) -> bool:
    """Whether another prompt's text costs more than chance, so that shares of it mean something."""
    return whole.interval[0] > 0
