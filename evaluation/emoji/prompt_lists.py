"""What is drawn for a scorecard: lists of prompts of the emoji set, each for one question."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2.datasets.phrases import styled
from dalle2.understanding.interpreter import Interpreter
from evaluation.emoji import scenes
from evaluation.emoji.backgrounds import ASKED, on_background
from evaluation.emoji.emoji_set import EmojiSet, Pair
from evaluation.emoji.paraphrases import read_paraphrases
from evaluation.reporting.report import write_text

UNDERSTOOD = "_understood"  # ends the names of lists that are drawn after understanding
SINGLE = 9  # pictures drawn one at a time, the first of which is not timed
MEANINGS = {
    "unseen": "pairs of the test split: NUM of them",
    "seen": "pairs that the checkpoint was trained on: as many",
    "chinese": "the first half of the unseen pairs from Chinese captions, with the same seeds",
    "paraphrases": "a pair of each concept of paraphrases.tsv that the checkpoint was trained on",
    "backgrounds": "seen pairs on coloured backgrounds: NUM / 4 of them",
    "scenes": "several of a thing, or one beside another, in a style that each was trained in: NUM / 4 of them",
    "colours": "seen pairs of things that come in several colours: NUM / 8 of them",
    "single": "unseen pairs, one at a time",
    "chinese_understood": "the same as chinese, after understanding",
    "paraphrases_understood": "the same as paraphrases, after understanding",
}


@dataclass(frozen=True)
class Assignment:
    """A list of prompts for generation: how many of it are drawn, by lot, and how many at a time."""

    list: Path
    num: int
    batch_size: int

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of generation's command line."""
        pairs = {"prompts": self.list, "num": self.num, "batch-size": self.batch_size}
        return [word for name, value in pairs.items() for word in (f"--{name}", str(value))]


def assign(
    what: str,
    emoji: EmojiSet,
    trained: Sequence[Pair],
    num: int,
    folder: Path,
    batch_size: int,
    interpreter: Interpreter | None = None,
) -> Assignment:
    """Write the list of this name (see `MEANINGS`) into `folder`; ValueError where there is nothing to draw.

    An id is the pair's own in every list, so that the lot, which goes by ids, chooses the same pairs in the same order
    from the English and the Chinese captions.
    """
    prompts = words(what.removesuffix(UNDERSTOOD), emoji, trained)
    if what.endswith(UNDERSTOOD):
        prompts = asked(prompts, interpreter)
    if not prompts:
        raise ValueError(f"There is nothing to draw for {what} ({MEANINGS[what]}).")
    shares = {"chinese": num // 2, "backgrounds": num // 4, "scenes": num // 4, "colours": num // 8}
    shares |= {"paraphrases": len(prompts), "single": SINGLE}
    shares |= {f"{name}{UNDERSTOOD}": share for name, share in shares.items()}
    lines = [json.dumps({"id": id, "caption": caption}, ensure_ascii=False) for id, caption in prompts.items()]
    count = min(len(prompts), max(1, shares.get(what, num)), len(emoji.test) if what == "seen" else len(prompts))
    path = write_text(folder / f"{what.replace('_', '-')}.jsonl", "\n".join(lines) + "\n")
    return Assignment(path, count, 1 if what == "single" else batch_size)


def asked(prompts: Mapping[str, str], interpreter: Interpreter | None) -> dict[str, str]:
    """Return what the checkpoint is asked for each prompt, by its id; the very words where it has no vocabulary."""
    if interpreter is None:
        raise ValueError("The checkpoint has no vocabulary, so there is nothing to understand prompts with.")
    return {id: interpreter.understand(prompt).asked or prompt for id, prompt in prompts.items()}


def colours(trained: Sequence[Pair]) -> Mapping[str, str]:
    """Return the background that each pair is asked on, by its id: all colours in turn."""
    return {pair.id: ASKED[index % len(ASKED)] for index, pair in enumerate(trained)}


def words(what: str, emoji: EmojiSet, trained: Sequence[Pair]) -> dict[str, str]:
    """Return the prompts of a list, by their ids, as they are said."""
    match what:
        case "seen":
            return {pair.id: pair.caption for pair in trained}
        case "chinese":
            return {pair.id: pair.chinese_caption for pair in emoji.test}
        case "backgrounds":
            asked = colours(trained)
            return {pair.id: on_background(pair.caption, asked[pair.id]) for pair in trained}
        case "scenes":
            return {asked.id: asked.caption for asked in scenes.questions(trained).values()}
        case "colours":
            coloured = scenes.families(emoji.labels)
            return {pair.id: pair.caption for pair in trained if pair.label in coloured}
        case "paraphrases":
            said = read_paraphrases(trained)
            # a style that was trained on, so that only the words are new
            drawn = {pair.concept: pair for pair in sorted(trained, key=_lot, reverse=True) if pair.concept in said}
            return {pair.id: styled(said[concept], pair.style) for concept, pair in sorted(drawn.items())}
    return {pair.id: pair.caption for pair in emoji.test}


def _lot(pair: Pair) -> bytes:
    return hashlib.sha256(pair.id.encode()).digest()
