"""The OpenAPI document says what is answered: real answers hold against the models that it names."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dalle2 import settings
from dalle2.model import UnclipModel
from dalle2.serving.api import replies
from dalle2.serving.api.alone import alone
from dalle2.serving.reports import Reports
from dalle2.serving.service import Service

JSON, FORM = "application/json", "multipart/form-data"


@pytest.fixture(scope="module")
def client(model: UnclipModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    service = Service(model)
    service.reports = Reports(tmp_path_factory.mktemp("reports") / "reports.sqlite3")
    with pytest.MonkeyPatch.context() as patch:
        for steps in ("INPAINTING_STEPS", "INVERSION_STEPS", "TEXT_DIFF_STEPS"):
            patch.setattr(settings, steps, 2)
        with TestClient(alone(service), "http://localhost", client=("127.0.0.1", 5000)) as client:
            yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/v1/openapi.json").json()


def reply(document: dict[str, Any], path: str, method: str, status: str, kind: str = JSON) -> str:
    """The name of the model that the document gives this answer."""
    answer = document["paths"][path][method]["responses"][status]
    return answer["content"][kind]["schema"]["$ref"].rpartition("/")[2]


def test_every_answer_and_every_error_has_a_model_and_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names) == 12 and {"generations", "text_diffs", "report", "counts"} <= set(names)
    assert "HTTPValidationError" not in schemas and document["servers"] == [{"url": "/v1"}]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"].endswith("."), (path, method)
            assert reply(document, path, method, "429") == reply(document, path, method, "5XX") == "Errored"
            assert "Retry-After" in operation["responses"]["429"]["headers"]
    assert {"PartialImage", "Completed"} <= schemas.keys()
    asked = [name for name, schema in schemas.items() if schema.get("description", "").startswith("POST ")]
    assert len(asked) == 8
    for name in asked:
        for field, schema in schemas[name]["properties"].items():
            assert schema.get("description"), f"{name}.{field}"
            assert name == "Generation" or {"type": "null"} not in schema.get("anyOf", ()), "a form knows no null"


def test_answers_hold_against_their_models(client: TestClient, document: dict[str, Any]) -> None:
    file = io.BytesIO()
    Image.new("RGBA", (32, 32), (0, 90, 0, 0)).save(file, "PNG")
    image = {"image": ("a.png", file.getvalue())}
    for path, asked in {
        "/images/edits": {"prompt": "a cat"},
        "/images/variations": {"response_format": "b64_json"},
        "/images/interpolations": {"prompt[]": ["a cat"], "n": "2"},
        "/images/mixes": {"prompt": ["a cat", "a dog"]},
        "/images/text-diffs": {"prompt": "a dog", "n": "2"},
        "/images/captions": {"n": "2"},
        "/images/reports": {"reason": "other"},
    }.items():
        answer = client.post(f"/v1{path}", data={"settings": "draft"} | asked, files=image)
        assert answer.status_code == 200, answer.text
        model = reply(document, path, "post", "200")
        getattr(replies, model).model_validate_json(answer.content, strict=True)
    drawn = client.post("/v1/images/generations", json={"prompt": "a cat", "settings": "draft", "n": 2})
    assert reply(document, "/images/generations", "post", "200") == "Pictures"
    replies.Pictures.model_validate_json(drawn.content, strict=True)
    for path in ("/models", "/models/{model}", "/counts"):
        answer = client.get(f"/v1{path.replace('{model}', 'dall-e-2')}")
        getattr(replies, reply(document, path, "get", "200")).model_validate_json(answer.content, strict=True)


def test_events_hold_against_their_models(client: TestClient) -> None:
    asked = {"prompt": "a cat", "stream": True, "partial_images": 2}
    told = client.post("/v1/images/generations", json=asked).text
    events = [line.removeprefix("data: ") for line in told.splitlines() if line.startswith("data: ")]
    for event in events:
        model = replies.Completed if json.loads(event)["type"].endswith("completed") else replies.PartialImage
        model.model_validate_json(event, strict=True)
    assert events


def test_errors_hold_against_their_model(client: TestClient) -> None:
    for asked in ({}, {"prompt": "a", "n": 99}, {"prompt": "a", "model": "none"}):
        answer = client.post("/v1/images/generations", json=asked)
        replies.Errored.model_validate_json(answer.content, strict=True)
    replies.Errored.model_validate_json(client.get("/v1/nowhere").content, strict=True)
