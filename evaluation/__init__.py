"""The ruler: prompts, pictures, features, statistics, numbers, reports.

From Python:

    >>> import evaluation
    >>> report = evaluation.compute_fid("drawn", "photos", network="judge", num=1000)
    >>> {measure.key: measure.value for measure in report.measures}

Each further keyword is a field of the command's `Options` (`evaluation.cli.fid.Options` and its like), of the same name
as the option. Nothing heavy is imported before something is measured.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dalle2  # noqa: F401  # guards what is run as a command, before anything heavy is imported

if TYPE_CHECKING:
    from dalle2.judgements.study import Study
    from evaluation.comparing.bisection import Bisection
    from evaluation.comparing.comparison import Comparison
    from evaluation.measuring.leaderboard import Leaderboard
    from evaluation.measuring.selftest import Selftest
    from evaluation.metrics.statistics import Statistics
    from evaluation.pictures.manifest import Manifest
    from evaluation.reporting.report import Report

__all__ = [
    "bisect_snapshots",
    "check_known_answers",
    "compare_contestants",
    "compute_clip_score",
    "compute_composition",
    "compute_fid",
    "compute_prior",
    "compute_ssim_psnr",
    "compute_text_contribution",
    "compute_vqa",
    "count_votes",
    "draw",
    "make_study",
    "merge_statistics",
    "read_results",
]


def compute_fid(
    images: str | Path, reference: str | Path, *, network: str | Sequence[str] = "inception", **options: Any
) -> "Report":
    """Compute FID, KID, MIND, precision, recall, density, coverage and Inception score; `python -m evaluation.fid`.

    `reference` is a folder of real pictures, or an .npz of their statistics; `network` one or more of "inception",
    "sfid", "judge", "clip:SOURCE" and "hf:SOURCE". ValueError says what is wrong or missing.
    """
    from evaluation import fid

    networks = (network,) if isinstance(network, str) else tuple(network)
    return fid.run(fid.Options(Path(images), Path(reference), network=networks, **options))


def compute_clip_score(
    images: str | Path, prompts: str | None = None, *, clip: str = "judge", **options: Any
) -> "Report":
    """Measure how well the pictures of a folder fit their captions; `python -m evaluation.clip_score`.

    `prompts` is the source of the captions, None for the folder's manifest. ValueError says what is wrong or missing.
    """
    from evaluation import clip_score

    return clip_score.run(clip_score.Options(Path(images), prompts, clip=clip, **options))


def compute_ssim_psnr(images: str | Path | None, reference: str | Path, **options: Any) -> "Report":
    """Compute SSIM, MS-SSIM, PSNR and LPIPS of pairs; `python -m evaluation.ssim_psnr`.

    Without `images` a checkpoint draws the reference again. ValueError says what is wrong or missing.
    """
    from evaluation import ssim_psnr

    pictures = None if images is None else Path(images)
    return ssim_psnr.run(ssim_psnr.Options(Path(reference), pictures, **options))


def compute_prior(prompts: str, *, checkpoint: str | None = None, **options: Any) -> "Report":
    """Measure how near a checkpoint's priors come to the embeddings of real pictures; `python -m evaluation.prior`."""
    from evaluation import prior

    return prior.run(prior.Options(prompts, checkpoint=checkpoint, **options))


def compute_text_contribution(prompts: str, out: str | Path, *, checkpoint: str = "emoji", **options: Any) -> "Report":
    """Draw prompts with the text left out of prior, decoder and both; `python -m evaluation.text_contribution`."""
    from evaluation import text_contribution

    return text_contribution.run(text_contribution.Options(prompts, Path(out), checkpoint=checkpoint, **options))


def compute_composition(data: str | Path, out: str | Path, *, contestant: str = "emoji", **options: Any) -> "Report":
    """Draw scenes, and judge things, number, place and colour; `python -m evaluation.composition`."""
    from evaluation import composition

    return composition.run(composition.Options(Path(data), Path(out), contestant, **options))


def compute_vqa(images: str | Path, answers: str | Path, *, url: str, model: str, **options: Any) -> "Report":
    """Ask a model behind an endpoint about the pictures of a folder; `python -m evaluation.vqa`.

    `answers` is the .jsonl file that keeps what was answered. ValueError says what is wrong, or still unanswered.
    """
    from evaluation import vqa

    return vqa.run(vqa.Options(Path(images), url, model, Path(answers), **options))


def make_study(*folders: str | Path, out: str | Path, **options: Any) -> "Study":
    """Make pairs of drawn folders for people to judge; `python -m evaluation.study`."""
    from evaluation import study

    return study.run(study.Options(tuple(map(Path, folders)), Path(out), **options))


def count_votes(votes: str | Path, **options: Any) -> "Report":
    """Count a study's answers, or the page's votes; `python -m evaluation.votes`."""
    from evaluation import votes as command

    return command.run(command.Options(Path(votes), **options))


def merge_statistics(*parts: str | Path, save_stats: str | Path) -> "Statistics":
    """Merge saved statistics of different pictures, taken alike, and save them; `python -m evaluation.merge`."""
    from evaluation import merge

    options = merge.Options(tuple(map(Path, parts)), Path(save_stats))
    found = merge.run(options)
    found.save(options.save_stats)
    return found


def read_results(folder: str | Path, title: str = "Leaderboard") -> "Leaderboard":
    """Read a folder of reports as a leaderboard; `python -m evaluation.leaderboard`."""
    from evaluation import leaderboard

    return leaderboard.run(leaderboard.Options(Path(folder), title))


def check_known_answers(**options: Any) -> "Selftest":
    """Measure what answers are known to, and tell which come out otherwise here; `python -m evaluation.selftest`."""
    from evaluation import selftest

    return selftest.run(selftest.Options(**options))


def compare_contestants(*contestants: str, out: str | Path, **options: Any) -> "Comparison":
    """Compare checkpoints or drawn folders, and tell what of a difference is chance; `python -m evaluation.compare`.

    What is drawn lies in `out`; reports are the caller's: see `evaluation.comparing.output`.
    """
    from evaluation import compare

    return compare.run(compare.Options(contestants, Path(out), **options))


def bisect_snapshots(*snapshots: str, out: str | Path, fail_if: str | Sequence[str], **options: Any) -> "Bisection":
    """Find the first checkpoint of a training run that is worse than the first of all; `python -m evaluation.bisect`.

    What is drawn lies in `out`; reports are the caller's: see `evaluation.comparing.bisection_page`.
    """
    from evaluation import bisect

    conditions = (fail_if,) if isinstance(fail_if, str) else tuple(fail_if)
    return bisect.run(bisect.Options(snapshots, Path(out), fail_if=conditions, **options))


def draw(prompts: str, out: str | Path, *, checkpoint: str | None = None, **options: Any) -> "Manifest":
    """Draw a prompt set into a folder, or what is missing of it; `python -m evaluation.generation`."""
    from evaluation import generation

    return generation.run(generation.Options(prompts, Path(out), checkpoint=checkpoint, **options))
