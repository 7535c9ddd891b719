"""Pictures judged by a model that answers questions: the work of `evaluation.vqa`."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dalle2 import hashes
from evaluation.cli.vqa import KEY_VARIABLE, Options
from evaluation.measuring.vqa_answers import VERSION, Answers, Question
from evaluation.measuring.vqa_asking import ask
from evaluation.metrics.means import mean_of, notes_on
from evaluation.metrics.vqa_score import JudgedAnswer, judged, shares_right, soft, words
from evaluation.networks.vqa_endpoint import Endpoint, NoAnswer, QuestionRefused, key_of
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.blocks import blocks_of
from evaluation.prompts.pairing import Pair, read_pairs
from evaluation.prompts.tables import read_table
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

NAMED = 5  # pictures that are named of those that could not be judged
OF_LISTS = "{} Answer in one word."  # as GenEval 2 asks its questions
OF_CAPTIONS = 'Does this figure show "{}"? Please answer yes or no.', "yes"  # as VQAScore asks


@dataclass(frozen=True)
class ListedQuestion:
    """A question of a list, its right answer, and what it asks for, as "count"; "" where the list does not say."""

    text: str
    expected: str
    skill: str = ""


@dataclass(frozen=True)
class PromptQuestions:
    """What a list asks about a prompt, and of how many atoms it says that the prompt is made; 0 where it does not."""

    questions: tuple[ListedQuestion, ...]
    atoms: int = 0


@dataclass(frozen=True)
class JudgedPicture:
    """A picture that was judged, its caption beside it: questions, what answers are worth, and its prompt's atoms."""

    pair: Pair
    questions: Sequence[Question]
    judged: Sequence[JudgedAnswer]
    atoms: int


def judge_folder(options: Options) -> Report:
    """Ask what was not asked before, and measure: see `evaluation.vqa.run`."""
    found = read_pairs(options.images, options.prompts, options.num, options.seed, options.sampling)
    lists = None if options.questions is None else read_questions(options.questions)
    about = [_questions_about(pair, lists) for pair in found.pairs]
    of_pictures = [
        _questions(pair, one, options.vqa_model, lists is not None)
        for pair, one in zip(found.pairs, about, strict=True)
    ]
    answers = Answers(options.answers)
    endpoint = Endpoint(options.vqa_url, options.vqa_model, key_of(KEY_VARIABLE), options.timeout)
    questions = [one for of_picture in of_pictures for one in of_picture]
    failed = ask(questions, answers, endpoint, options.parallel, options.seed)
    left_out = list(_left_out(of_pictures, answers, failed))
    pictures = [
        JudgedPicture(pair, questions, [_judged(one, answers) for one in questions], one.atoms)
        for pair, questions, one in zip(found.pairs, of_pictures, about, strict=True)
        if all(answers.get(question) is not None for question in questions)
    ]
    if not pictures:
        raise ValueError(" ".join(["No picture could be judged.", *left_out]))
    facts: dict[str, object] = {"images": str(options.images), "prompts": options.prompts or "the manifest's"}
    facts |= {"vqa_url": endpoint.shown, "vqa_model": options.vqa_model}
    facts |= {"questions": str(options.questions or "the captions"), "form": _form(lists is not None)}
    facts |= {"answers": str(options.answers), "seed": options.seed}
    manifest = read_manifest(options.images.expanduser())
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    blocks = blocks_of([one.pair for one in pictures])
    measures = [*_measures(pictures, blocks, lists is not None, options.seed)]
    label = "pictures that could not be judged"
    measures.append(Measure("vqa_unjudged", label, float(len(about) - len(pictures)), len(about), ""))
    return Report(
        f"What {options.vqa_model} sees in {options.images.name}",
        tuple(measures),
        report.provenance(**facts),
        (*found.notes, *left_out, *notes_on(blocks), *_warnings(pictures, answers, lists is not None)),
    )


