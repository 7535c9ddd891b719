"""Judging by an endpoint: asked once, kept, gone on with after timeouts; nonsense is counted, strangers are refused."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from drawn_folders import drawn

from evaluation import vqa
from evaluation.measuring.vqa import read_questions
from evaluation.metrics.vqa_score import Judged, judged, shares_right, soft
from evaluation.networks.vqa_endpoint import Endpoint, Unanswered

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
    assert values(report) == pytest.approx({"vqa_right": 1, "vqascore": 0.9, "vqa_nonsense": 0}, abs=1e-5)
    assert len(endpoint.bodies) == 6 and endpoint.bodies[0]["path"] == "/v1/chat/completions"
    assert endpoint.bodies[0]["authorization"] == "Bearer sk-secret"
    content = endpoint.bodies[0]["messages"][0]["content"]
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert content[1]["text"].startswith('Does this picture show "a cat 0"?')
    assert "sk-secret" not in json.dumps(report) + (tmp_path / "a.jsonl").read_text()
    assert values(run(pictures, endpoint, tmp_path)) == values(report) and len(endpoint.bodies) == 6
    run(pictures, endpoint, tmp_path, "--vqa-model", "another")
    assert len(endpoint.bodies) == 12


def test_timeouts_are_gone_on_with(
    pictures: Path, endpoint: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(body: dict[str, Any]) -> tuple[int, Any]:
        return (504, {}) if "a cat face" in body["messages"][0]["content"][1]["text"] else (200, completion("No"))

    endpoint.say = silent
    with pytest.raises(SystemExit) as ended:
        run(pictures, endpoint, tmp_path)
    told = capsys.readouterr().err
    assert ended.value.code == 2 and "gave no answer to 1 of 6 questions (504: {})" in told
    assert "the same command asks again for these" in told and not (tmp_path / "report.json").exists()
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"key": "half a li')
    endpoint.say = lambda _: (200, completion("Yes"))
    endpoint.bodies.clear()
    assert values(run(pictures, endpoint, tmp_path))["vqa_right"] == pytest.approx(1 / 6)
    assert len(endpoint.bodies) == 1


def test_an_endpoint_that_stays_silent_is_asked_three_times(endpoint: StandIn) -> None:
    over = threading.Event()
    endpoint.say = lambda _: (200, over.wait(5))
    with pytest.raises(Unanswered, match="timed out"):
        Endpoint(endpoint.url, "seer", timeout=0.1).ask(b"", "Is it?")
    over.set()
    assert len(endpoint.bodies) == 3


def test_nonsense_is_counted_and_probabilities_may_be_refused(
    pictures: Path, endpoint: StandIn, tmp_path: Path
) -> None:
    def strange(body: dict[str, Any]) -> tuple[int, Any]:
        if "logprobs" in body:
            return 400, {"error": {"message": "logprobs are not supported"}}
        face = "face" in body["messages"][0]["content"][1]["text"]
        return 200, completion("As a language model …" if face else "yes")

    endpoint.say = strange
    report = run(pictures, endpoint, tmp_path)
    assert values(report) == pytest.approx({"vqa_right": 2 / 6, "vqa_nonsense": 4 / 6})
    assert len(endpoint.bodies) == 7
    told = " ".join(report["warnings"])
    assert "4 of 6 answers are none, such as 'As a language model …'" in told and "tells no probabilities" in told


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, {"error": {"message": "wrong key"}}, "refuses the question (401): wrong key"),
        (404, b"<html>nothing here</html>", "refuses the question (404): <html>nothing here"),
        (200, b"<html>hello</html>", "does not answer as OpenAI's API does: <html>hello"),
        (200, {"choices": []}, "does not answer as OpenAI's API does"),
        (503, {"error": "full"}, "gave no answer to 6 of 6 questions (503: full)"),
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


def test_geneval_s_questions_are_scored_as_soft_tifa(pictures: Path, endpoint: StandIn, tmp_path: Path) -> None:
    listed = [["How many cats are there?", "two"], {"question": "Is it red?", "answer": "yes"}]
    captions = [json.loads(line)["caption"] for line in (pictures / "prompts.jsonl").read_text().splitlines()]
    file = tmp_path / "geneval2.jsonl"
    rows = [{"prompt": caption, "atom_count": 2, "vqa_list": listed} for caption in captions]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    likely = [{"token": "2", "logprob": -0.693147}, {"token": "two", "logprob": -1.386294}]
    two = {"content": [{"token": "2", "top_logprobs": likely}]}
    endpoint.say = lambda body: (200, completion("2", two) if "How many" in str(body) else completion("Yes", YES))
    found = values(run(pictures, endpoint, tmp_path, "--questions", file))
    assert found["soft_tifa_am"] == pytest.approx((0.75 + 0.9) / 2, abs=1e-5)
    assert found["soft_tifa_gm"] == pytest.approx((0.75 * 0.9) ** 0.5, abs=1e-5)
    assert found["vqa_right"] == found["vqa_all_right"] == 1
    file.write_text(json.dumps({"prompt": "x", "vqa_list": [["only a question"]]}) + "\n")
    with pytest.raises(ValueError, match=r"geneval2\.jsonl, line 1: a prompt and its vqa_list"):
        read_questions(file)


def test_what_an_answer_is_worth() -> None:
    said = {"Yes.": True, "no": False, "Well, perhaps": None, "": None}
    assert {text: judged(text, "yes", None).right for text in said} == said
    assert judged("There are three.", "3", None).right and judged("a red ball", "the Red Ball", None).right
    assert judged("I see very many things in this picture", "two", None).right is None
    assert judged("x", "Two", {"2": 0.5, " two": 0.25, "3": 0.2}).likely == 0.75
    assert shares_right([[Judged(True), Judged(None)], [Judged(False)]]).tolist() == [0.5, 0]
    assert soft([[Judged(True, 0.5)], [Judged(True)]]) is None
