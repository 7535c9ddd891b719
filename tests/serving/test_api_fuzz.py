"""Requests that are broken at random: each is answered in OpenAI's shape, and none by a fault of ours.

FUZZ=5000 pytest -n 0 tests/serving/test_api_fuzz.py tries more.
"""

import io
import json
import os
import random
from collections.abc import Iterator

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dalle2.model import UnclipModel
from dalle2.serving.api.alone import alone
from dalle2.serving.drawing import Drawing
from dalle2.serving.service import Service

TRIES = int(os.environ.get("FUZZ", "200"))
BOUNDARY = "fuzz"
FORMS = ("edits", "variations", "interpolations", "mixes", "text-diffs", "captions")
VALUES = (
    *(None, True, False, 0, -1, 1, 2**63, 1e308, "", " ", "auto", "a cat", "a" * 40_000, "\ud800", "\0", "💚" * 9, []),
    *([1], ["a", "b"], {}, {"decoder": {"num_inference_steps": 2}}, {"decoder": {"eta": "x"}}, {"": {}}, "512x512"),
    *(
        "99999x1",
        "0x0",
        "{",
        "{}",
        "[]",
        '{"prior": null}',
        "NaN",
        "url",
        "b64_json",
        "png",
        "draft",
        "emoji",
        "../etc",
    ),
)
FIELDS = (
    *(
        "model",
        "prompt",
        "n",
        "size",
        "quality",
        "response_format",
        "output_format",
        "output_compression",
        "background",
    ),
    *("stream", "partial_images", "seed", "settings", "negative_prompt", "enlarge", "literal", "eta"),
    *(
        "noise",
        "loop",
        "prompt[]",
        "weight",
        "weight[]",
        "old_prompt",
        "strength",
        "way",
        "image",
        "image[]",
        "mask",
        "unknown",
    ),
)


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
def client(model: UnclipModel) -> Iterator[TestClient]:
    with TestClient(alone(Instant(model)), raise_server_exceptions=False) as client:
        yield client


def png(dice: random.Random) -> bytes:
    file = io.BytesIO()
    mode = dice.choice(["RGB", "RGBA", "L", "P", "1"])
    Image.new(mode, (dice.choice([1, 8, 300]), dice.choice([1, 8]))).save(file, dice.choice(["PNG", "GIF", "BMP"]))
    return file.getvalue()


def form(dice: random.Random) -> bytes:
    parts = b""
    for name in dice.choices(FIELDS, k=dice.randrange(6)):
        value = dice.choice(VALUES)
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if name in ("image", "image[]", "mask") and dice.random() < 0.9:
            content = dice.choice([png(dice), b"", b"\x89PNG\r\n\x1a\n", dice.randbytes(40)])
            parts += f'{head}; filename="{dice.choice(["a.png", "", "../../a", "é"])}"\r\n\r\n'.encode() + content
        else:
            parts += f"{head}\r\n\r\n{value}".encode("utf-8", "replace")
        parts += b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


def broken(content: bytes, dice: random.Random) -> bytes:
    """Cut, doubled, or with some bytes changed; often as it was."""
    match dice.randrange(6):
        case 0:
            return content[: dice.randrange(len(content) + 1)]
        case 1:
            return content + content
        case 2 if content:
            changed = bytearray(content)
            for _ in range(dice.randrange(1, 9)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            return bytes(changed)
    return content


def asked(dice: random.Random) -> tuple[str, bytes, str]:
    if dice.random() < 0.5:
        table = {name: dice.choice(VALUES) for name in dice.choices(FIELDS, k=dice.randrange(6))}
        content = json.dumps(dice.choice([table, table | {"prompt": "a cat"}, [table], "text", None])).encode()
        return "generations", broken(content, dice), "application/json"
    kinds = [
        f"multipart/form-data; boundary={BOUNDARY}",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ]
    return dice.choice(FORMS), broken(form(dice), dice), dice.choices(kinds, [9, 1, 1, 1])[0]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Starlette leaves the files of a broken form to be collected
def test_what_is_broken_at_random_is_answered_in_openai_s_shape(client: TestClient) -> None:
    dice = random.Random(7)
    seen: dict[int, int] = {}
    for number in range(TRIES):
        path, content, kind = asked(dice)
        answer = client.post(f"/v1/images/{path}", content=content, headers={"Content-Type": kind})
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        told = (number, path, kind, content[:2000], answer.text[:2000])
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream") or answer.json()["data"], told
            continue
        assert answer.status_code in (400, 404, 413), told
        error = answer.json()["error"]
        assert {"message", "type", "param", "code"} <= error.keys() and error["message"].endswith("."), told
        assert "Traceback" not in answer.text and ".py" not in answer.text, told
    assert seen[200] and seen[400]
