"""Where else the page runs: on ZeroGPU, where a task asks for its GPU, and as a server of tools (MCP)."""

import asyncio
import importlib
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from gradio.utils import get_function_description
from gradio_client import Client
from visitor import launched

from dalle2.model import UnclipModel
from dalle2.requests import ANY_PICTURE
from dalle2.serving import store
from dalle2.serving.api.routes import api
from dalle2.serving.service import Service
from dalle2.stage_settings import STAGE_KINDS
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.tasks.variations import Variations
from demo import votes, zero
from demo.page import build
from demo.tabs import compare

ROOT = Path(__file__).parents[2]


class ZeroGPU:
    """Stands for the package `spaces`: passes on only what a pipe between two processes would."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.seconds: list[int] = []

    def GPU(
        self, task: Callable[..., Iterator[tuple]], *, duration: Callable[..., int]
    ) -> Callable[..., Iterator[tuple]]:
        def run(*arguments: object) -> Iterator[tuple]:
            self.calls.append(task.__name__)
            self.seconds.append(duration(*arguments))
            for answer in task(*pickle.loads(pickle.dumps(arguments))):
                yield pickle.loads(pickle.dumps(answer))

        return run


def test_without_the_package_a_task_is_called_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    bare = importlib.reload(zero)
    assert bare.spaces is None and bare.accelerated(len, None) is len


def test_elsewhere_than_on_zerogpu_the_package_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero, "spaces", SimpleNamespace(GPU=lambda task, duration: task))
    assert zero.accelerated(len, None) is len


def test_on_zerogpu_every_drawing_asks_for_the_gpu(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ZeroGPU()
    monkeypatch.setattr(zero, "spaces", there)
    with launched(Service(model), tmp_path) as address:
        client = Client(address, headers={"Accept-Language": "zh"}, verbose=False)
        (picture,), seed, state = client.predict("a cat", 7, False, 1, api_name="/text_to_image")
        assert (picture["record"]["seed"], seed, state["text"]) == (7, 7, "完成。")
        ends = {"prompt_a": "a cat", "prompt_b": "a dog", "frames": 2}
        gif = client.predict(**ends, api_name="/interpolate")[2]
        assert Path(gif["value"] if isinstance(gif, dict) else gif).stat().st_size
        client.predict("a cat", other_settings="best", api_name="/compare")
        assert "A 是" in client.predict("a", api_name="/vote")[-1]["text"]
    assert there.calls == ["text_to_image", "interpolate", "compare"]
    assert len(there.seconds) == 3 and all(zero.BEGINNING_SECONDS <= each < 60 for each in there.seconds)


def test_a_gpu_is_asked_for_by_pictures_and_steps(model: UnclipModel) -> None:
    def endpoint(prompt: str, count: int = 4, settings: object = "default", checkpoint: str | None = None) -> None:
        """Takes what the page's endpoints take."""

    seconds = zero.duration(endpoint, Service(model), ANY_PROMPT)
    table = {"prior": {"num_inference_steps": 25}, "decoder": {"num_inference_steps": 25}}
    assert seconds("a cat", 1) == math.ceil(zero.BEGINNING_SECONDS + zero.STEP_SECONDS * (3 + 4 + 3))
    assert seconds("a cat", 8, table) == math.ceil(zero.BEGINNING_SECONDS + zero.STEP_SECONDS * 8 * (25 + 25 + 3))
    assert seconds("a cat", 8, table, None) == seconds("a cat", count=8, settings=table)
    assert seconds("a cat", 8, {name: {"num_inference_steps": 100} for name in STAGE_KINDS}) == zero.MOST_SECONDS
    for wrong in (["a cat", "many"], ["a cat", 1, "soon"], ["a cat", 1, "default", "none"]):
        assert seconds(*wrong) == zero.BEGINNING_SECONDS  # what the endpoint will refuse

    def every(prompt: str, settings: object = "default") -> None:
        """As all styles, which says no number."""

    assert zero.duration(every, Service(model), ANY_PROMPT)("a cat") == seconds("a cat", 8)

    def other(count: int, keep_composition: bool, settings: object = "default") -> None:
        """As variations."""

    def both(count: int, settings: object = "default", other_settings: object = "best") -> None:
        """As compare."""

    kept = zero.duration(other, Service(model), Variations(ANY_PICTURE))
    assert kept(2, True) == math.ceil(zero.BEGINNING_SECONDS + zero.STEP_SECONDS * 2 * (50 + 50 + 3))
    assert kept(2, False) == math.ceil(zero.BEGINNING_SECONDS + zero.STEP_SECONDS * 2 * (4 + 3))
    assert zero.duration(both, Service(model), ANY_PROMPT)(8) > seconds("a cat", 8)


def test_every_endpoint_says_what_it_takes(model: UnclipModel) -> None:
    """A Space publishes this to agents, who read the description of one endpoint at a time."""
    page, _ = build(Service(model))
    told = {fn.api_name: get_function_description(fn.fn) for fn in page.fns.values() if fn.api_visibility == "public"}
    assert {"text_to_image", "variations", "vote", "caption"} <= set(told)
    for name, (description, arguments, _) in told.items():
        assert len(description) > 40, name
        unexplained = {argument for argument, text in arguments.items() if not text} - {"request", "pair"}
        assert not unexplained, (name, unexplained)
    assert "negative_prompt" in told["text_to_image"][1]["settings"]


