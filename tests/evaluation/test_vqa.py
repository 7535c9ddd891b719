"""Judging by an endpoint: asked once, kept; what is refused, silent or nonsense is left out, counted and named."""

import base64
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from drawn_folders import drawn

from evaluation import vqa
from evaluation.measuring.vqa import read_questions
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.vqa_score import JudgedAnswer, judged, shares_right, soft
from evaluation.networks.vqa_endpoint import Endpoint, NoAnswer
from evaluation.pictures.loading import open_file
from evaluation.pictures.manifest import read_manifest, write_manifest

YES = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "Yes", "logprob": -0.105361}]}]}


class StandIn:
    """A local endpoint; `say` makes of a request (its body) a status and an answer, or raises to be silent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.say: Callable[[dict[str, Any]], tuple[int, Any]] = lambda _: (200, completion("Yes."))
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.bodies.append(body | {"authorization": self.headers.get("Authorization"), "path": self.path})
                status, answer = stand_in.say(body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def completion(text: str, likely: dict | None = None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, **({"logprobs": likely} if likely else {})}]}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr("evaluation.networks.vqa_endpoint.time.sleep", lambda _: None)
    stand_in = StandIn()
    thread = threading.Thread(target=stand_in.server.serve_forever)
    thread.start()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("drawn") / "pictures", 20, count=6)


def run(pictures: Path, endpoint: StandIn, folder: Path, *more: object) -> dict[str, Any]:
    given = ["--images", pictures, "--vqa-url", endpoint.url, "--vqa-model", "seer", "--answers", folder / "a.jsonl"]
    file = folder / "report.json"
    vqa.main([str(word) for word in [*given, "--parallel", 1, "--report", file, *more]])
    return json.loads(file.read_text())


def values(report: dict[str, Any]) -> dict[str, float]:
    return {one["key"]: one["value"] for one in report["measures"]}


def test_each_question_is_asked_once_and_the_key_stays_here(
    pictures: Path, endpoint: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    endpoint.say = lambda _: (200, completion("Yes", YES))
    report = run(pictures, endpoint, tmp_path)
    expected = {"vqa_right": 1, "vqascore": 0.9, "vqa_nonsense": 0, "vqa_unjudged": 0}
    assert values(report) == pytest.approx(expected, abs=1e-5)
    assert len(endpoint.bodies) == 6 and endpoint.bodies[0]["path"] == "/v1/chat/completions"
    assert endpoint.bodies[0]["authorization"] == "Bearer sk-secret"
    content = endpoint.bodies[0]["messages"][0]["content"]
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    texts = [body["messages"][0]["content"][1]["text"] for body in endpoint.bodies]
    assert 'Does this figure show "a cat 0"? Please answer yes or no.' in texts
    assert "sk-secret" not in json.dumps(report) + (tmp_path / "a.jsonl").read_text()
    assert values(run(pictures, endpoint, tmp_path)) == values(report) and len(endpoint.bodies) == 6
    run(pictures, endpoint, tmp_path, "--vqa-model", "another")
    assert len(endpoint.bodies) == 12


def test_pictures_of_one_prompt_are_not_independent(endpoint: StandIn, tmp_path: Path) -> None:
    folder = drawn(tmp_path / "pairs", 20, count=12)
    manifest = read_manifest(folder)
    assert manifest is not None
    rows = [row.model_copy(update={"caption": f"thing {index // 2}"}) for index, row in enumerate(manifest.rows)]
    write_manifest(manifest.model_copy(update={"rows": tuple(rows)}), folder)
    right = [True, False, True, True, False, True]

    def say(body: dict[str, Any]) -> tuple[int, Any]:
        text = body["messages"][0]["content"][1]["text"]
        return 200, completion("Yes" if right[int(text.split("thing ")[1][0])] else "No")

    endpoint.say = say
    report = run(folder, endpoint, tmp_path)
    found = next(one for one in report["measures"] if one["key"] == "vqa_right")
    assert found["n"] == 12 and found["interval"] == pytest.approx(mean_interval(right))
    assert any("from the 6 sets of such pairs, not from the 12 pairs" in note for note in report["warnings"])
    atoms = [{"prompt": f"thing {i}", "vqa_list": [["Is it?", "yes"]], "atom_count": 1 + i % 2} for i in range(6)]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in atoms))
    endpoint.say = lambda body: (200, completion("Yes", YES))
    report = run(folder, endpoint, tmp_path, "--questions", tmp_path / "list.jsonl")
    assert values(report)["soft_tifa_gm@2"] == pytest.approx(0.9, abs=1e-5)


def test_timeouts_are_gone_on_with(pictures: Path, endpoint: StandIn, tmp_path: Path) -> None:
    def silent(body: dict[str, Any]) -> tuple[int, Any]:
        return (504, {}) if "a cat face" in body["messages"][0]["content"][1]["text"] else (200, completion("No"))

    endpoint.say = silent
    report = run(pictures, endpoint, tmp_path)
    assert values(report) == {"vqa_right": 0, "vqa_nonsense": 0, "vqa_unjudged": 1}
    (listed,) = [one for one in report["warnings"] if "gave no answer" in one]
    assert "about 1 of 6 pictures (000003.png; 000003.png: 504: {}): left out. The same command asks again." in listed
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(whole + '{"key": "half a line é'.encode()[:-1])
    endpoint.say = lambda _: (200, completion("Yes"))
    endpoint.bodies.clear()
    report = run(pictures, endpoint, tmp_path)
    assert values(report) == pytest.approx({"vqa_right": 1 / 6, "vqa_nonsense": 0, "vqa_unjudged": 0})
    assert len(endpoint.bodies) == 1 and (tmp_path / "a.jsonl").read_bytes().startswith(whole)


def test_a_refused_picture_is_left_out_named_and_not_asked_again(
    pictures: Path, endpoint: StandIn, tmp_path: Path
) -> None:
    def picky(body: dict[str, Any]) -> tuple[int, Any]:
        if "a cat face" in str(body):
            return 400, {"error": {"message": "content policy"}}
        return 200, completion("Yes", YES)

    endpoint.say = picky
    report = run(pictures, endpoint, tmp_path, "--parallel", 3)
    assert values(report) == pytest.approx(
        {"vqa_right": 1, "vqascore": 0.9, "vqa_nonsense": 0, "vqa_unjudged": 1}, abs=1e-5
    )
    assert {one["n"] for one in report["measures"]} == {5, 6}
    assert "refuses questions about 1 of 6 pictures (000003.png; 000003.png: 400: content policy)" in str(report)
    endpoint.bodies.clear()
    assert values(run(pictures, endpoint, tmp_path)) == values(report) and not endpoint.bodies
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("".join(f"{line}\n" for line in lines if '"refused"' not in line))
    endpoint.say = lambda _: (200, completion("Yes", YES))
    assert values(run(pictures, endpoint, tmp_path))["vqa_unjudged"] == 0 and len(endpoint.bodies) == 1


def test_answers_of_other_threads_are_kept_when_one_ends_the_run(
    pictures: Path, endpoint: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(6)

    def say(body: dict[str, Any]) -> tuple[int, Any]:
        together.wait(30)
        if "a cat 0" in str(body):
            return 401, {"error": {"message": "wrong key"}}
        return 200, completion("Yes")

    endpoint.say = say
    with pytest.raises(SystemExit) as ended:
        run(pictures, endpoint, tmp_path, "--parallel", 6)
    assert ended.value.code == 2 and "refuses the question (401): wrong key" in capsys.readouterr().err
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 5


def test_a_line_that_the_disk_took_half_of_is_taken_back(
    pictures: Path,
    endpoint: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write = os.write

    def full(file: int, data: bytes) -> int:
        return write(file, data[:20] if b"picture_sha256" in data and len(endpoint.bodies) > 2 else data)

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(SystemExit):
            run(pictures, endpoint, tmp_path)
    assert "could not be written to its end" in capsys.readouterr().err
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) == 2 and all(json.loads(line)["answer"] == "Yes." for line in lines)


def test_who_asks_may_stand_in_the_url_and_is_told_nowhere(pictures: Path, endpoint: StandIn, tmp_path: Path) -> None:
    endpoint.url = endpoint.url.replace("//", "//ann:s3cret@") + "?api-version=2&key=s3cret"
    report = run(pictures, endpoint, tmp_path)
    assert endpoint.bodies[0]["path"] == "/v1/chat/completions?api-version=2&key=s3cret"
    assert endpoint.bodies[0]["authorization"] == "Basic " + base64.b64encode(b"ann:s3cret").decode()
    assert "s3cret" not in json.dumps(report) + (tmp_path / "a.jsonl").read_text()
    assert report["provenance"]["vqa_url"].endswith("/v1?api-version=2&key=***")


def test_an_endpoint_that_stays_silent_is_asked_three_times(endpoint: StandIn) -> None:
    over = threading.Event()
    endpoint.say = lambda _: (200, over.wait(5))
    with pytest.raises(NoAnswer, match="timed out"):
        Endpoint(endpoint.url, "seer", timeout=0.1).ask(b"", "Is it?")
    over.set()
    assert len(endpoint.bodies) == 3


def test_nonsense_is_counted_and_probabilities_may_be_refused(
    pictures: Path, endpoint: StandIn, tmp_path: Path
) -> None:
    def strange(body: dict[str, Any]) -> tuple[int, Any]:
        if "logprobs" in body and body["top_logprobs"] > 5:
            return 400, {"error": {"message": "top_logprobs must be 5 or less"}}
        if "logprobs" in body:
            return 400, {"error": {"message": "logprobs are not supported"}}
        face = "face" in body["messages"][0]["content"][1]["text"]
        return 200, completion("As a language model …" if face else "yes")

    endpoint.say = strange
    report = run(pictures, endpoint, tmp_path)
    assert values(report) == pytest.approx({"vqa_right": 2 / 6, "vqa_nonsense": 4 / 6, "vqa_unjudged": 0})
    assert len(endpoint.bodies) == 8
    listed = " ".join(report["warnings"])
    assert "4 of 6 answers are none, such as 'As a language model …'" in listed and "tells no probabilities" in listed


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, {"error": {"message": "wrong key"}}, "refuses the question (401): wrong key"),
        (404, b"<html>nothing here</html>", "refuses the question (404): <html>nothing here"),
        (200, b"<html>hello</html>", "does not answer as OpenAI's API does: <html>hello"),
        (200, {"choices": []}, "does not answer as OpenAI's API does"),
        (200, [float("nan")], "does not answer as OpenAI's API does: [NaN]"),
        (200, completion("Yes", {"content": [{"token": "Yes", "logprob": 3}]}), "does not answer as OpenAI's API does"),
        (503, {"error": "full"}, "No picture could be judged. The endpoint gave no answer about 6 of 6 pictures"),
        (422, {"error": "no"}, "No picture could be judged. The endpoint refuses questions about 6 of 6 pictures"),
    ],
)
def test_an_endpoint_that_is_none_is_told(
    status: int,
    answer: Any,
    said: str,
    pictures: Path,
    endpoint: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    endpoint.say = lambda _: (status, answer)
    with pytest.raises(SystemExit) as ended:
        run(pictures, endpoint, tmp_path)
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "a.jsonl").exists()  # an endpoint that refuses everything may be set right


def test_an_endpoint_that_is_down_is_not_asked_thousands_of_times(
    endpoint: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.say = lambda body: (200, completion("Yes")) if len(endpoint.bodies) < 3 else (400, {"error": "broken"})
    with pytest.raises(SystemExit):
        run(drawn(tmp_path / "many", 20, count=14), endpoint, tmp_path)
    listed = capsys.readouterr().err
    assert "gave no answer to 8 questions in a row (the last: 400: broken)" in listed and "12 of 14 have none" in listed
    assert len(endpoint.bodies) < 14 and '"refused"' not in (tmp_path / "a.jsonl").read_text()


def questions_of(pictures: Path, file: Path, count: int) -> Path:
    """Write a list of so many questions about each picture."""
    rows = [json.loads(line) for line in (pictures / "prompts.jsonl").read_text().splitlines()]
    listed = [[f"Question {number}?", "yes"] for number in range(count)]
    file.write_text("".join(json.dumps({"prompt": row["caption"], "vqa_list": listed}) + "\n" for row in rows))
    return file


def refused_in(file: Path) -> list[str]:
    return [row["picture"] for row in map(json.loads, file.read_text().splitlines()) if "refused" in row]


def test_a_picture_that_is_refused_many_questions_does_not_end_the_run(
    pictures: Path, endpoint: StandIn, tmp_path: Path
) -> None:
    file = io.BytesIO()
    open_file(pictures / "000000.png").save(file, "PNG")
    first = base64.b64encode(file.getvalue()).decode()
    endpoint.say = lambda body: (400, {"error": "filtered"}) if first in str(body) else (200, completion("Yes"))
    listed = questions_of(pictures, tmp_path / "list.jsonl", 9)
    report = run(pictures, endpoint, tmp_path, "--questions", listed)
    assert values(report)["vqa_unjudged"] == 1 and refused_in(tmp_path / "a.jsonl") == ["000000.png"] * 9
    endpoint.bodies.clear()
    assert values(run(pictures, endpoint, tmp_path, "--questions", listed)) == values(report) and not endpoint.bodies
    (tmp_path / "more").mkdir()  # also where its questions alone are left
    lines = (tmp_path / "a.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "more/a.jsonl").write_text("".join(line for line in lines if '"refused"' not in line))
    assert values(run(pictures, endpoint, tmp_path / "more", "--questions", listed)) == values(report)
    assert len(endpoint.bodies) == 9


def test_what_was_refused_before_an_answer_is_kept_when_the_run_is_ended(
    pictures: Path, endpoint: StandIn, tmp_path: Path
) -> None:
    said = [(200, completion("Yes")), (400, {"error": "no"}), (400, {"error": "no"}), (200, completion("Yes"))]
    said += [(400, {"error": "no"}), (401, {"error": "the key has run out"})]
    endpoint.say = lambda _: said[len(endpoint.bodies) - 1]
    with pytest.raises(SystemExit):
        run(pictures, endpoint, tmp_path)
    assert len(refused_in(tmp_path / "a.jsonl")) == 2  # of the third nobody knows: it may have been the key
    endpoint.bodies.clear()
    endpoint.say = lambda _: (200, completion("Yes"))
    assert values(run(pictures, endpoint, tmp_path))["vqa_unjudged"] == 2 and len(endpoint.bodies) == 2


def test_which_way_probabilities_are_off_is_told(pictures: Path, endpoint: StandIn, tmp_path: Path) -> None:
    begun = {"content": [{"token": "Y", "top_logprobs": [{"token": "Y", "logprob": -0.01}]}]}
    other = {"content": [{"token": "Sure", "top_logprobs": [{"token": "Sure", "logprob": -0.01}]}]}
    endpoint.say = lambda body: (200, completion("Yes", begun if "a cat face" in str(body) else other))
    listed = " ".join(run(pictures, endpoint, tmp_path)["warnings"])
    assert "1 of 6 right answers count by tokens that only begin them" in listed
    assert "For 5 of 6 right answers, neither the word nor a beginning of it is among the likeliest tokens" in listed


def test_probabilities_may_be_refused_as_what_cannot_be_processed(endpoint: StandIn) -> None:
    def strict(body: dict[str, Any]) -> tuple[int, Any]:
        unknown = {"detail": [{"type": "extra_forbidden", "loc": ["body", "logprobs"]}]}
        return (422, unknown) if "logprobs" in body else (200, completion("Yes"))

    endpoint.say = strict
    assert Endpoint(endpoint.url, "seer").ask(b"", "Is it?").text == "Yes"


def test_geneval_s_questions_are_scored_as_soft_tifa(pictures: Path, endpoint: StandIn, tmp_path: Path) -> None:
    listed = [["How many cats are there?", "two"], {"question": "Is it red?", "answer": "Yes"}]
    captions = [json.loads(line)["caption"] for line in (pictures / "prompts.jsonl").read_text().splitlines()]
    file = tmp_path / "geneval2.jsonl"
    rows = [
        {"prompt": caption, "atom_count": 1 + index % 2, "vqa_list": listed, "skills": ["count", "attribute"]}
        for index, caption in enumerate(captions)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    likely = [{"token": "2", "logprob": -0.693147}, {"token": " Two", "logprob": -1.386294}]
    two = {"content": [{"token": "2", "top_logprobs": likely}]}
    endpoint.say = lambda body: (200, completion("2", two) if "How many" in str(body) else completion("Yes", YES))
    found = values(run(pictures, endpoint, tmp_path, "--questions", file))
    texts = {body["messages"][0]["content"][1]["text"] for body in endpoint.bodies}
    assert texts == {"How many cats are there? Answer in one word.", "Is it red? Answer in one word."}
    assert endpoint.bodies[0]["top_logprobs"] == 20
    assert found["soft_tifa_am"] == pytest.approx((0.75 + 0.9) / 2, abs=1e-5)
    assert found["soft_tifa_gm"] == pytest.approx((0.75 * 0.9) ** 0.5, abs=1e-5)
    assert [found[f"soft_tifa_am@{skill}"] for skill in ("count", "attribute")] == pytest.approx([0.75, 0.9], abs=1e-5)
    assert found["soft_tifa_gm@1"] == found["soft_tifa_gm@2"] == pytest.approx(found["soft_tifa_gm"])
    assert found["vqa_right"] == found["vqa_all_right"] == 1
    for row, said in (
        ({"prompt": "x", "vqa_list": [["only a question"]]}, "a prompt and its vqa_list"),
        ({"prompt": "x", "vqa_list": [["a question", "the"]]}, "a prompt and its vqa_list"),
        ({"prompt": "x", "vqa_list": []}, "the vqa_list is empty"),
    ):
        file.write_text(json.dumps(row) + "\n")
        with pytest.raises(ValueError, match=rf"geneval2\.jsonl, line 1: {said}"):
            read_questions(file)
    file.write_text((json.dumps({"prompt": "x", "vqa_list": [["a question", "two"]]}) + "\n") * 2)
    with pytest.raises(ValueError, match="line 2: the prompt 'x' has questions already"):
        read_questions(file)


def test_what_an_answer_is_worth() -> None:
    said = {"Yes.": True, "no": False, "Well, perhaps": None, "": None}
    assert {text: judged(text, "yes", None).right for text in said} == said
    assert judged("There are three.", "3", None).right and judged("a red ball", "the Red Ball", None).right
    assert judged("I see very many things in this picture", "two", None).right is None
    assert shares_right([[JudgedAnswer(True), JudgedAnswer(None)], [JudgedAnswer(False)]]).tolist() == [0.5, 0]
    assert soft([[JudgedAnswer(True, 0.5)], [JudgedAnswer(True)]]) is None
    with pytest.raises(ValueError, match="'The' is no answer"):
        judged("x", "The", None)


def test_how_likely_the_right_answer_was() -> None:
    # Every form that GenEval 2 looks for: as written, capitalised, after a space, as a figure; no other word's begin.
    alternatives = {"2": 0.3, " two": 0.2, "Two": 0.1, " 2": 0.05, "twelve": 0.2, "20": 0.1, " ": 0.04}
    assert judged("2", "two", alternatives).likely == pytest.approx(0.65)
    absent = judged("2", "five", alternatives)  # at most the least that was told, and what was not told at all
    assert (absent.likely, absent.listed) == (pytest.approx(0.01), False)
    assert judged("2", "five", {"2": 0.9, "3": 0.004}).likely == pytest.approx(0.004)
    split = judged("striped", "striped", {"str": 0.9, " Str": 0.07, "striped": 0.01, "stripes": 0.005, "a": 0.001})
    assert (split.likely, split.listed, split.begun) == (pytest.approx(0.98), True, True)
    whole = judged("two", "two", {"two": 0.7, "tw": 0.1, "one": 0.1})
    assert (whole.likely, whole.begun) == (pytest.approx(0.8), False)
    assert not judged("one", "twelve", {"one": 0.9, "a": 0.05, ".": 0.01}).listed  # "1" begins "12", "one" does not
    assert judged("red", "a red ball", {"red": 0.9}).likely is None  # of one token nobody knows that of three
    assert soft([[JudgedAnswer(True, 0.9), JudgedAnswer(False, 0.0)]])[1].tolist() == [0.0]
