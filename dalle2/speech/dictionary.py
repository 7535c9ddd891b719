"""How words are said: the dictionary of PocketSphinx's wheel, which is CMU's, with words of our own."""

import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dalle2.refusal import Refusal

Pronunciations = Mapping[str, Sequence[str]]  # a word -> the ways to say it, in phonemes with blanks between them

PRONUNCIATIONS = Path(__file__).with_name("pronunciations.tsv")


def installed() -> bool:
    """Whether there is a dictionary: PocketSphinx has it."""
    return importlib.util.find_spec("pocketsphinx") is not None


def library() -> Any:
    """Return the package; Refusal where it is not installed."""
    try:
        import pocketsphinx
    except ImportError as error:
        raise Refusal("Hearing speech needs pocketsphinx: pip install open-dalle2[speech].") from error
    return pocketsphinx


@cache
def dictionary() -> Pronunciations:
    """Return all words that can be said; Refusal where PocketSphinx is not installed."""
    found: dict[str, list[str]] = {}
    shipped = Path(library().get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    ours = PRONUNCIATIONS.read_text(encoding="utf-8")
    rows = [line.split(" ", 1) for line in shipped.splitlines()]
    rows += [line.split("\t", 1) for line in ours.splitlines() if line[0] != "#"]
    for word, phonemes in rows:
        found.setdefault(word.partition("(")[0], []).append(phonemes)
    return found


def pronounced(word: str, known: Pronunciations) -> Sequence[str]:
    """Return the ways to say a word: its own, or those of two words that it is made of, as in "paperclip"; or none."""
    if word in known:
        return known[word]
    if word.endswith("'s") and (said := pronounced(word[:-2], known)):
        return [f"{one} Z" for one in said]
    parts = [(word[:cut], word[cut:]) for cut in range(3, len(word) - 2)]
    fitting = [pair for pair in parts if pair[0] in known and pair[1] in known]
    if not fitting:
        return ()
    first, second = max(fitting, key=lambda pair: min(map(len, pair)))
    return [f"{known[first][0]} {known[second][0]}"]
