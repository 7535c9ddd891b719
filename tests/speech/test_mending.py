"""Words that a recogniser wrote down wrongly, put right by their sound where the checkpoint knows what was meant."""

import numpy as np
import pytest

from dalle2.speech.mending import Mending
from dalle2.speech.phonemes import Sounds, numbers, spelt
from dalle2.understanding.vocabulary import Entry, Vocabulary

KNOWN = {
    "noto": ["N OW T OW"],
    "style": ["S T AY L"],
    "no": ["N OW"],
    "toes": ["T OW Z"],
    "tile": ["T AY L"],
    "ghost": ["G OW S T"],
    "isle": ["AY L"],
    "strawberry": ["S T R AO B EH R IY"],
    "strong": ["S T R AO NG"],
    "very": ["V EH R IY"],
    "owl": ["AW L"],
    "now": ["N AW"],
    "crocodile": ["K R AA K AH D AY L"],
    "rock": ["R AA K"],
    "dial": ["D AY L"],
    "a": ["AH"],
    "the": ["DH AH"],
    "like": ["L AY K"],
}


@pytest.fixture(scope="module")
def mending() -> Mending:
    entries = tuple(
        Entry(str(number), True, {"en": (label,)}) for number, label in enumerate(("strawberry", "owl", "crocodile"))
    )
    nothing = np.zeros((3, 1), np.float32)
    vocabulary = Vocabulary(entries, nothing, nothing, nothing, np.zeros(0, int), nothing)
    return Mending(vocabulary, ("noto",), KNOWN, lambda text: any(entry.words["en"][0] in text for entry in entries))


@pytest.mark.parametrize(
    "heard, meant",
    [
        ("An owl, no toes tile.", "an owl, noto style"),
        ("an owl no ghost isle", "an owl, noto style"),
        ("a strong, very, noto style", "a strawberry, noto style"),
        ("the rock a dial", "the crocodile"),
    ],
)
def test_what_sounds_like_a_style_or_a_thing_is_taken_for_it(mending: Mending, heard: str, meant: str) -> None:
    assert mending.mended(heard) == meant


@pytest.mark.parametrize(
    "heard",
    ["A strawberry.", "an owl, noto style", "I like the owl", "photosynthesis", "ein Stück Wassermelone", "西瓜", "…"],
)
def test_what_is_understood_or_sounds_like_nothing_known_stays_as_it_was_heard(mending: Mending, heard: str) -> None:
    assert mending.mended(heard) == heard


def test_a_distance_counts_what_is_put_in_taken_out_or_changed_for_a_phoneme() -> None:
    sounds = Sounds({"owl": ["AW L"], "toe": ["T OW"]})
    assert sounds.distances(numbers("T OW")).tolist() == [pytest.approx((0.7 + 0.4 + 1) / 2), 0]
    assert sounds.distances(numbers("D OW"))[1] == pytest.approx(0.2)


def test_a_word_that_no_dictionary_has_is_said_by_its_letters() -> None:
    assert spelt("moge") == "M OW JH" or spelt("moge") == "M OW G"
    assert numbers(spelt("quizzaciously"))
