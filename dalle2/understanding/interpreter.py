"""`Interpreter`: a prompt -> what the checkpoint is asked, or what it knows that is near."""

import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from dalle2.datasets.caption_words import in_style
from dalle2.datasets.phrases import on_background, styled
from dalle2.sentence_encoder import SentenceEncoder
from dalle2.understanding.answer import NearConcept, Note, Understanding, literal
from dalle2.understanding.foreign import Foreign
from dalle2.understanding.left_out import left_out, names, unsaid
from dalle2.understanding.lookup import SKIN_TONES, Lookup, is_unspaced
from dalle2.understanding.meaning import Meaning, describes
from dalle2.understanding.recognition import Recognition
from dalle2.understanding.suggestions import Suggestion, Suggestions
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import Wording, bare, take_apart

THRESHOLD = 0.66  # the least score that is drawn; chosen by python -m evaluation.understanding
KNOWN = 0.7  # what scores less is said to be a guess: see docs/understanding.md
GUESS = 0.54  # the least score of a guess at a description
GUESS_CLOSE = 0.2  # how far behind an alternative to a guess may be
OFFERED = 3  # concepts, where none is near enough
WORTH_OFFERING = 0.3  # the least score of an offer
SURE = 0.75  # the least score of what is taken for certain
SURE_PART = 0.95  # the same of a part of a description that may be guessed as a whole
SURE_DESCRIPTION = 0.9  # as `SURE`, of a description
RELATED = 0.4  # the least likeness of what is offered instead of a concept that comes out badly
KIND = 0.5  # the least likeness of a thing and a kind of it, "a horse with stripes" and zebra
BETTER = 0.1  # by how much a description fits a kind of the thing better than the thing that it names
CLOSE = 0.08  # how far behind an alternative to what is drawn may be
DENIALS = ("no", "not", "non", "without")  # words of a concept that says that something is not there
_LATIN = re.compile(r"[a-zA-Z]")


