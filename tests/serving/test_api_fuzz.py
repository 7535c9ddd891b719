"""Requests that are broken at random: each is answered in OpenAI's shape, and none by a fault of ours.

FUZZ=5000 pytest -n 0 tests/serving/test_api_fuzz.py tries more.
"""

import os
import random
from collections.abc import Iterator

import pytest
from PIL import Image
from starlette.testclient import TestClient

from benchmarks.attack import fuzzing
from dalle2.model import UnclipModel
from dalle2.serving.api.alone import alone
from dalle2.serving.drawing import Drawing
from dalle2.serving.reports import Reports
from dalle2.serving.service import Service

TRIES = int(os.environ.get("FUZZ", "200"))


class Instant(Service):
    """A service that answers at once, since what is tried is what leads to it."""

    def draw(
        self, request: object, seed: int | None, count: int = 1, *_: object, **options: object
    ) -> Iterator[Drawing]:
        picture = Image.new("RGB", (8, 8))
        picture.info["parameters"] = '{"task": "text_to_image", "seed": 1, "settings": {}}'
        yield Drawing((seed or 0,), (), (picture,) * count, finished=True)

    def caption(self, *_: object) -> Iterator[Drawing]:
        yield Drawing((), (), captions=(("a cat", 0.5),), finished=True)


@pytest.fixture(scope="module")
def client(model: UnclipModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    service = Instant(model)
    service.reports = Reports(tmp_path_factory.mktemp("reports") / "reports.sqlite3")
    with TestClient(alone(service), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Starlette leaves the files of a broken form to be collected
def test_what_is_broken_at_random_is_answered_in_openai_s_shape(client: TestClient) -> None:
    dice = random.Random(7)
    seen: dict[int, int] = {}
    for number in range(TRIES):
        path, content, kind = fuzzing.request(dice)
        answer = client.post(f"/v1/images/{path}", content=content, headers={"Content-Type": kind})
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        told = (number, path, kind, content[:2000], answer.text[:2000])
        if answer.status_code == 200:
            streamed = answer.headers["content-type"].startswith("text/event-stream")
            assert streamed or answer.json().get("data") or answer.json()["object"] == "report", told
            continue
        assert answer.status_code in (400, 404, 413), told
        error = answer.json()["error"]
        assert {"message", "type", "param", "code"} <= error.keys() and error["message"].endswith("."), told
        assert "Traceback" not in answer.text and ".py" not in answer.text, told
    assert seen[200] and seen[400]
