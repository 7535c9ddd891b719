"""A checkpoint drawn and scored on the emoji set: the work of `evaluation.scorecard`."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dalle2.images import open_picture, save
from dalle2.understanding.interpreter import Interpreter
from evaluation.cli import command
from evaluation.cli.scorecard import PARTS, Options
from evaluation.comparing.contestants import Contestant, open_contestants
from evaluation.emoji import memorization
from evaluation.emoji.embedded_set import EmbeddedSet
from evaluation.emoji.emoji_set import EmojiSet, Pair, read_emoji_set, training_subgroups
from evaluation.emoji.prompt_lists import MEANINGS, assign
from evaluation.emoji.scorecard_metrics import NEEDS, QUESTIONS, enlarged, speed
from evaluation.emoji.scores import Score, Scorecard
from evaluation.networks.clip import Clip, ClipFeatures, conditioned
from evaluation.networks.embedded import JUDGES, checkpoint_folder
from evaluation.pictures.manifest import read_manifest
from evaluation.reporting import report, sheets

LEAST = 8
GRID = 64
SHOWN = 16  # pictures beside what lies nearest to them
NEIGHBOURS = 3


def score(options: Options) -> Scorecard:
    """Return the scorecard of a checkpoint; ValueError says what is wrong or missing."""
    device = command.chosen_device(options.device)
    options = replace(options, device=device)
    if options.num < LEAST:
        raise ValueError(f"--num must be {LEAST} or more, not {options.num}.")
    parts = [part for part in PARTS if part in (options.only or PARTS)]
    if options.draft and "speed" not in parts:
        raise ValueError("--draft is only timed: add speed to --only, or score it by a command of its own.")
    name, checkpoint = options.contestant, checkpoint_of(options.contestant)
    emoji = read_emoji_set(options.data)
    trained, notes = trained_on(checkpoint, emoji)
    if options.draft:
        checkpoint_of(options.draft)
    interpreter = _interpreter(checkpoint, emoji)
    if interpreter is None and "understanding" in parts:
        parts.remove("understanding")
        notes.append("The checkpoint has no vocabulary, so nothing is measured with understanding.")
    clip = Clip(options.clip, device)
    clip.require()
    network = ClipFeatures(clip.source, device)
    drawn, singles = _draw_all(name, parts, options, emoji, trained, interpreter)
    data = EmbeddedSet(emoji, trained, clip, network, drawn, options.seed, options.workers, sys.stderr.isatty())
    scores: list[Score] = []
    for part in tqdm(parts, desc="measuring", unit="part", disable=not sys.stderr.isatty()):
        if part in QUESTIONS:
            scores += QUESTIONS[part](data)
        elif part == "upsampler":
            scores += enlarged(name, emoji, options.num, options.seed, device)
        else:
            found, warnings = speed([*singles, *([drawn["unseen"]] if "unseen" in drawn else [])])
            scores, notes = scores + found, notes + warnings
    facts = _facts(name, drawn)
    if shared := conditioned(clip, checkpoint):
        notes.append(f"{clip.source} conditions this checkpoint ({', '.join(shared)}): judge by another CLIP.")
    elif clip.source == JUDGES[0]:
        notes.append(f"{clip.source} was trained on the whole set: it knows the real pictures, not the drawn ones.")
    facts |= {"judge": clip.source, "judge_image_sha256": clip.sha256, "judge_text_sha256": clip.text_sha256}
    facts |= {"data": f"{len(emoji.train):,} training and {len(emoji.test):,} test pairs", "num": options.num}
    grid = _sheets(data, options.out) if "unseen" in drawn else ()
    return Scorecard(name, tuple(scores), report.provenance(device=options.device, **facts), tuple(notes), grid)


def checkpoint_of(contestant: str) -> str:
    """Return what the contestant's words begin with; ValueError for a folder that was drawn before."""
    words = shlex.split(contestant)
    if not words:
        raise ValueError("A contestant is a checkpoint, or a checkpoint with settings, not nothing.")
    if read_manifest(Path(words[0]).expanduser()) is not None:
        raise ValueError(f"{words[0]} is a drawn folder: a scorecard draws by itself, so name its checkpoint.")
    return words[0]