def read_questions(file: Path) -> dict[str, PromptQuestions]:
    """Return what is asked about each prompt; ValueError names the first row that asks nothing that can be answered."""
    found: dict[str, PromptQuestions] = {}
    for where, row in read_table(file):
        try:
            prompt, atoms = str(row["prompt"]), int(row.get("atom_count") or 0)
            listed, skills = _list(row["vqa_list"]), _list(row.get("skills") or [])
            if len(skills) != len(listed):
                skills = [""] * len(listed)
            questions = [_listed(one, str(skill)) for one, skill in zip(listed, skills, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: a prompt and its vqa_list of [question, answer] are needed.") from error
        if not questions:
            raise ValueError(f"{where}: the vqa_list is empty.")
        if prompt in found:
            raise ValueError(f"{where}: the prompt {prompt!r} has questions already: name every prompt once.")
        found[prompt] = PromptQuestions(tuple(questions), atoms)
    return found


def _list(value: Any) -> Sequence[Any]:
    """Return a list, which a table without lists has as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def _listed(one: Any, skill: str) -> ListedQuestion:
    question, answer = (one["question"], one["answer"]) if isinstance(one, Mapping) else one
    if not words(str(answer)):
        raise ValueError("an answer without a word")
    return ListedQuestion(str(question), str(answer), skill)


def _questions_about(pair: Pair, lists: Mapping[str, PromptQuestions] | None) -> PromptQuestions:
    if lists is None:
        return PromptQuestions((ListedQuestion(OF_CAPTIONS[0].format(pair.caption), OF_CAPTIONS[1]),))
    if pair.caption not in lists:
        raise ValueError(f"There are no questions about the prompt {pair.caption!r}: name the list that it is of.")
    return lists[pair.caption]


def _form(lists: bool) -> str:
    return OF_LISTS if lists else OF_CAPTIONS[0]


def _questions(pair: Pair, about: PromptQuestions, model: str, lists: bool) -> list[Question]:
    hashed = hashes.of_file(pair.picture)
    found = []
    for one in about.questions:
        prompt = OF_LISTS.format(one.text) if lists else one.text
        key = hashlib.sha256(json.dumps([VERSION, model, prompt, hashed]).encode()).hexdigest()
        found.append(Question(pair.picture, one.text, prompt, one.expected, hashed, key, one.skill))
    return found


def _judged(question: Question, answers: Answers) -> JudgedAnswer:
    reply = answers.get(question)
    assert reply is not None, "of what was answered"
    return judged(reply.text, question.expected, reply.likely)


def _measures(
    pictures: Sequence[JudgedPicture], blocks: np.ndarray | None, lists: bool, seed: int
) -> Iterator[Measure]:
    """Yield the means over pictures, of which `blocks` (n,) tells those that hang together."""
    judgements, mean = [one.judged for one in pictures], partial(mean_of, seed=seed, blocks=blocks)
    shares = shares_right(judgements)
    label = "questions answered right, mean over pictures" if lists else "pictures that show their caption"
    yield mean("vqa_right", label, shares)
    if any(len(answers) > 1 for answers in judgements):
        yield mean("vqa_all_right", "pictures with every question right", shares == 1)
    means = soft(judgements)
    if means is not None and lists:
        yield mean("soft_tifa_am", "Soft-TIFA, arithmetic mean", means[0])
        yield mean("soft_tifa_gm", "Soft-TIFA, geometric mean", means[1])
        yield from _in_parts(pictures, means[1], blocks, seed)
    elif means is not None:
        yield mean("vqascore", 'VQAScore, the probability of "yes"', means[0])
    nonsense = [one.right is None for answers in judgements for one in answers]
    yield Measure("vqa_nonsense", "answers that are none", float(np.mean(nonsense)), len(nonsense), "")


def _in_parts(
    pictures: Sequence[JudgedPicture], geometric: np.ndarray, blocks: np.ndarray | None, seed: int
) -> Iterator[Measure]:
    """Yield the arithmetic mean by skill, and the geometric one by atoms, as GenEval 2's own analysis has them."""
    by_skill: dict[str, list[float]] = defaultdict(list)
    for picture in pictures:
        for question, one in zip(picture.questions, picture.judged, strict=True):
            by_skill[question.skill].append(one.likely or 0.0)
    for skill, likely in sorted(by_skill.items()):
        if skill:
            label = f"Soft-TIFA, arithmetic mean over the questions of {skill}"
            yield Measure(f"soft_tifa_am@{skill}", label, float(np.mean(likely)), len(likely), "higher")
    of_atoms = np.array([picture.atoms for picture in pictures])
    for atoms in np.unique(of_atoms[of_atoms > 0]):
        chosen = of_atoms == atoms
        label = f"Soft-TIFA, geometric mean over the prompts of {atoms} atoms"
        own = None if blocks is None else blocks[chosen]
        found = mean_of(f"soft_tifa_gm@{atoms}", label, geometric[chosen], seed=seed, blocks=own)
        yield replace(found, values=None)


def _left_out(
    of_pictures: Sequence[Sequence[Question]], answers: Answers, failed: Mapping[str, NoAnswer | QuestionRefused]
) -> Iterator[str]:
    """Yield how many pictures could not be judged, which, and why."""
    refused: dict[str, str] = {}
    silent: dict[str, str] = {}
    for questions in of_pictures:
        for one in questions:
            name, error = one.picture.name, failed.get(one.key)
            if (why := answers.refusal(one)) is not None or isinstance(error, QuestionRefused):
                refused.setdefault(name, why or str(error))
            elif error is not None:
                silent.setdefault(name, str(error))
    silent = {name: why for name, why in silent.items() if name not in refused}
    if refused:
        yield (
            f"The endpoint refuses questions about {_named(refused, len(of_pictures))}: left out. To ask again, remove "
            f'the lines with "refused" from {answers.file}.'
        )
    if silent:
        yield (
            f"The endpoint gave no answer about {_named(silent, len(of_pictures))}: left out. The same command asks "
            "again."
        )


def _named(pictures: Mapping[str, str], of: int) -> str:
    """Return how many pictures these are, the names of some, and what was said of the first."""
    names, more = list(pictures)[:NAMED], len(pictures) - NAMED
    listed = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
    return f"{len(pictures):,} of {of:,} pictures ({listed}; {names[0]}: {pictures[names[0]]})"


def _warnings(pictures: Sequence[JudgedPicture], answers: Answers, lists: bool) -> Iterator[str]:
    pairs = [
        (one, question) for picture in pictures for one, question in zip(picture.judged, picture.questions, strict=True)
    ]
    strange = [question for one, question in pairs if one.right is None]
    if strange:
        reply = answers.get(strange[0])
        said = "" if reply is None else reply.text[:80]
        yield (
            f"{len(strange):,} of {len(pairs):,} answers are none, such as {said!r} to {strange[0].text!r}: they count "
            "as wrong."
        )
    score = "Soft-TIFA" if lists else "VQAScore"
    if long := [question.expected for _, question in pairs if len(words(question.expected)) > 1]:
        yield f"{score} is of answers of one word, and the right ones are longer, as {long[0]!r}: it is not measured."
    elif any(one.likely is None for one, _ in pairs):
        yield f"The endpoint tells no probabilities, so answers are right or wrong: no {score}."
    else:
        yield from _doubts([one for one, _ in pairs], score)
    yield "A model's answers are no measurement: they change with its version, and it may see what it was told to."


def _doubts(answers: Sequence[JudgedAnswer], score: str) -> Iterator[str]:
    """Yield how many of the probabilities are not exactly those of the right answers, and which way they are off."""
    if absent := sum(not one.listed for one in answers):
        yield (
            f"For {absent:,} of {len(answers):,} right answers, neither the word nor a beginning of it is among the "
            "likeliest tokens, whose probabilities the endpoint tells: they count with the most that another token can "
            f"have, so {score} may be a little too high; it is too low where a token without letters comes first."
        )
    if begun := sum(one.begun for one in answers):
        yield (
            f"{begun:,} of {len(answers):,} right answers count by tokens that only begin them, as where the model "
            f"splits a word: {score} is too high where these begin other words."
        )
