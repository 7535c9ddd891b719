"""Questions put to an endpoint, several at a time; answers are kept at once, refusals once they are sure."""

import io
import random
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tqdm import tqdm

from evaluation.measuring.vqa_answers import Answers, Question
from evaluation.networks.vqa_endpoint import Endpoint, NoAnswer, QuestionRefused
from evaluation.pictures.loading import open_file

HOPELESS = 8  # questions without an answer, or pictures refused, in a row, after which no more are asked


def ask(
    questions: Sequence[Question], answers: Answers, endpoint: Endpoint, parallel: int, seed: int
) -> dict[str, NoAnswer | QuestionRefused]:
    """Ask what has no answer, in an order shuffled by the seed, and keep each; by key, what had none for now.

    Refusals are kept where the endpoint answers others: it refuses these, and not everything. ValueError where it has
    given no answer to several in a row.
    """
    missing = [*{one.key: one for one in questions if answers.get(one) is None}.values()]
    missing = [one for one in missing if answers.refusal(one) is None]
    random.Random(seed).shuffle(missing)  # so that a picture that a filter refuses does not stand in one row
    asking = _Asking(answers, endpoint)
    with ThreadPoolExecutor(parallel) as pool:
        waiting = [pool.submit(asking.put, one) for one in missing]
        try:
            bar = tqdm(as_completed(waiting), total=len(waiting), unit="question", disable=not sys.stderr.isatty())
            for future in bar:
                future.result()
                if asking.hopeless:
                    break
        finally:
            pool.shutdown(cancel_futures=True)  # those under way are waited for, and keep their own answers
    if asking.hopeless:
        left = sum(answers.get(one) is None and answers.refusal(one) is None for one in missing)
        *_, last = asking.failed.values()
        raise ValueError(
            f"{endpoint.shown} gave no answer to {HOPELESS} questions in a row (the last: {last}), so no more were "
            f"asked, and {left:,} of {len(missing):,} have none. What was answered is in {answers.file}: the same "
            "command asks for the rest."
        )
    if any(answers.get(one) is not None for one in questions):
        asking.keep_refusals()
    return asking.failed


class _Asking:
    """Asks, in several threads at once, and knows what came in which order.

    A refusal is kept as soon as a later question is answered: only then is it sure that the endpoint refuses this one
    and does not refuse everything, as a broken one does. A run that is stopped loses no other refusals.

    Attributes:
        failed: by key, what had no answer.
        hopeless: whether `HOPELESS` in a row had none, of which those about one refused picture count as one.
    """

    def __init__(self, answers: Answers, endpoint: Endpoint) -> None:
        self.failed: dict[str, NoAnswer | QuestionRefused] = {}
        self.hopeless = False
        self._answers, self._endpoint = answers, endpoint
        self._unsure: list[tuple[Question, QuestionRefused]] = []
        self._in_a_row: set[str] = set()
        self._lock = threading.Lock()

    def put(self, question: Question) -> None:
        """Ask a question, and keep its answer."""
        if self.hopeless:
            return
        file = io.BytesIO()
        open_file(question.picture).save(file, "PNG")  # without its record, which names the prompt
        try:
            self._answers.add(question, self._endpoint.model, self._endpoint.ask(file.getvalue(), question.prompt))
        except (NoAnswer, QuestionRefused) as error:
            self._count(question, error)
        else:
            with self._lock:
                self._in_a_row.clear()
                self.keep_refusals()

    def keep_refusals(self) -> None:
        """Keep what was refused, so that it is not asked again."""
        while self._unsure:
            question, error = self._unsure[0]
            self._answers.refuse(question, self._endpoint.model, str(error))
            del self._unsure[0]

    def _count(self, question: Question, error: NoAnswer | QuestionRefused) -> None:
        with self._lock:
            self.failed[question.key] = error
            if isinstance(error, QuestionRefused):
                self._unsure.append((question, error))
            self._in_a_row.add(question.picture_sha256 if isinstance(error, QuestionRefused) else question.key)
            self.hopeless = self.hopeless or len(self._in_a_row) >= HOPELESS
