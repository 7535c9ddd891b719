"""python -m evaluation.prior: how near the prior's image embeddings come to those of the real pictures.

    python -m evaluation.prior --checkpoint C --prompts coco:COCO --num 500

The cosine of predicted and true image embedding, beside what no prior at all would reach: the caption's own text
embedding in its place (paper, section 5.1), and the picture of another prompt.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from dalle2.arguments import add_arguments, chosen_settings, open_checkpoint
from dalle2.images import open_picture
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from evaluation import prompts as prompt_sets
from evaluation import report
from evaluation.bootstrap import mean_interval, paired_bootstrap
from evaluation.prompts import PromptSet
from evaluation.report import Measure, Report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write the reports; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        prompts = prompt_sets.chosen_prompts(options)
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
        settings = chosen_settings(options, model)
        facts = {
            "checkpoint": model.checkpoint,
            "checkpoint_hash": model.checkpoint_hash,
            "settings": settings.to_dict(),
            "prompts": prompts.name,
            "prompts_sha256": prompts.sha256,
            "sampling": dict(prompts.sampling),
            "seed": options.seed,
        }
        measures = measure(model, prompts, settings, options.seed, options.batch_size)
        found = Report(
            f"The prior of {model.checkpoint} on {prompts.name}",
            tuple(measures),
            report.provenance(device=str(model.device), **facts),
        )
        report.show(found)
        for path in options.report:
            report.write(found, path)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def measure(model: UnclipModel, prompts: PromptSet, settings: Settings, seed: int, batch_size: int) -> list[Measure]:
    """The cosines over all prompts, prompt i of the seed `seed` + i; ValueError unless each has a real picture."""
    chosen = prompts.prompts
    if len(chosen) < 2:
        raise ValueError(f"A mean needs at least two prompts, not {len(chosen)}.")
    references = [prompt.reference for prompt in chosen if prompt.reference is not None]
    if len(references) < len(chosen):
        raise ValueError(f"{prompts.name} has no real pictures to embed: name a source that has them.")
    model.require("variations")
    parts: dict[str, list[torch.Tensor]] = {"predicted": [], "text": [], "true": []}
    for start in tqdm(range(0, len(chosen), batch_size), unit="batch"):
        captions = [prompt.caption for prompt in chosen[start : start + batch_size]]
        seeds = [seed + start + index for index in range(len(captions))]
        parts["predicted"].append(model.embed_prompt(captions, seeds, settings))
        parts["text"].append(model.embed_text(captions))
        pictures = [open_picture(path) for path in references[start : start + batch_size]]
        parts["true"].append(model.embed_image(pictures))
    unit = {
        name: torch.nn.functional.normalize(torch.cat(rows).double(), dim=1).numpy() for name, rows in parts.items()
    }
    predicted, text = ((unit[name] * unit["true"]).sum(1) for name in ("predicted", "text"))
    gain = paired_bootstrap(predicted, text, seed)
    test = {"won": f"{gain.wins} : {gain.losses}", "p": f"{gain.p:.3g}"}
    # Each prompt's prediction against the picture of the next one.
    chance = (unit["predicted"] * np.roll(unit["true"], -1, axis=0)).sum(1)
    return [
        _mean("cosine of predicted and true image embedding", predicted, "higher", seed),
        _mean("… of text and true image embedding (no prior)", text, "", seed),
        Measure("gain of the prior", gain.mean, gain.n, "higher", gain.interval, test),
        _mean("… of predicted and another picture's embedding", chance, "lower", seed),
    ]


def _mean(name: str, values: np.ndarray, better: str, seed: int) -> Measure:
    return Measure(name, float(values.mean()), len(values), better, mean_interval(values, seed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.prior", description=__doc__.split("\n")[0][28:])
    prompt_sets.add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of prompt 0; prompt i has SEED + i; default 0")
    parser.add_argument("--batch-size", type=int, default=32)
    add_arguments(parser)
    parser.add_argument(
        "--report", action="append", default=[], metavar="FILE", help=".json .csv .md .html; repeatable"
    )
    return parser


if __name__ == "__main__":
    main()