class Interpreter:
    """What a checkpoint's vocabulary makes of prompts."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        styles: Sequence[str],
        encoder: Callable[[], SentenceEncoder | None] | None = None,
        threshold: float = THRESHOLD,
        guess: float = GUESS,
        recognition: Recognition | None = None,
    ) -> None:
        """Take prompts for concepts of the vocabulary, in one of these styles.

        `encoder` gives the sentence encoder, by default the installed one, when the first prompt needs it. Without one
        only known words are understood. `threshold` is the least score that is drawn, `guess` that of a
        description, whose best guess is drawn and said to be one. `recognition` says what comes out badly.
        """
        self.vocabulary, self.threshold, self.guess = vocabulary, threshold, guess
        self.recognition = recognition
        self._encoder = encoder or SentenceEncoder.installed
        self._styles = tuple(styles)
        self._lookup = Lookup(vocabulary)
        self._foreign = Foreign(vocabulary, self._lookup)

    @classmethod
    def of(
        cls, folder: Path, styles: Sequence[str], checkpoint_hash: str = "", taught: Sequence[str] = ()
    ) -> "Interpreter | None":
        """Open a checkpoint's, with the names of concepts that it was taught later.

        None where it has no vocabulary, ValueError where that is damaged.
        """
        vocabulary = Vocabulary.read(folder)
        if vocabulary is None:
            return None
        return cls(vocabulary.extended(taught), styles, recognition=Recognition.read(folder, checkpoint_hash))

    def understand(self, prompt: str) -> Understanding:
        """Return what this prompt, of any length and language, is taken for."""
        wording = take_apart(prompt, self._styles)
        if not wording.subject and (wording.style or wording.background):
            return _of_looks(prompt, wording)
        pictured = self._of_emoji(prompt, wording)
        return self._warned(pictured or self._of_denial(prompt, wording) or self._of_words(prompt, wording))

    def suggest(self, prompt: str, language: str = "en") -> list[Suggestion]:
        """Return what somebody who is still typing this may mean (see `Suggestions.of`)."""
        return self._suggestions.of(prompt, language)

    def surprise(self, chance: random.Random) -> NearConcept:
        """Choose a concept that comes out well or, where nobody has measured that, one that was trained on."""
        numbers = [number for number, entry in enumerate(self.vocabulary.entries) if entry.trained]
        known = self.recognition
        well = [number for number in numbers if known is not None and known.well(self.vocabulary.entries[number].code)]
        return self._near(chance.choice(well or numbers or range(len(self.vocabulary.entries))))

    @cached_property
    def _suggestions(self) -> Suggestions:
        return Suggestions(self.vocabulary, self._lookup)

    def _warned(self, found: Understanding) -> Understanding:
        """Return the same, and whether the concept comes out badly, with relatives that come out well."""
        known, concept = self.recognition, found.concept
        if known is None or concept is None or not known.badly(concept.code):
            return found
        entries, meanings = self.vocabulary.entries, self.vocabulary.meanings
        likeness = meanings @ meanings[next(n for n, entry in enumerate(entries) if entry.code == concept.code)]
        better = [number for number in _order(likeness) if likeness[number] >= RELATED]
        better = [self._near(number, likeness[number]) for number in better if known.well(entries[number].code)]
        notes = (*found.notes, Note("poor", concept.label))
        return dataclasses.replace(found, nearest=_distinct([*better, *found.nearest]), notes=notes)

    def _of_words(self, prompt: str, wording: Wording) -> Understanding:
        return self._of_known_words(prompt, wording) or self._of_meaning(prompt, wording)

    def _of_emoji(self, prompt: str, wording: Wording) -> Understanding | None:
        """By the emoji characters in it; None where there are none."""
        found, rest, unknown = self._lookup.emoji(wording.subject)
        if found:
            if SKIN_TONES & set(wording.subject):
                wording = dataclasses.replace(wording, notes=(*wording.notes, Note("skin")))
            left = [*(self._near(number).label for number in found[1:]), " ".join(rest.split())]
            return self._drawn(prompt, wording, found[0], 1.0, found[1:], left=left)
        if unknown and not re.search(r"\w", rest):
            return Understanding(prompt, "", notes=(*wording.notes, Note("unknown", unknown)))
        return None

    def _of_denial(self, prompt: str, wording: Wording) -> Understanding | None:
        """By what remains without what is denied; None where nothing is, or a concept says so itself: "no smoking"."""
        denied, rest = wording.denied()
        alone = not re.search(r"\w", rest)
        if not denied or (alone and denied.casefold() in DENIALS) or self._forbids(wording, denied):
            return None
        if alone:
            return Understanding(prompt, "", notes=(*wording.notes, Note("denied", denied)))
        notes = (*wording.notes, Note("left", denied))
        return self._of_words(prompt, dataclasses.replace(wording, subject=rest, notes=notes))

    def _forbids(self, wording: Wording, denied: str) -> bool:
        """Whether a concept is meant that says itself that something is not there."""
        lookup, texts = self._lookup, (wording.whole, wording.subject)
        if any(lookup.exact(text) is not None or lookup.labelled(text) for text in texts):
            return True
        if self._meaning is None:
            return False
        scores = self._meaning.scores([wording.subject])[0]
        entry = self.vocabulary.entries[int(scores.argmax())]
        said = {word for text in entry.words["en"] for word in bare(text).split()}
        absent = {form for word in bare(denied).split() for form in (word, word.removesuffix("s"))} - set(DENIALS)
        return scores.max() >= self.threshold and bool(said & set(DENIALS)) and bool(said & absent)

    def _of_known_words(self, prompt: str, wording: Wording) -> Understanding | None:
        """By the very words of a label, in any language."""
        number = self._lookup.exact(wording.whole)
        if number is not None:
            notes = tuple(
                note for note in wording.notes if note.kind == "background"
            )  # a label may count: "two hearts"
            found = self._drawn(prompt, dataclasses.replace(wording, notes=notes), number, 1.0)
            # What the checkpoint knows word by word stays as it was said.
            verbatim = not notes and bare(wording.whole) in self._lookup.labels and not is_unspaced(prompt)
            return dataclasses.replace(found, asked=prompt) if verbatim else found
        if (number := self._lookup.exact(wording.subject)) is not None:
            return self._drawn(prompt, wording, number, 1.0)
        if self._lookup.is_foreign(wording.whole) and (numbers := self._lookup.labelled(wording.whole)):
            said = dataclasses.replace(wording, subject="", notes=())  # all of it is the label, colour and number too
            return self._drawn(prompt, said, numbers[0], 1.0, numbers[1 : 1 + OFFERED])
        if self._lookup.is_foreign(wording.subject) and (found := self._of_foreign_words(prompt, wording)):
            return found
        if not _LATIN.search(wording.subject):
            return Understanding(prompt, "", notes=(*wording.notes, Note("unknown", wording.subject or prompt)))
        return None

    def _of_foreign_words(self, prompt: str, wording: Wording) -> Understanding | None:
        """By words of another language than English; what else they say is told."""
        numbers = self._lookup.foreign(wording.subject)
        if not numbers:
            return None
        colours, left = self._foreign.unsaid(wording.subject, numbers[0])
        if colours and not wording.colour:
            wording = dataclasses.replace(wording, notes=(*wording.notes, Note("colour", ", ".join(colours))))
        return self._drawn(prompt, wording, numbers[0], 1.0, numbers[1 : 1 + OFFERED], left)

    def _of_meaning(self, prompt: str, wording: Wording) -> Understanding:
        """By what the sentence encoder makes of it, of its parts, and of its words without slips of the pen."""
        if self._meaning is None:
            return literal(prompt, [Note("encoder")])
        readings = wording.readings()
        mended = self._lookup.mended(wording.subject, self._meaning.words)
        if mended != bare(wording.subject):
            readings.insert(1, mended)
        signified, things = wording.signified(), wording.things()
        texts = [signified or wording.subject, *things, *readings]
        scores = self._meaning.scores(texts)
        if signified and scores[0].max() >= SURE:
            return self._nearest(prompt, wording, scores[0], signified)
        describing = describes(wording.subject)
        unsure = scores[0].max() < (SURE_DESCRIPTION if describing else SURE)
        whole = scores[1 + len(things)]
        taken = (
            (self._kind(prompt, wording, whole) if describing else None)
            or (self._plain(prompt, wording) if unsure else None)
            or self._several(prompt, wording, things, scores[1:])
        )
        if taken:
            return taken
        scores = scores[1 + len(things) :]
        guesses = describing and scores[0].max() >= self.guess
        for place, (reading, row) in enumerate(zip(readings, scores, strict=True)):
            # A part of a description may be but the kind of thing: "a vehicle for travelling to outer space". A known
            # thing that does something is that thing first.
            named = place == 0 and describing and unsure and scores[1:].max(initial=0) >= 1
            if row.max() >= (SURE_PART if guesses and place else self.threshold) and not named:
                left = [] if reading == mended else left_out(wording.subject, reading)
                return self._nearest(prompt, wording, row, reading, left)
        if guesses:
            return self._nearest(prompt, wording, scores[0], wording.subject, close=GUESS_CLOSE)
        if found := self._of_foreign_words(prompt, wording):
            return found
        best = scores.max(0)
        nearest = [self._near(number, best[number]) for number in _order(best) if best[number] >= WORTH_OFFERING]
        notes = (*wording.notes, Note("unknown", wording.subject))
        return Understanding(prompt, "", None, wording.style, wording.background, _distinct(nearest), notes)

    def _plain(self, prompt: str, wording: Wording) -> Understanding | None:
        """Return the thing without colour or qualities, where it is known alone: "a green tree" is a tree."""
        for reading in wording.plainer():
            for number in (self._lookup.exact(reading), self._lookup.everyday(reading)):
                if number is not None:
                    return self._drawn(prompt, wording, number, 1.0, left=left_out(wording.subject, reading))
        return None

    def _several(self, prompt: str, wording: Wording, things: list[str], scores: np.ndarray) -> Understanding | None:
        """Return the first of several things, if all of them are well known; None otherwise."""
        numbers = [int(row.argmax()) for row in scores[: len(things)]]
        if len(things) < 2 or len(set(numbers)) < 2 or scores[: len(things)].max(1).min() < SURE:
            return None
        score = float(scores[0, numbers[0]])
        return self._drawn(prompt, wording, numbers[0], score, numbers[1:], left=things[1:])

    def _kind(self, prompt: str, wording: Wording, scores: np.ndarray) -> Understanding | None:
        """Return the kind of a thing that the whole describes, "a horse with stripes"; None unless it names the thing.

        A kind that is named itself is a thing beside the other, "a dog with a bone". It is said to be a guess, and
        the thing is offered.
        """
        thing, kind = self._lookup.exact(wording.head()), int(scores.argmax())
        thing = self._lookup.everyday(wording.head()) if thing is None else thing
        if thing is None or scores[kind] < KNOWN or scores[kind] < scores[thing] + BETTER:
            return None
        alike = float(self.vocabulary.meanings[thing] @ self.vocabulary.meanings[kind])
        if alike < KIND or names(wording.subject, kind, self._lookup):
            return None
        found = self._nearest(prompt, wording, scores, wording.subject, close=GUESS_CLOSE)
        nearest = _distinct([self._near(thing, scores[thing]), *found.nearest])
        return dataclasses.replace(found, nearest=nearest, guessed=True)

    def _nearest(
        self,
        prompt: str,
        wording: Wording,
        scores: np.ndarray,
        text: str,
        left: Sequence[str] = (),
        close: float = CLOSE,
    ) -> Understanding:
        """Return the concept with the best score for `text`; others that are close may have been meant."""
        number, *others = _order(scores)
        score = float(scores[number])
        nearest = [self._near(other, scores[other]) for other in others if scores[other] >= score - close]
        if score < 1 and self._meaning is not None:
            left = [*unsaid(text, prompt, number, self.vocabulary.entries[number], self._lookup, self._meaning), *left]
        found = self._drawn(prompt, wording, number, score, left=left)
        return dataclasses.replace(found, nearest=_distinct(nearest), guessed=score < KNOWN)

    def _drawn(
        self,
        prompt: str,
        wording: Wording,
        number: int,
        score: float,
        others: Sequence[int] = (),
        left: Sequence[str] = (),
    ) -> Understanding:
        concept = self._near(number, score)
        asked = styled(concept.label, wording.style) if wording.style else concept.label
        if wording.background:
            asked = on_background(asked, wording.background)
        nearest = [self._near(other) for other in others]
        notes = [note for note in wording.notes if note.kind != "left"]
        colour = wording.colour
        said = colour in concept.label.lower() or colour.removesuffix("色") in concept.chinese
        if not said and (score < 1 or colour in " ".join(left).lower() or not colour.isascii()):
            notes.append(Note("colour", colour))
            left = [" ".join(word for word in phrase.split() if word.lower() not in colour.split()) for phrase in left]
        left = [*left, *(note.words for note in wording.notes if note.kind == "left")]
        if any(left):
            notes.append(Note("left", ", ".join(filter(None, dict.fromkeys(left)))))
        if not concept.trained:
            notes.append(Note("untrained", concept.label))
        return Understanding(
            prompt, asked, concept, wording.style, wording.background, _distinct(nearest), tuple(notes)
        )

    def _near(self, number: int, score: float = 1.0) -> NearConcept:
        entry = self.vocabulary.entries[number]
        return NearConcept(entry.code, entry.label, entry.chinese, round(float(score), 3), entry.trained)

    @cached_property
    def _meaning(self) -> Meaning | None:
        """None where there is no encoder, or a damaged one: then words are taken as they are, which is told."""
        try:
            encoder = self._encoder()
        except ValueError:
            encoder = None
        return None if encoder is None else Meaning(self.vocabulary, self._lookup, encoder)


def _of_looks(prompt: str, wording: Wording) -> Understanding:
    """By style and background alone, as in "openmoji style", to which a picture can be moved."""
    style, ground = in_style(wording.style) if wording.style else "", wording.background
    asked = (style and (on_background(style, ground) if ground else style)) or f"a {ground} background"
    notes = (*wording.notes, Note("bare"))
    return Understanding(prompt, asked, style=wording.style, background=ground, notes=notes)


def _order(scores: np.ndarray) -> list[int]:
    """Return the numbers of the best concepts, the best first."""
    return [int(number) for number in np.argsort(-scores, kind="stable")[: 8 * OFFERED]]


def _distinct(nearest: Sequence[NearConcept]) -> tuple[NearConcept, ...]:
    """Return the first ones, without the man, the woman or the couple of one that stands before."""
    found: list[NearConcept] = []
    for near in nearest:
        words = {word for word in near.label.split() if word not in ("man", "woman", "person")}
        if not any(words <= set(other.label.split()) or set(other.label.split()) <= words for other in found):
            found.append(near)
    return tuple(found[:OFFERED])
