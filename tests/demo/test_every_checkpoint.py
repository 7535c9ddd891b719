"""Every published checkpoint on the page, as a tiny twin: it is picked, has hints of its own and does its tasks.

By the functions behind the page's buttons, without a browser; how a card looks is tested in test_picker.py. The API
beside the page draws with it too.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hub import serving
from PIL import Image
from published_twins import PARTNERS, SOURCES, publish
from starlette.testclient import TestClient

from dalle2.families.published import known
from dalle2.families.stable_unclip import load as stable_unclip
from dalle2.serving.api.alone import alone
from dalle2.serving.limits import MAX_STEPS
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import ANY_PROMPT
from demo.facts import key_of
from demo.page import build

VISITOR = SimpleNamespace(headers={"host": "localhost"}, client=SimpleNamespace(host="127.0.0.1"))
# By the capability that it takes, an endpoint and what it is asked for: of a photograph "p", and a mask "m".
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "text_to_image": ("text_to_image", {"prompt": "a cat", "count": 2}),
    "variations": ("variations", {"picture": "p", "count": 2}),
    "interpolate": ("interpolate", {"picture_a": "p", "picture_b": "m", "frames": 2}),
    "mix": ("mix", {"first_picture": "p", "second_picture": "m", "count": 1}),
    "text_diff": ("text_diff", {"picture": "p", "new": "a dog", "old": "a cat", "count": 2, "way": "slerp"}),
    "inpaint": ("inpaint", {"picture": "p", "mask": "m", "prompt": "a dog", "count": 1}),
    "outpaint": ("outpaint", {"picture": "p", "prompt": "a dog", "count": 1}),
    "enhance": ("enhance", {"picture": "s", "size": 64}),
    "steps": ("explain", {"question": "steps", "prompt": "a cat"}),
    "attention": ("explain", {"question": "attention", "prompt": "a cat"}),
}


@pytest.fixture(scope="module")
def service(
    tiny_checkpoint: Path, karlo_text: Path, karlo_variations: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One checkpoint in memory at a time, and the published ones on offer."""
    with serving(tmp_path_factory.mktemp("cache")) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalle2.serving.opening._free", lambda: None)  # the twins need less than what they stand for
        publish(hub, tmp_path_factory.mktemp("published"), karlo_text, karlo_variations)
        service = Service.open(str(tiny_checkpoint))
        service.offer_published()
        yield service


@pytest.fixture(scope="module")
def functions(service: Service) -> dict[str, Callable[..., Iterator[Any]]]:
    """What the page calls, by the names of the endpoints."""
    page, _ = build(service, everyone=True)
    return {function.api_name: function.fn for function in page.fns.values() if isinstance(function.api_name, str)}


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    """The API of the same service."""
    with TestClient(alone(service), client=("127.0.0.1", 5000)) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A photograph, a mask of its size, and a small picture."""
    folder = tmp_path_factory.mktemp("pictures")
    photo, mask = Image.linear_gradient("L").convert("RGB"), Image.new("L", (256, 256), 0)
    mask.paste(255, (0, 0, 128, 256))
    made = {"p": photo, "m": mask.convert("RGB"), "s": photo.resize((16, 16))}
    for name, picture in made.items():
        picture.save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in made}


@pytest.mark.parametrize("source", SOURCES)
def test_it_is_picked_says_what_it_is_and_does_its_tasks(
    source: str,
    service: Service,
    functions: dict[str, Callable[..., Iterator[Any]]],
    client: TestClient,
    files: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stable_unclip, "PARTNERS", PARTNERS[source])
    *_, ready = functions["load_checkpoint"](source, VISITOR)
    assert ready["state"] == "done" and service.checkpoints == (ready["name"],)
    said, facts = known(source), ready["facts"]
    assert (facts["title"], facts["licence"]) == (said.title, said.licence)
    assert facts["hint"] == ({"en": said.hint_en, "zh": said.hint_zh} if said.hint_en else None)
    assert [one["name"] for one in facts["examples"]] == list(said.examples)
    presets = facts["presets"][key_of(ANY_PROMPT)]
    for stage, default in presets["default"].items():
        steps = [presets[name][stage]["num_inference_steps"] for name in ("fast", "default", "best")]
        assert steps == [round(steps[1] / 2), default["num_inference_steps"], min(round(steps[1] * 2.5), MAX_STEPS)]
    few = {stage: {"num_inference_steps": 2} for stage in presets["default"]}
    tabs = ASKED.keys() & set(facts["can"])
    assert ("mix" in facts["tabs"]) == ("variations" in facts["can"])  # of what there is nothing to give is no tab
    for task in tabs - ({"mix"} - set(facts["tabs"])):
        endpoint, asked = ASKED[task]
        if task == "interpolate" and "variations" not in facts["can"]:
            asked = {"prompt_a": "a cat", "prompt_b": "a dog", "frames": 2}
        if "text_to_image" not in facts["can"]:  # whose decoder takes no words
            asked = {name: value for name, value in asked.items() if name != "prompt"}
        arguments = {name: files.get(value, value) for name, value in asked.items()}
        *_, (pictures, *_, state) = functions[endpoint](**arguments, settings=few, checkpoint=ready["name"])
        assert state["state"] == "done" and len(pictures) >= asked.get("count", asked.get("frames", 1)), task
    _ask_the_api(client, files, {"model": ready["name"], "settings": json.dumps(few)}, set(facts["can"]))


def _ask_the_api(client: TestClient, files: dict[str, str], asked: dict[str, str], can: set[str]) -> None:
    """By OpenAI's three calls, each of which is answered with a picture, or with what the checkpoint cannot do."""
    asked |= {"response_format": "b64_json"}
    prompt = {"prompt": "a cat"} if "text_to_image" in can else {}
    sent = {name: Path(files[key]).read_bytes() for name, key in (("image", "p"), ("mask", "m"))}
    answers = {
        "text_to_image": client.post("/v1/images/generations", json={**asked, "prompt": "a cat"}),
        "variations": client.post("/v1/images/variations", data=asked, files={"image": sent["image"]}),
        "inpaint": client.post("/v1/images/edits", data={**asked, "prompt": "a cat"} if prompt else asked, files=sent),
    }
    for task, answer in answers.items():
        if task in can:
            assert answer.status_code == 200 and len(answer.json()["data"][0]["b64_json"]) > 100, (task, answer.text)
        else:
            assert answer.status_code == 400 and "cannot do" in answer.json()["error"]["message"], (task, answer.text)
