"""Programs written for dall-e-2 run with only address and key changed: `docs/clients`, on the API alone.

Python's openai 2.x and JavaScript's lie where `.ci/clients` puts them.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
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
    key = make(folder / "keys", "tests", 1_000)
    hasty = [make(folder / "keys", f"hasty-{number}", 1) for number in range(3)]
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
            yield os.environ | {
                "OPENAI_BASE_URL": f"{address}/v1",
                "OPENAI_API_KEY": key,
                "HASTY_KEYS": ",".join(hasty),  # each may ask once a minute
            }
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


def in_version(version: int, server: dict[str, str]) -> dict[str, str]:
    """The environment of a Python in which openai has this version; skips where it is not installed."""
    if version == 3:
        return server
    if not (OTHERS / "python2").is_dir():
        pytest.skip("openai 2.x is not installed: bash .ci/clients")
    return server | {"PYTHONPATH": str(OTHERS / "python2")}


def with_node(server: dict[str, str]) -> dict[str, str]:
    """The environment in which node finds openai's package; skips where there is none."""
    modules = OTHERS / "javascript" / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("node or openai's package for it is not installed: apt-get install nodejs npm; bash .ci/clients")
    return server | {"NODE_PATH": str(modules)}


@pytest.mark.parametrize("version", [2, 3])
def test_a_python_program_for_dall_e_2_runs(version: int, tmp_path: Path, server: dict[str, str]) -> None:
    server = in_version(version, server)
    code = "import openai; print(openai.__version__.split('.')[0])"
    assert run([sys.executable, "-c", code], tmp_path, server) == [str(version)]
    program = [sys.executable, "-W", "ignore", str(CLIENTS / "images.py")]
    said = run(program, tmp_path, server)
    assert said == ["generations 2 32x32", "edits 1 32x32", "variations 2 32x32"]
    check_pictures(tmp_path)


def test_a_javascript_program_for_dall_e_2_runs(tmp_path: Path, mask: Path, server: dict[str, str]) -> None:
    environment = with_node(server)
    program = ["node", str(CLIENTS / "images.cjs"), str(mask)]
    said = run(program, tmp_path, environment)
    assert said == ["generations 2 32x32", "edits 1 32x32", "variations 2 32x32", "stream true 32x32"]
    check_pictures(tmp_path)


# What a program is told of streams and errors, a line each; the same in every version.
TOLD_IN_PYTHON = """
import sys
import openai

def told(name, ask):
    try:
        print(name, ask())
    except openai.APIStatusError as error:
        retry = error.response.headers.get("retry-after", "")
        kind, said = type(error).__name__, error.body["message"]
        print(name, kind, error.status_code, error.code, error.param, retry.isdigit(), said)

def stream():
    events = list(draw(model="gpt-image-1", prompt="a cat", stream=True, partial_images=2))
    kinds = [event.type for event in events]
    assert set(kinds[:-1]) <= {"image_generation.partial_image"} and events[-1].b64_json
    return kinds[-1], events[-1].size, events[-1].usage.total_tokens

client = openai.OpenAI(max_retries=0)
draw = client.images.generate
told("stream", stream)
told("refused stream", lambda: list(draw(prompt="a cat", n=0, stream=True)))
told("model", lambda: draw(prompt="a cat", model="stable-diffusion"))
told("many", lambda: draw(prompt="a cat", n=1000))
told("long", lambda: draw(prompt="a" * 32_000))
told("file", lambda: client.images.edit(image=b"nonsense", prompt="a cat"))
told("key", lambda: openai.OpenAI(api_key="sk-wrong", max_retries=0).models.list())
hasty = openai.OpenAI(api_key=sys.argv[1], max_retries=0)
hasty.models.list()
told("often", hasty.models.list)
"""
TOLD_IN_JAVASCRIPT = """
const OpenAI = require("openai");
const client = new OpenAI({ maxRetries: 0 });
const draw = asked => client.images.generate(asked);
async function told(name, ask) {
  try {
    console.log(name, await ask());
  } catch (error) {
    const retry = error.headers?.get("retry-after") ?? "";
    const ours = error instanceof OpenAI.APIError;
    const kind = [ours, error.constructor.name, error.status, error.code, error.param, /^[0-9]+$/.test(retry)];
    console.log(name, ...kind, error.error.message);
  }
}
(async () => {
  await told("refused stream", () => draw({ prompt: "a cat", n: 0, stream: true }));
  await told("model", () => draw({ prompt: "a cat", model: "stable-diffusion" }));
  await told("many", () => draw({ prompt: "a cat", n: 1000 }));
  await told("key", () => new OpenAI({ apiKey: "sk-wrong", maxRetries: 0 }).models.list());
  const hasty = new OpenAI({ apiKey: process.argv[2], maxRetries: 0 });
  await hasty.models.list();
  await told("often", () => hasty.models.list());
})();
"""


