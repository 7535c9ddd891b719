"""Pictures of a folder against their captions: the work of `evaluation.clip_score`."""

import sys
from pathlib import Path

from evaluation.cli import command
from evaluation.cli.clip_score import Options
from evaluation.metrics import clip_score
from evaluation.networks.clip import Clip
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.pairing import read_pairs
from evaluation.reporting import report
from evaluation.reporting.report import Report


def score_folder(options: Options) -> Report:
    """Measure how well the pictures of a folder fit their captions; ValueError says what is wrong or missing."""
    images, device = Path(options.images), command.chosen_device(options.device)
    found = read_pairs(images, options.prompts, options.num, options.seed, options.sampling)
    pairs = found.pairs
    if len(pairs) < 2:
        raise ValueError(f"A score needs at least two pictures, not {len(pairs)}.")
    clip = Clip(options.clip, device, options.clip_processor)
    clip.require()
    scores = clip_score.score(pairs, clip, options.batch_size, options.workers, options.seed, sys.stderr.isatty())
    manifest = read_manifest(images.expanduser())
    checkpoint = options.checkpoint or (manifest.checkpoint if manifest else None)
    facts = {
        "images": str(images),
        "prompts": options.prompts or "the manifest's",
        "clip": clip.source,
        "clip_image_sha256": clip.sha256,
        "clip_text_sha256": clip.text_sha256,
        "picture_processor": "CLIPImageProcessorPil",
        "clip_processor": clip.processor,
        "seed": options.seed,
    }
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    return Report(
        f"CLIP score of {images.name}, judged by {clip.source}",
        tuple(clip_score.measures_of(scores, options.seed, options.preference)),
        report.provenance(device=device, **facts),
        (*found.notes, *clip_score.warnings_of(scores, clip, checkpoint)),
    )
