"""Requests that are broken at random, the same ones for the same seed: JSON, forms, and uploads of every kind."""

import io
import json
import random
from typing import Any

from PIL import Image

BOUNDARY = "fuzz"
FORMS = ("edits", "variations", "interpolations", "mixes", "text-diffs", "captions", "reports")
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF")
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
    *("other", "http://a/v1/images/files/b.png"),
)
FIELDS = (
    *("model", "prompt", "n", "size", "quality", "response_format", "output_format", "output_compression"),
    *("background", "stream", "partial_images", "seed", "settings", "negative_prompt", "enlarge", "literal", "eta"),
    *("noise", "loop", "prompt[]", "weight", "weight[]", "old_prompt", "strength", "way", "image", "image[]", "mask"),
    *("reason", "url", "note", "with_record", "unknown"),
)


MANY = (0, 0, 1, 1, 2, 5)  # fields beside those that a request needs


def request(dice: random.Random) -> tuple[str, bytes, str]:
    """Return an endpoint's name, a body, and its content type."""
    if dice.random() < 0.4:
        table: dict[str, Any] = {"settings": "draft"}
        table |= {name: dice.choice(VALUES) for name in dice.choices(FIELDS, k=dice.choice(MANY))}
        content = json.dumps(dice.choice([table, table | {"prompt": "a cat"}, [table], "text", None])).encode()
        return "generations", broken(content, dice), "application/json"
    form = f"multipart/form-data; boundary={BOUNDARY}"
    kinds = [form, "application/x-www-form-urlencoded", "multipart/form-data", ""]
    return dice.choice(FORMS), broken(_form(dice), dice), dice.choices(kinds, [12, 1, 1, 1])[0]


def broken(content: bytes, dice: random.Random) -> bytes:
    """Return the bytes cut, doubled, or with some of them changed; mostly as they were."""
    match dice.randrange(10):
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


def picture(dice: random.Random) -> bytes:
    """Return a small picture's file, of any mode and kind."""
    kind = dice.choice(KINDS)
    modes = {"JPEG": ["RGB", "L"], "WEBP": ["RGB", "RGBA"], "AVIF": ["RGB", "RGBA"]}
    made = Image.new(
        dice.choice(modes.get(kind, ["RGB", "L", "P", "1"])), (dice.choice([1, 8, 300]), dice.choice([1, 8]))
    )
    file = io.BytesIO()
    made.save(file, kind)
    return file.getvalue()


def _form(dice: random.Random) -> bytes:
    parts = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {"settings": "draft", "prompt": "a cat", "reason": "other", "n": "2"}.items()
        if dice.random() < 0.8
    )
    for name in (*(["image"] if dice.random() < 0.8 else []), *dice.choices(FIELDS, k=dice.choice(MANY))):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
        if name in ("image", "image[]", "mask") and dice.random() < 0.9:
            whole = broken(picture(dice), dice)
            content = dice.choice([whole, whole, whole, b"", b"\x89PNG\r\n\x1a\n", dice.randbytes(40)])
            parts += f'{head}; filename="{dice.choice(["a.png", "", "../../a", "é"])}"\r\n\r\n'.encode() + content
        else:
            parts += f"{head}\r\n\r\n{dice.choice(VALUES)}".encode("utf-8", "replace")
        parts += b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()
