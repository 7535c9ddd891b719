"""Programs written for dall-e-2 run with only address and key changed: `docs/clients`, on the API alone.

Python's openai 2.x and JavaScript's lie where `.ci/clients` puts them.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient
from visitor import ROOT, SECONDS, free_port

from dalle2 import images
from dalle2.serving.api.alone import alone
from dalle2.serving.api.keys import make
from dalle2.serving.service import Service

CLIENTS = ROOT / "docs" / "clients"
OTHERS = ROOT / "runs" / "clients"


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment for clients of `python -m dalle2 serve`, which runs where Gradio cannot be imported."""
    folder, port = tmp_path_factory.mktemp("alone"), free_port()
    (folder / "gradio.py").write_text("raise ImportError('the API alone needs no Gradio')\n")
    key = make(folder / "keys", "tests")
    command = [sys.executable, "-u", "-m", "dalle2", "serve", "--port", str(port), "--checkpoint", str(tiny_checkpoint)]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command += ["--api-keys", str(folder / "keys")]
    log = (folder / "log").open("w")
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as server:
        try:
            told = server.stdout.readline()
            assert told.startswith(f"OPENAI_BASE_URL=http://localhost:{port}/v1"), (folder / "log").read_text()
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/health")
            yield os.environ | {"OPENAI_BASE_URL": f"{address}/v1", "OPENAI_API_KEY": key}
        finally:
            server.terminate()
            assert server.wait(SECONDS) in (0, -15)
            log.close()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return urllib.request.urlopen(url, timeout=SECONDS).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    marked = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    marked.paste((0, 0, 0, 0), (0, 0, 32, 16))
    marked.save(path)
    return path


def run(command: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check_pictures(folder: Path) -> None:
    tasks = {"cat-0.png": "text_to_image", "edited.png": "inpaint", "variation-0.png": "variations"}
    assert {name: images.read_record(folder / name)["task"] for name in tasks} == tasks
    assert {images.open_picture(folder / name).size for name in tasks} == {(32, 32)}


@pytest.mark.parametrize("version", [2, 3])
def test_a_python_program_for_dall_e_2_runs(version: int, tmp_path: Path, server: dict[str, str]) -> None:
    if version == 2:
        if not (OTHERS / "python2").is_dir():
            pytest.skip("openai 2.x is not installed: bash .ci/clients")
        server = server | {"PYTHONPATH": str(OTHERS / "python2")}
    code = "import openai; print(openai.__version__.split('.')[0])"
    assert run([sys.executable, "-c", code], tmp_path, server) == [str(version)]
    program = [sys.executable, "-W", "ignore", str(CLIENTS / "images.py")]
    said = run(program, tmp_path, server)
    assert said == ["generations 2 32x32", "edits 1 32x32", "variations 2 32x32"]
    check_pictures(tmp_path)


def test_a_javascript_program_for_dall_e_2_runs(tmp_path: Path, mask: Path, server: dict[str, str]) -> None:
    modules = OTHERS / "javascript" / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("node, or openai's package for it, is not installed: apt-get install nodejs npm; bash .ci/clients")
    program = ["node", str(CLIENTS / "images.cjs"), str(mask)]
    said = run(program, tmp_path, server | {"NODE_PATH": str(modules)})
    assert said == ["generations 2 32x32", "edits 1 32x32", "variations 2 32x32", "stream true 32x32"]
    check_pictures(tmp_path)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_shell_script_for_dall_e_2_runs(tmp_path: Path, mask: Path, server: dict[str, str]) -> None:
    said = run(["bash", str(CLIENTS / "images.sh"), str(mask)], tmp_path, server)
    assert said == ["generations", "edits", "variations"]
    check_pictures(tmp_path)


def test_a_wrong_key_is_an_error_that_the_client_knows(server: dict[str, str]) -> None:
    client = openai.OpenAI(base_url=server["OPENAI_BASE_URL"], api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError, match="none of this server's"):
        client.images.generate(prompt="a cat")
    assert openai.OpenAI(base_url=server["OPENAI_BASE_URL"], api_key=server["OPENAI_API_KEY"]).models.list().data


def test_the_readme_s_first_example_is_answered_honestly() -> None:
    with TestClient(alone(Service.open())) as http:
        asked = {"model": "dall-e-2", "prompt": "a photo of a cat in the style of Van Gogh", "seed": 1}
        answer = http.post("/v1/images/generations", json=asked).json()
        record = images.read_record(http.get(answer["data"][0]["url"]).content)
    understanding = answer["understanding"]
    assert understanding["concept"].startswith("cat") and answer["model"] == "emoji" and answer["size"] == "128x128"
    assert "Only flat drawings: no photographs." in understanding["sentence"]
    assert answer["data"][0]["revised_prompt"] == understanding["asked"] == record["asked"]
    assert record["prompt"] == asked["prompt"]
