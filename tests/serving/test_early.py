"""The page is there before torch: what it imports, what it draws meanwhile, and when torch is read."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from visitor import ROOT

from dalle2 import images, light, portable
from dalle2.families import EMBEDDED, load
from dalle2.families.lazy import LazyModel
from dalle2.model import UnclipModel
from dalle2.serving import warming
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.variations import Variations

PROMPT = "classic symbol of love"
# Starts the page but for its launch, and draws a picture; prints what was imported for each.
STARTED = """
import os
import sys
import app
from demo import quick_gradio
quick_gradio.install()
import gradio

HEAVY = {"torch", "diffusers", "transformers", "scipy", "datasets", "accelerate", "sympy", "av", "vtracer"}

def launch(*_, **__):
    print(*sorted(HEAVY & set(sys.modules)), gradio.component_meta.create_or_modify_pyi.__name__, flush=True)
    print(os.environ["OMP_WAIT_POLICY"])
    from dalle2 import images
    from dalle2.serving.service import Service
    from dalle2.tasks.text_to_image import TextToImage
    service = Service.open(lazy=True)
    *_, last = service.draw(service.understood(TextToImage([words[0]])), 7, 2)
    images.save(last.pictures[1], words[1])
    print(*sorted(HEAVY & set(sys.modules)))
    sys.exit(0)

gradio.Blocks.launch = launch
words, sys.argv[1:] = sys.argv[1:], []
app.main()
"""


@pytest.fixture(scope="module")
def model() -> UnclipModel:
    return load(EMBEDDED)


@pytest.fixture
def early(model: UnclipModel) -> LazyModel:
    return LazyModel(EMBEDDED.name, lambda: model)


def levels(picture: object) -> np.ndarray:
    return np.asarray(images.open_picture(picture) if isinstance(picture, Path) else picture).astype(int)


def test_page_and_first_pictures_come_without_torch_and_are_torch_s(model: UnclipModel, tmp_path: Path) -> None:
    file = tmp_path / "love.png"
    command = [sys.executable, "-c", STARTED, PROMPT, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == ["<lambda>", "PASSIVE", ""]
    (expected,) = model.text_to_image([PROMPT], seeds=[8])
    assert np.abs(levels(file) - levels(expected)).max() <= 1
    ours, theirs = images.read_record(file), images.read_record(expected)
    assert set(ours["versions"]) == set(light.PACKAGES)
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} == {"versions"}


def test_what_it_says_of_itself_is_what_the_loaded_one_says(early: LazyModel, model: UnclipModel) -> None:
    names = (
        "capabilities priors settings checkpoint tokenizer styles examples subject phrases picture_size picture_sizes"
    )
    names += " upsampling inpaints noise_levels checkpoint_hash understands stages engine"
    for name in names.split():
        assert getattr(early, name) == getattr(model, name), name
    assert early.device.type == model.device.type and f"torch.{early.dtype}" == str(model.dtype) and early.unloaded


def test_the_loaded_one_draws_whatever_else_is_asked_for(early: LazyModel, model: UnclipModel) -> None:
    service = Service(early)
    (picture,) = model.text_to_image(["a dog"], seeds=[1], literal=True)
    *_, drawn = service.draw(Variations(picture), 3)
    assert not early.unloaded and np.array_equal(
        levels(drawn.pictures[0]), levels(model.variations(picture, seeds=[3])[0])
    )
    *_, again = service.draw(TextToImage(["a dog"]), 1)
    assert "torch" in images.read_record(again.pictures[0])["versions"]
    assert np.abs(levels(again.pictures[0]) - levels(picture)).max() <= 1


def test_settings_that_only_torch_takes_are_left_to_it(early: LazyModel) -> None:
    *_, drawn = Service(early).draw(TextToImage(["a dog"]), 1, settings={"decoder": {"scheduler": "dpm++"}})
    assert not early.unloaded and "torch" in images.read_record(drawn.pictures[0])["versions"]


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(warming, "REST_SECONDS", 0.05)


@pytest.mark.usefixtures("hasty")
def test_torch_is_read_after_the_first_pictures_and_not_while_one_is_drawn(early: LazyModel) -> None:
    service = Service(early)
    with warming.warming(service):
        drawing = service.draw(TextToImage(["a dog"]), 1)
        next(drawing)
        time.sleep(0.2)
        assert early.unloaded or not service.queue.tickets
        *_, last = drawing
        assert set(images.read_record(last.pictures[0])["versions"]) == set(light.PACKAGES)
        assert until(lambda: not early.unloaded)


@pytest.mark.usefixtures("hasty")
def test_nobody_reads_it_once_the_server_ends(early: LazyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with warming.warming(Service(early)):
        assert until(lambda: early._drawer is not None)
    monkeypatch.setattr(warming, "UNVISITED_SECONDS", 0.0)
    time.sleep(0.2)
    assert early.unloaded


@pytest.mark.usefixtures("hasty")
def test_the_server_ends_after_what_is_being_opened(early: LazyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(early, "draws_unloaded", lambda *_: (time.sleep(0.3), opened.append("all of it")))
    with warming.warming(Service(early)):
        pass
    assert opened == ["all of it"]  # else the process would be aborted in the midst of it


@pytest.mark.usefixtures("hasty")
def test_it_is_read_though_nobody_came(early: LazyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "UNVISITED_SECONDS", 0.1)
    with warming.warming(Service(early)):
        assert until(lambda: not early.unloaded)


@pytest.mark.usefixtures("hasty")
def test_where_its_graphs_cannot_be_read_torch_draws_which_is_told(
    early: LazyModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portable, "graph_of", lambda *_: (_ for _ in ()).throw(ValueError("half of it is missing")))
    service = Service(early)
    with warming.warming(service):
        assert until(lambda: "half of it is missing" in caplog.text)
        *_, last = service.draw(TextToImage(["a dog"]), 1)
    assert "torch" in images.read_record(last.pictures[0])["versions"] and not early.unloaded
