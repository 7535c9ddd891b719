"""Describe: the captions to choose from are embedded once a checkpoint, while a visitor chooses a picture."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from visitor import SECONDS

from dalle2.model import UnclipModel
from dalle2.serving.service import Service
from dalle2.tasks import caption
from dalle2.tasks.caption import Caption
from demo.page import build
from demo.tabs.explain import READING, _reading

PICTURE = Image.new("RGB", (32, 32), "teal")


@pytest.fixture
def many(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often all captions of the tiny checkpoint were embedded."""
    embedded: list[int] = []
    whole, embed = len(model.phrases.concepts) * len(model.phrases.styles), caption._embed

    def counted(model: UnclipModel, captions: list[str]) -> Any:
        embedded.extend([1] * (len(captions) == whole))
        return embed(model, captions)

    monkeypatch.setattr(caption, "_embed", counted)
    monkeypatch.setattr(caption, "_tables", type(caption._tables)())
    return embedded


def test_captions_are_embedded_once_however_many_ask(model: UnclipModel, many: list[int]) -> None:
    service = Service(model)
    for _ in range(2):
        *_, told = service.caption(Caption([PICTURE], 2))
        assert len(told.captions) == 2
    assert len(many) == 1


def test_only_the_first_visitor_hears_that_captions_are_read_and_who_opens_the_tab_has_them_read(
    model: UnclipModel, many: list[int], tmp_path: Path
) -> None:
    PICTURE.save(tmp_path / "own.png")

    def endpoint(page: Any, name: str) -> Callable[..., Any]:
        return next(fn.fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == name)

    def said(page: Any) -> list[str]:
        told = endpoint(page, "caption")(str(tmp_path / "own.png"), 1, model.checkpoint, None)
        return [line["text"] for _, line in told]

    fresh, _ = build(Service(model))
    assert READING.en in said(fresh) and READING.en not in said(fresh)
    warmed, _ = build(Service(model))
    endpoint(warmed, "read_captions")(model.checkpoint)
    assert READING.en not in said(warmed)
    assert len(many) == 1


def test_one_visitor_s_opening_of_the_tab_has_the_captions_read_and_none_s_while_somebody_is_in_the_queue(
    model: UnclipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(model)
    begun, go = threading.Event(), threading.Event()
    asked = []

    def caption(*_: Any) -> Iterator[None]:
        asked.append(1)
        begun.set()
        assert go.wait(SECONDS)
        yield

    monkeypatch.setattr(service, "caption", caption)
    read = _reading(service, set())
    monkeypatch.setattr(service.queue, "tickets", [object()])
    read(model.checkpoint)
    assert not asked
    monkeypatch.setattr(service.queue, "tickets", [])
    first = threading.Thread(target=read, args=[model.checkpoint])
    first.start()
    assert begun.wait(SECONDS)
    read(model.checkpoint)  # returns at once
    go.set()
    first.join(SECONDS)
    read(model.checkpoint)
    assert len(asked) == 1