def _interpreter(checkpoint: str, emoji: EmojiSet) -> Interpreter | None:
    """Return what the checkpoint understands prompts with; None where it has no vocabulary."""
    return Interpreter.of(checkpoint_folder(checkpoint), emoji.styles)


def trained_on(checkpoint: str, emoji: EmojiSet) -> tuple[tuple[Pair, ...], list[str]]:
    """Return the pairs that the checkpoint's recipe says it was trained on, and what must be said of them."""
    subgroups = training_subgroups(checkpoint)
    if subgroups is None:
        return emoji.train, ["The checkpoint has no recipe: it is taken as trained on the whole training split."]
    if not subgroups:
        return emoji.train, []
    trained = tuple(pair for pair in emoji.train if pair.subgroup in subgroups)
    if not trained:
        raise ValueError(f"{checkpoint} was trained on none of this data set: its recipe names other subgroups.")
    known, every = (len({pair.concept for pair in pairs}) for pairs in (trained, emoji.train))
    return trained, [f"Trained on {known:,} of {every:,} concepts: test pairs of the others count as unseen concepts."]


def _draw_all(
    name: str,
    parts: Sequence[str],
    options: Options,
    emoji: EmojiSet,
    trained: Sequence[Pair],
    interpreter: Interpreter | None,
) -> tuple[dict[str, Contestant], list[Contestant]]:
    """Return what the parts look at, by its name; and the single pictures that are timed, the draft's among them."""
    needed = [what for what in MEANINGS if any(what in NEEDS[part] for part in parts)]
    # The draft is only timed, beside the contestant's own single pictures.
    drawn = {
        what: draw_list([name], what, options, emoji, trained, interpreter)[0] for what in needed if what != "single"
    }
    timed = [name, *([options.draft] if options.draft else [])]
    singles = draw_list(timed, "single", options, emoji, trained) if "single" in needed else []
    return drawn | ({"single": singles[0]} if singles else {}), singles


def draw_list(
    names: Sequence[str],
    what: str,
    options: Options,
    emoji: EmojiSet,
    trained: Sequence[Pair],
    interpreter: Interpreter | None = None,
) -> list[Contestant]:
    """Return the contestants with a list of prompts drawn, or what is missing of it."""
    task = assign(what, emoji, trained, options.num, options.out / "prompts", options.batch_size, interpreter)
    arguments = [*task.arguments, "--seed", str(options.seed), "--device", str(options.device)]
    folder = options.out / "pictures" / what.replace("_", "-")
    return open_contestants({name: name for name in names}, folder, arguments, True)


def _facts(name: str, drawn: Mapping[str, Contestant]) -> dict[str, object]:
    """Return what decides the pictures."""
    facts: dict[str, object] = {"contestant": name}
    if drawn:
        manifest = next(iter(drawn.values())).manifest
        kept = ("checkpoint", "checkpoint_hash", "settings", "picture_size", "seed", "dtype", "threads")
        facts |= manifest.model_dump(mode="json", include=set(kept))
        facts["pictures"] = {what: one.manifest.pictures for what, one in drawn.items()}
    return facts


def _sheets(data: EmbeddedSet, out: Path) -> tuple[str, ...]:
    """Write both sheets of unpicked pictures, the first ones; the captions of the grid's."""
    contestant = data.drawn["unseen"]
    pictures = [open_picture(file) for file in contestant.files[:GRID]]
    save(sheets.grid(pictures), out / "grid.png")
    near = memorization.nearest(data.pictures("unseen")[:SHOWN], data.real(data.trained), NEIGHBOURS)
    rows = [
        (picture, [data.trained[place].picture(data.size) for place in places], cosines)
        for picture, places, cosines in zip(pictures, near.indices, near.cosines, strict=False)
    ]
    save(sheets.neighbours(rows), out / "nearest.png")
    return tuple(row.caption for row in contestant.manifest.rows[:GRID])
