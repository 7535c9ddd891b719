"""Scenes judged task by task, beside chance and beside true compositions: the work of `evaluation.composition`."""

import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evaluation.cli import command, scorecard
from evaluation.cli.composition import Options
from evaluation.comparing.contestants import Contestant
from evaluation.emoji import scenes
from evaluation.emoji.embedded_set import EmbeddedSet
from evaluation.emoji.emoji_set import read_emoji_set
from evaluation.emoji.scene_tasks import THINGS_AND_PLACE, Task, of_colours, of_scenes
from evaluation.emoji.scorecard import checkpoint_of, draw_list, trained_on
from evaluation.metrics.bootstrap import RESAMPLES, sign_test
from evaluation.networks.clip import Clip, ClipFeatures, conditioned
from evaluation.networks.embedded import JUDGES
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

LABELS = {
    "things": "two things: both are the ones asked for",
    "number": "number: two, three or four of a thing",
    "place": "place: left, right, above or below",
    "colour": "colour: of a thing that comes in several",
    THINGS_AND_PLACE: "two things in their place: both of it right",
}
PARTS = ("things", "number", "place", "colour")  # whose mean is told as GenEval's overall score is


def judge(options: Options) -> Report:
    """Draw the scenes and judge them: see `evaluation.composition.run`."""
    device = command.chosen_device(options.device)
    name, checkpoint = options.contestant, checkpoint_of(options.contestant)
    emoji = read_emoji_set(options.data)
    trained, notes = trained_on(checkpoint, emoji)
    clip = Clip(options.clip, device)
    clip.require()
    lists = ["scenes", "colours"]
    if not any(pair.label in scenes.families(emoji.labels) for pair in trained):
        lists, notes = (
            lists[:1],
            [*notes, "Nothing that it was trained on comes in several colours: none is asked for."],
        )
    drawing = scorecard.Options(
        options.data,
        options.out,
        name,
        num=4 * options.num,  # of which a scorecard takes a quarter
        seed=options.seed,
        batch_size=options.batch_size,
        device=device,
    )
    drawn = {what: draw_list([name], what, drawing, emoji, trained)[0] for what in lists}
    network = ClipFeatures(clip.source, device)
    data = EmbeddedSet(emoji, trained, clip, network, drawn, options.seed, options.workers, sys.stderr.isatty())
    tasks = [*of_scenes(data), *([of_colours(data)] if "colours" in drawn else [])]
    return Report(
        f"Composition of {name}, judged by {clip.source}",
        (
            *(_measure(LABELS[task.key], [task], options.seed, task.key) for task in tasks),
            *_overall(tasks, options.seed),
        ),
        report.provenance(device=device, **_facts(options, clip, drawn)),
        (*notes, *_caveats(clip, checkpoint)),
    )


def _overall(tasks: Sequence[Task], seed: int) -> Iterator[Measure]:
    """Yield the mean over tasks, each counting the same; nothing where one is missing."""
    parts = [task for task in tasks if task.key in PARTS]
    if len(parts) == len(PARTS):
        yield _measure("overall: the mean of things, number, place and colour", parts, seed)


def _measure(label: str, tasks: Sequence[Task], seed: int, key: str = "overall") -> Measure:
    """Return the mean of the tasks' shares, with what it is to be held against."""
    drawn, true = ([getattr(task, side) for task in tasks] for side in ("drawn", "true"))
    (value, interval), (ceiling, (low, high)) = _mean(drawn, seed), _mean(true, seed)
    chance = float(np.mean([task.chance for task in tasks]))
    details = {"by chance": f"{chance:.1%}", "true compositions": f"{ceiling:.1%} ({low:.1%} … {high:.1%})"}
    values = drawn[0] if len(drawn) == 1 else None
    return Measure(key, label, value, sum(map(len, drawn)), "higher", interval, details, values=values)


def _mean(parts: Sequence[np.ndarray], seed: int) -> tuple[float, tuple[float, float]]:
    """Return the mean of the parts' shares, and its interval: Wilson's for one, else by drawing each part anew.

    Things and places are judged on the same pictures, and drawn as if they were not.
    """
    value = float(np.mean([part.mean() for part in parts]))
    if len(parts) == 1:
        right = int(parts[0].sum())
        return value, sign_test(right, len(parts[0]) - right)[1]
    rng = np.random.default_rng(seed)
    drawn = [rng.binomial(len(part), part.mean(), RESAMPLES) / len(part) for part in parts]
    low, high = np.quantile(np.mean(drawn, axis=0), (0.025, 0.975))
    return value, (float(low), float(high))


def _facts(options: Options, clip: Clip, drawn: Mapping[str, Contestant]) -> dict[str, object]:
    kept = {
        "checkpoint",
        "checkpoint_hash",
        "settings",
        "picture_size",
        "dtype",
        "prompts",
        "prompts_sha256",
        "pictures",
    }
    manifest = drawn["scenes"].manifest
    facts: dict[str, object] = {"contestant": options.contestant, "data": str(options.data), "seed": options.seed}
    facts |= {"judge": clip.source, "judge_image_sha256": clip.sha256, "judge_text_sha256": clip.text_sha256}
    facts["generation"] = manifest.model_dump(mode="json", include=kept)
    facts["pictures"] = {what: one.manifest.pictures for what, one in drawn.items()}
    facts["compositions_of_each_answer"] = scenes.LAYOUTS
    return facts


def _caveats(clip: Clip, checkpoint: str) -> Iterator[str]:
    yield (
        "The things are of the training set, in the styles that the checkpoint saw them in: this measures how they "
        "are put together, not how well each is drawn, and compares with no published GenEval."
    )
    if shared := conditioned(clip, checkpoint):
        yield f"{clip.source} conditions this checkpoint ({', '.join(shared)}): judge by another CLIP."
    elif clip.source == JUDGES[0]:
        yield f"{clip.source} was trained on the whole set: it knows the real pictures, not the drawn ones."