def test_nothing_is_said_in_words_that_only_its_authors_understand() -> None:
    """Each of these stood on the page, and puzzled its first visitors."""
    files = [file for file in (ROOT / "demo").rglob("*") if file.suffix in (".py", ".html", ".js")]
    said = "".join(file.read_text(encoding="utf-8") for file in files)
    for words in (
        *("Told anew", "Turned, as in", "0 axes", "embedding of a picture hold", "is first made so small"),
        *("or a prompt for", "Told by the prior"),
    ):
        assert words not in said, words
    emoji = SimpleNamespace(checkpoints=("emoji",), model=lambda: SimpleNamespace(subject={"en": "emoji"}))
    assert not any("photo" in question.en for question in compare.asked(emoji).values())


def test_on_a_space_votes_go_to_its_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUCKET", tmp_path / "data")
    for name in ("VOTES_FILE", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert votes.usual_place() == Path("votes.sqlite3")
    monkeypatch.setenv("SPACE_ID", "me/mine")
    assert votes.usual_place() == Path("votes.sqlite3")  # no bucket is mounted
    (tmp_path / "data").mkdir()
    assert votes.usual_place() == tmp_path / "data" / "votes.sqlite3"
    monkeypatch.setenv("VOTES_FILE", "here.sqlite3")
    assert votes.usual_place() == Path("here.sqlite3")
    monkeypatch.setenv("VOTES_FILE", "postgresql+psycopg://host/votes")
    assert votes.usual_place() == "postgresql+psycopg://host/votes"


def front_matter() -> dict[str, str]:
    head = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    return {key: value.strip().strip('"') for key, _, value in (line.partition(":") for line in head.splitlines())}


def test_the_space_is_told_its_python_and_its_gradio() -> None:
    """ZeroGPU takes 3.12.12 only, and a Space without a word has 3.10, for which this program is too new."""
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert front_matter()["python_version"] == "3.12.12"
    assert f"gradio=={front_matter()['sdk_version']}" in pins
    torch = next(pin.partition("==")[2] for pin in pins if pin.startswith("torch=="))
    assert torch in ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0")  # what ZeroGPU takes


def test_the_requirements_resolve_for_the_space_s_python(tmp_path: Path) -> None:
    """By uv, which reads what packages need without downloading them (pip fetches gigabytes to see the same)."""
    space = tmp_path / "space.txt"
    space.write_text("spaces\n")
    platform = ["--python-platform", "x86_64-manylinux_2_28", "--python-version", front_matter()["python_version"]]
    resolve = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-build", "--no-cache", *platform]
    try:
        done = subprocess.run(
            [*resolve, "requirements.txt", space], capture_output=True, text=True, cwd=ROOT, timeout=120
        )
        if (
            done.returncode
            and subprocess.run([*resolve, space, "--no-deps"], capture_output=True, timeout=60).returncode
        ):
            pytest.skip("the package index cannot be reached")
    except subprocess.TimeoutExpired:
        pytest.skip("the package index is too slow")
    assert done.returncode == 0, done.stderr
    assert "torch==2.13.0" in done.stdout and "gradio==6.31.0" in done.stdout


def test_about_tells_of_tools_of_mcp_where_they_are_served(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for served in ("False", "True"):
        monkeypatch.setenv("GRADIO_MCP_SERVER", served)
        page, _ = build(Service(model))
        told = [block.props["mcp"] for block in page.blocks.values() if "mcp" in getattr(block, "props", ())]
        assert told == [served == "True"]


def test_with_the_optional_package_the_endpoints_are_tools_of_mcp(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mcp = pytest.importorskip("mcp", reason="the optional package is not installed: pip install 'gradio[mcp]'")
    from mcp.client.streamable_http import streamablehttp_client

    async def call(address: str) -> tuple[set[str], str, str]:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            drawn = await session.call_tool("text_to_image", {"prompt": "a cat", "count": 1})
            refused = await session.call_tool("text_to_image", {"prompt": " "})
            return tools, drawn.content[0].text, refused.content[0].text

    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    with launched(Service(model), tmp_path) as address:
        tools, drawn, refused = asyncio.run(call(address))
    assert {"text_to_image", "variations", "interpolate"} <= tools
    assert "text_to_image-" in drawn and refused.startswith("The prompt is empty")


def test_on_zerogpu_the_api_says_that_it_has_no_gpu(
    model: UnclipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(model)
    monkeypatch.setattr(zero, "spaces", SimpleNamespace(GPU=lambda task, duration: task))  # the package, elsewhere
    own = api(service)
    assert zero.beside(own) is own
    monkeypatch.setattr(zero, "spaces", ZeroGPU())
    with launched(service, tmp_path, api=own) as address:
        answer = httpx.post(f"{address}/v1/images/generations", json={"prompt": "a cat"})
    assert answer.status_code == 503 and answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["message"].startswith("On ZeroGPU only the page")
