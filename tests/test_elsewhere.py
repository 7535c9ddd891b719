"""Where else the page runs: on ZeroGPU, where a task asks for its GPU, and as a server of tools (MCP)."""

import asyncio
import importlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio_client import Client
from visitor import launched

from demo import zero
from demo.studio import Studio


class ZeroGPU:
    """Stands for the package `spaces`: passes on only what a pipe between two processes would."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def GPU(self, task: Callable[..., Iterator[tuple]]) -> Callable[..., Iterator[tuple]]:
        def run(*arguments: object) -> Iterator[tuple]:
            self.calls.append(task.__name__)
            for answer in task(*pickle.loads(pickle.dumps(arguments))):
                yield pickle.loads(pickle.dumps(answer))

        return run


def test_without_the_package_a_task_is_called_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    bare = importlib.reload(zero)
    assert bare.spaces is None and bare.accelerated(len) is len


def test_elsewhere_than_on_zerogpu_the_package_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero, "spaces", SimpleNamespace(GPU=lambda task: task))
    assert zero.accelerated(len) is len


def test_on_zerogpu_every_drawing_asks_for_the_gpu(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ZeroGPU()
    monkeypatch.setattr(zero, "spaces", there)
    with launched(Studio(model), tmp_path) as address:
        client = Client(address, headers={"Accept-Language": "zh"}, verbose=False)
        (picture,), seed, state = client.predict("a cat", 7, False, 1, api_name="/text_to_image")
        assert (picture["record"]["seed"], seed, state["text"]) == (7, 7, "完成。")
        ends = {"prompt_a": "a cat", "prompt_b": "a dog", "frames": 2}
        gif = client.predict(**ends, api_name="/interpolate")[2]
        assert Path(gif["value"] if isinstance(gif, dict) else gif).stat().st_size
        client.predict("a cat", other_settings="best", api_name="/compare")
        assert "A 是" in client.predict("a", api_name="/vote")[-1]["text"]
    assert there.calls == ["text_to_image", "interpolate", "compare"]


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
    with launched(Studio(model), tmp_path) as address:
        tools, drawn, refused = asyncio.run(call(address))
    assert {"text_to_image", "variations", "interpolate"} <= tools
    assert "text_to_image-" in drawn and refused.startswith("The prompt is empty")
