"""`python app.py`: what cannot go well is told at once, and the address that is told can be opened."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from visitor import ROOT, free_port

import app


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--port", "{taken}"], {}, "Port {taken} of 127.0.0.1 cannot be used (Address already in use): name another"),
        (["--port", "99999"], {}, "A port is a number from 1 to 65535, not 99999."),
        ([], {"GRADIO_MCP_SERVER": "True"}, "pip install 'gradio[mcp]'"),
    ],
)
def test_what_would_fail_at_the_end_is_told_at_once(
    arguments: list[str], environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a checkpoint was opened")

    monkeypatch.setattr("dalle2.serving.service.Service.open", never)
    monkeypatch.setattr(app, "find_spec", lambda _: None)
    monkeypatch.setenv("GRADIO_MCP_SERVER", "False")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = str(server.getsockname()[1])
        monkeypatch.setattr(sys, "argv", ["app.py", *(word.format(taken=taken) for word in arguments)])
        with pytest.raises(SystemExit) as refusal:
            app.main()
    assert str(refusal.value).startswith("app.py: ") and expected.format(taken=taken) in str(refusal.value)


def test_help_waits_for_no_library() -> None:
    code = """
import sys
import app
sys.argv = ["app.py", "--help"]
try:
    app.main()
except SystemExit as end:
    print([name for name in ("torch", "gradio", "diffusers", "transformers") if name in sys.modules], end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_the_address_that_is_told_can_be_opened(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """And not 0.0.0.0, which is all addresses of a machine and none of them."""
    command = [sys.executable, "-u", "app.py", "--host", "0.0.0.0", "--checkpoint", str(tiny_checkpoint)]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path), "GRADIO_SERVER_PORT": str(free_port())}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            told = next(line for line in server.stdout if line.startswith("Open "))
        finally:
            server.terminate()
    assert (
        told == f"Open http://localhost:{environment['GRADIO_SERVER_PORT']}/ in your browser; Ctrl-C ends the page.\n"
    )
