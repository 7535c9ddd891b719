"""Pictures judged by a model that answers questions: the work of `evaluation.vqa`."""

import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from tqdm import tqdm

from evaluation.cli.vqa import KEY_VARIABLE, Options
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.vqa_score import Judged, judged, shares_right, soft
from evaluation.networks.vqa_endpoint import INSTRUCTION, VERSION, Endpoint, Reply, Unanswered, key_of
from evaluation.pictures.loading import open_file
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.pairing import Pair, read_pairs
from evaluation.prompts.tables import read_table
from evaluation.reporting import report
from evaluation.reporting.measure import Better, Measure
from evaluation.reporting.report import Report

HOPELESS = 8  # questions in a row without an answer, after which no more are asked
OWN = ('Does this picture show "{}"?', "yes")


@dataclass(frozen=True)
class Question:
    """A picture, what is asked about it, the right answer, and by what the answer is kept."""

    picture: Path
    text: str
    expected: str
    picture_sha256: str
    key: str


class Answers:
    """Answers in a file, a line each, by picture, question, model and version of the instruction."""

    def __init__(self, file: Path) -> None:
        self.file, self._found = file, dict[str, Reply]()
        lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else [""]
        if lines[-1]:  # a kill left half of it
            file.write_text("\n".join(lines[:-1]) + "\n" * (len(lines) > 1), encoding="utf-8")
        for number, line in enumerate(lines[:-1], 1):
            try:
                row = json.loads(line)
                self._found[row["key"]] = Reply(row["answer"], row["likely"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}, line {number} is no answer of ours: name another file.") from error

    def get(self, question: Question) -> Reply | None:
        """Return what was answered; None where nobody asked."""
        return self._found.get(question.key)

    def add(self, question: Question, reply: Reply, model: str) -> None:
        """Keep an answer, before it is counted."""
        row: dict[str, object] = {
            "key": question.key,
            "picture_sha256": question.picture_sha256,
            "picture": question.picture.name,
        }
        row |= {"question": question.text, "model": model, "version": VERSION, "answer": reply.text}
        row |= {"likely": reply.likely, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._found[question.key] = reply


def judge_folder(options: Options) -> Report:
    """Ask what was not asked before, and measure: see `evaluation.vqa.run`."""
    found = read_pairs(options.images, options.prompts, options.num, options.seed, options.sampling)
    lists = None if options.questions is None else read_questions(options.questions)
    asked = [_questions(pair, lists, options.vqa_model) for pair in found.pairs]
    answers = Answers(options.answers)
    endpoint = Endpoint(options.vqa_url, options.vqa_model, key_of(KEY_VARIABLE), options.timeout)
    _ask([one for questions in asked for one in questions], answers, endpoint, options.parallel)
    pictures = [[_judged(one, answers) for one in questions] for questions in asked]
    facts: dict[str, object] = {"images": str(options.images), "prompts": options.prompts or "the manifest's"}
    facts["vqa_url"] = _without_password(options.vqa_url)
    facts |= {"vqa_model": options.vqa_model, "instruction": INSTRUCTION, "instruction_version": VERSION}
    facts |= {"questions": str(options.questions or OWN[0]), "answers": str(options.answers), "seed": options.seed}
    manifest = read_manifest(options.images.expanduser())
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    return Report(
        f"What {options.vqa_model} sees in {options.images.name}",
        tuple(_measures(pictures, lists is not None, options.seed)),
        report.provenance(**facts),
        (*found.notes, *_warnings(pictures, asked, answers)),
    )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def read_questions(file: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the questions and right answers of each prompt; ValueError names the first row that has none."""
    found = {}
    for where, row in read_table(file):
        try:
            listed = row["vqa_list"]
            listed = json.loads(listed) if isinstance(listed, str) else listed
            found[str(row["prompt"])] = [_pair(one) for one in listed]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: a prompt and its vqa_list of [question, answer] are needed.") from error
        if not found[str(row["prompt"])]:
            raise ValueError(f"{where}: the vqa_list is empty.")
    return found


def _pair(one: Any) -> tuple[str, str]:
    question, answer = (one["question"], one["answer"]) if isinstance(one, Mapping) else one
    return str(question), str(answer)


def _questions(pair: Pair, lists: Mapping[str, list[tuple[str, str]]] | None, model: str) -> list[Question]:
    if lists is None:
        listed = [(OWN[0].format(pair.caption), OWN[1])]
    elif pair.caption not in lists:
        raise ValueError(f"There are no questions about the prompt {pair.caption!r}: name the list that it is of.")
    else:
        listed = lists[pair.caption]
    hashed = hashlib.sha256(pair.picture.read_bytes()).hexdigest()
    found = []
    for text, expected in listed:
        key = hashlib.sha256(json.dumps([VERSION, INSTRUCTION, model, text, hashed]).encode()).hexdigest()
        found.append(Question(pair.picture, text, expected, hashed, key))
    return found


def _ask(questions: Sequence[Question], answers: Answers, endpoint: Endpoint, parallel: int) -> None:
    """Ask what has no answer, several at a time; ValueError where some stay without one."""
    missing = {one.key: one for one in questions if answers.get(one) is None}
    failed, in_a_row, last = 0, 0, ""
    with ThreadPoolExecutor(parallel) as pool:
        waiting: dict[Future[Reply], Question] = {pool.submit(_put, endpoint, one): one for one in missing.values()}
        try:
            bar = tqdm(as_completed(waiting), total=len(waiting), unit="question", disable=not sys.stderr.isatty())
            for future in bar:
                try:
                    answers.add(waiting[future], future.result(), endpoint.model)
                    in_a_row = 0
                except Unanswered as error:
                    failed, in_a_row, last = failed + 1, in_a_row + 1, str(error)
                    if in_a_row >= HOPELESS:
                        break
        finally:
            pool.shutdown(cancel_futures=True)
    if failed:
        left = sum(answers.get(one) is None for one in missing.values())
        raise ValueError(
            f"{endpoint.url} gave no answer to {left:,} of {len(missing):,} questions ({last}). The others are in "
            f"{answers.file}: the same command asks again for these."
        )


def _put(endpoint: Endpoint, question: Question) -> Reply:
    file = io.BytesIO()
    open_file(question.picture).save(file, "PNG")  # without its record, which names the prompt
    return endpoint.ask(file.getvalue(), question.text)


def _judged(question: Question, answers: Answers) -> Judged:
    reply = answers.get(question)
    assert reply is not None, "all were answered"
    return judged(reply.text, question.expected, reply.likely)


def _measures(pictures: Sequence[Sequence[Judged]], lists: bool, seed: int) -> Iterator[Measure]:
    shares = shares_right(pictures)
    label = "questions answered right, mean over pictures" if lists else "pictures that show their caption"
    yield _mean("vqa_right", label, shares, seed)
    if any(len(answers) > 1 for answers in pictures):
        yield _mean("vqa_all_right", "pictures with every question right", (shares == 1).astype(float), seed)
    means = soft(pictures)
    if means is not None and lists:
        yield _mean("soft_tifa_am", "Soft-TIFA, arithmetic mean", means[0], seed)
        yield _mean("soft_tifa_gm", "Soft-TIFA, geometric mean", means[1], seed)
    elif means is not None:
        yield _mean("vqascore", 'VQAScore, the probability of "yes"', means[0], seed)
    nonsense = [one.right is None for answers in pictures for one in answers]
    yield Measure("vqa_nonsense", "answers that are none", float(np.mean(nonsense)), len(nonsense), "")


def _mean(key: str, label: str, values: np.ndarray, seed: int, better: Better = "higher") -> Measure:
    interval = mean_interval(values, seed) if len(values) > 1 else None
    return Measure(key, label, float(values.mean()), len(values), better, interval, values=values)


def _warnings(
    pictures: Sequence[Sequence[Judged]], asked: Sequence[Sequence[Question]], answers: Answers
) -> Iterator[str]:
    pairs = [
        (one, question)
        for judged_ones, questions in zip(pictures, asked, strict=True)
        for one, question in zip(judged_ones, questions, strict=True)
    ]
    strange = [question for one, question in pairs if one.right is None]
    if strange:
        reply = answers.get(strange[0])
        said = "" if reply is None else reply.text[:80]
        yield (
            f"{len(strange):,} of {len(pairs):,} answers are none, such as {said!r} to {strange[0].text!r}: they count "
            "as wrong."
        )
    if any(one.likely is None for one, _ in pairs):
        yield "The endpoint tells no probabilities, so answers are right or wrong: no VQAScore, and no Soft-TIFA."
    yield "A model's answers are no measurement: they change with its version, and it may see what it was told to."