def hasty_key(server: dict[str, str]) -> str:
    """A key that may ask once a minute, and has not asked yet."""
    return server["HASTY_KEYS"].split(",")[next(_HASTY)]


_HASTY = itertools.count()


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_of_the_python_client_are_told_the_same(
    version: int, tmp_path: Path, server: dict[str, str]
) -> None:
    environment = in_version(version, server)
    said = run([sys.executable, "-c", TOLD_IN_PYTHON, hasty_key(server)], tmp_path, environment)
    assert said == [
        "stream ('image_generation.completed', '32x32', 0)",
        "refused stream BadRequestError 400 None n False Ask for 1 to 10 pictures, not 0.",
        "model NotFoundError 404 model_not_found model False "
        "There is no model 'stable-diffusion' here: choose one of sample.",
        "many BadRequestError 400 None n False Ask for 1 to 10 pictures, not 1000.",
        "long BadRequestError 400 None prompt False "
        "The prompt has 32,000 characters, but at most 1,000 are allowed: shorten it.",
        "file BadRequestError 400 None image False "
        "This is not a picture: give a file of the kind PNG, JPEG, WEBP, GIF, BMP, AVIF.",
        "key AuthenticationError 401 invalid_api_key None False "
        "This API key is none of this server's: ask its operator for one.",
        "often RateLimitError 429 rate_limit_exceeded None True "
        "At most 1 requests a minute are answered: wait a little.",
    ]


def test_the_javascript_client_is_told_status_code_and_when_to_come_back(
    tmp_path: Path, server: dict[str, str]
) -> None:
    environment = with_node(server)
    (tmp_path / "told.cjs").write_text(TOLD_IN_JAVASCRIPT)
    said = run(["node", "told.cjs", hasty_key(server)], tmp_path, environment)
    assert said == [
        "refused stream true BadRequestError 400 null n false Ask for 1 to 10 pictures, not 0.",
        "model true NotFoundError 404 model_not_found model false "
        "There is no model 'stable-diffusion' here: choose one of sample.",
        "many true BadRequestError 400 null n false Ask for 1 to 10 pictures, not 1000.",
        "key true AuthenticationError 401 invalid_api_key null false "
        "This API key is none of this server's: ask its operator for one.",
        "often true RateLimitError 429 rate_limit_exceeded null true "
        "At most 1 requests a minute are answered: wait a little.",
    ]


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


@pytest.fixture(scope="module")
def embedded() -> Iterator[TestClient]:
    """The API of the embedded checkpoint, in this process."""
    with TestClient(alone(Service.open()), client=("127.0.0.1", 5000)) as client:
        yield client


class Here(httpx.BaseTransport):
    """Brings a client's requests to an application of this process, whatever address they are for."""

    def __init__(self, there: TestClient) -> None:
        self.there = there

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = {"content": request.read(), "headers": dict(request.headers)}
        answer = self.there.request(request.method, str(request.url), **asked)
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


def test_the_readme_s_first_example_runs_as_it_stands(
    embedded: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the real client, and on the embedded checkpoint."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(from openai import OpenAI\n.*?)```", readme, re.DOTALL)[1]
    there = httpx.Client(transport=Here(embedded))
    monkeypatch.setattr(openai, "OpenAI", partial(openai.OpenAI, http_client=there))
    exec(compile(code, "README.md", "exec"), {})
    url, _, sentence = capsys.readouterr().out.strip().partition(" ")
    assert url.startswith("http://localhost:7860/v1/images/files/")
    assert images.open_picture(embedded.get(url).content).size == (128, 128)
    assert sentence == "I draw: cat. Only flat drawings: no photographs. I do not know the style Van Gogh."
    assert f'"{sentence}"' in " ".join(readme.split())


def test_the_readme_s_first_example_is_answered_honestly(embedded: TestClient) -> None:
    asked = {"model": "dall-e-2", "prompt": "a photo of a cat in the style of Van Gogh", "seed": 1}
    answer = embedded.post("/v1/images/generations", json=asked).json()
    record = images.read_record(embedded.get(answer["data"][0]["url"]).content)
    understanding = answer["understanding"]
    assert understanding["concept"].startswith("cat") and answer["model"] == "emoji" and answer["size"] == "128x128"
    assert "Only flat drawings: no photographs." in understanding["sentence"]
    assert answer["data"][0]["revised_prompt"] == understanding["asked"] == record["asked"]
    assert record["prompt"] == asked["prompt"]
