"""The static page draws in Chromium, without a server, the pictures that `dalle2_runner` draws.

ONNX Runtime Web lies where `.ci/clients` puts it.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from playwright.sync_api import Browser, Page, expect
from visitor import ROOT, needs_chromium

from dalle2 import export, images, portable
from dalle2.families import EMBEDDED
from dalle2.static_page import RUNTIME
from dalle2_runner.drawer import Drawer
from dalle2_runner.networks import enlarge
from dalle2_runner.noise import Noise
from demo import styles

pytestmark = needs_chromium
PACKAGES = ROOT / "runs" / "clients"
PAGE = ROOT / "demo" / "static"
CAPTIONS = ROOT.parent / "shared" / "coco-captions"
TOLERANCE = 1e-4  # of pixels in 0..1
PROMPT, OTHER = "a cat face, twemoji style", "星星，twemoji风格"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
ODD = [
    *(
        "",
        " ",
        "it's a DOG!!! café 狗",
        "WON'T\tdo\nit",
        "ΟΔΥΣΣΕΥΣ İstanbul ẞ",
        "e\u0301 ﬁ Å",
        "a\u00a0b\u2003c\u0085d\ufeffe",
    ),
    *(
        "👨‍👩‍👧 #️⃣ 🇩🇪",
        "<|endoftext|> <|startoftext|>cat",
        "12345 3rd ½ ①",
        "हिन्दी Ёлка Привет 日本語",
        "x" * 500,
        "'ll 'LL ''s",
    ),
]


@contextmanager
def served(folder: Path, headers: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a folder while a thread serves it, each file with these headers."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (PACKAGES / RUNTIME.tarball).is_file():
        pytest.skip("onnxruntime-web is not here: bash .ci/clients")
    out = tmp_path_factory.mktemp("web") / "page"
    assert export.main(["emoji", "--out", str(out), "--format", "web", "--packages", str(PACKAGES)]) == 0
    return out


@pytest.fixture(scope="module")
def runner() -> Drawer:
    return portable.open_checkpoint(EMBEDDED, 1)


@pytest.fixture(scope="module")
def modules(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that can import the modules, with nothing on it."""
    with served(PAGE) as address:
        page = browser.new_page()
        page.goto(f"{address}/words.js")
        yield page


def called(page: Page, module: str, code: str, argument: object = None) -> object:
    """What an expression makes of what the module exports, as `here`, and of the argument, as `given`."""
    return page.evaluate(f"async given => {{ const here = await import('/{module}'); return {code}; }}", argument)


def floats(encoded: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(encoded), np.float32)


ENCODED = """(all => {
  let text = "";
  for (const byte of new Uint8Array(all.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
})"""


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_noise_is_the_runner_s(seed: int, modules: Page) -> None:
    sizes = [16, 17, 3072, 100]  # one draw after another
    code = f"(noise => given[1].map(size => {ENCODED}(noise.normal(size))))(new here.Noise(given[0]))"
    ours, noise = called(modules, "noise.js", code, [seed, sizes]), Noise(seed)
    for size, encoded in zip(sizes, ours, strict=True):
        assert np.abs(floats(encoded) - noise.normal(size)).max() < 1e-6


def test_a_small_picture_is_enlarged_as_the_runner_does(modules: Page) -> None:
    small = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(1)).numpy()
    code = f"{ENCODED}(here.enlarge(Float32Array.from(given), 33))"
    ours = floats(called(modules, "networks.js", code, small.ravel().tolist()))
    assert np.abs(ours - enlarge(small, 33).ravel()).max() < 1e-6


def test_token_ids_are_those_of_the_tokenizers_library(modules: Page) -> None:
    texts = [*ODD, *captions()]
    plain = portable.plain_tokenizer(EMBEDDED)
    code = "(one => given[1].map(text => one.encode(text)))(new here.Tokenizer(JSON.parse(given[0])))"
    ours = called(modules, "tokenizer.js", code, [plain, texts])
    expected = [one.ids for one in tokenizers.Tokenizer.from_str(plain).encode_batch(texts)]
    assert {text: ids for text, ids, known in zip(texts, ours, expected, strict=True) if ids != known} == {}


def captions() -> list[str]:
    """Return real captions where they are here, and the checkpoint's own examples."""
    file = CAPTIONS / "captions_val2017.json"
    real = json.loads(file.read_text())["annotations"][::50] if file.is_file() else []
    return [one["caption"] for one in real] + json.loads((EMBEDDED / "dalle2.json").read_text())["examples"]


def test_styles_are_put_into_prompts_as_on_the_other_page(modules: Page) -> None:
    offered = ["noto", "noto v1"]
    prompts = ["cat", "cat, noto style", "猫", "猫，noto风格", "cat, noto v1 style"]
    given = [prompts, [{"name": name, "prompt": ""} for name in offered]]
    ours = called(modules, "styles.js", "given[0].map(one => here.restyled(one, 'noto v1', given[1]))", given)
    expected = [styles.restyled(one, "noto v1", offered) for one in prompts[:4]]
    assert ours == [*expected, "cat"]  # picked again, it goes


def drawn_by(page: Page, prompt: str, seed: int) -> np.ndarray:
    """Pixels before they are rounded, by the page's modules in the page itself."""
    code = """(async () => {
      const runtime = await import('/ort/ort.wasm.min.mjs');
      Object.assign(runtime.env.wasm, {wasmPaths: '/ort/', numThreads: self.crossOriginIsolated ? 2 : 1});
      const read = async name => (await fetch(name)).arrayBuffer();
      return (await here.Drawer.open(runtime, read)).draw(...given);
    })()"""
    return floats(called(page, "drawer.js", f"{ENCODED}(await {code})", [prompt, seed]))


def picture_of(page: Page, prompt: str, seed: int) -> bytes:
    """The PNG that a visitor downloads."""
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_label("another each time").uncheck()
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.keyboard.press("Enter")
    expect(page.locator("#caption")).to_contain_text(f"Seed {seed}, drawn in")
    expect(page.get_by_role("status")).to_have_text("Done.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    return Path(download.value.path()).read_bytes()


def test_pictures_are_the_runner_s_and_stay_when_the_server_goes(
    browser: Browser, exported: Path, runner: Drawer, tmp_path: Path
) -> None:
    context = browser.new_context(locale="en-US", viewport={"width": 390, "height": 844})
    page, failed, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    with served(exported) as address:
        page.goto(address)
        file = picture_of(page, PROMPT, 7)
        (expected,) = runner.draw([PROMPT], [7])
        levels = np.asarray(images.open_picture(file)).astype(int)
        assert np.abs(levels - ((expected * 0.5 + 0.5).clip(0, 1) * 255).round().transpose(1, 2, 0)).max() <= 1
        record = images.read_record(file)
        assert (record["task"], record["prompt"], record["seed"]) == ("text_to_image", PROMPT, 7)
        assert record["checkpoint_hash"] == portable.fingerprint(EMBEDDED) and b"trainedAlgorithmicMedia" in file
        expect(page.locator("#facts")).to_have_text("One thread. Kept in this browser: it opens without a network too.")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        (pixels,) = runner.draw([OTHER], [2**32 - 1])
        assert np.abs(drawn_by(page, OTHER, 2**32 - 1) - pixels.ravel()).max() / 2 <= TOLERANCE
    page.reload()  # the server is gone; offline.js answers, and isolates the page
    again = picture_of(page, PROMPT, 7)
    assert np.abs(np.asarray(images.open_picture(again)).astype(int) - levels).max() <= 1
    assert "threads" in page.locator("#facts").text_content() and page.evaluate("self.crossOriginIsolated")
    assert not failed and all(url.startswith((address, "blob:")) for url in asked)
    context.close()


def test_with_headers_it_draws_by_threads_in_chinese_and_stops(browser: Browser, exported: Path) -> None:
    context = browser.new_context(locale="zh-CN", service_workers="block")
    page = context.new_page()
    with served(exported, ISOLATED) as address:
        page.goto(address)
        expect(page.locator("#facts")).to_contain_text("个线程")
        assert page.evaluate("self.crossOriginIsolated")
        page.get_by_role("button", name="twemoji", exact=True).click()
        page.get_by_role("button", name="画", exact=True).click()
        page.keyboard.press("Escape")
        expect(page.get_by_role("status")).to_have_text("已停止。")
        expect(page.get_by_role("button", name="画", exact=True)).to_be_visible()
        page.get_by_role("button", name="星星，twemoji风格").click()
        expect(page.locator("#caption")).to_contain_text("星星，twemoji风格 — 种子")
    context.close()


@pytest.mark.parametrize(
    "damage, sentence",
    [
        ("absent", "The server does not have text_encoder.safetensors"),
        ("half", "text_encoder.safetensors is not as it was exported"),
        ("a byte", "text_encoder.safetensors is not as it was exported"),
        ("list", "This folder lacks files.js"),
    ],
)
def test_what_is_wrong_with_the_folder_is_a_sentence(
    damage: str, sentence: str, browser: Browser, exported: Path, tmp_path: Path
) -> None:
    for file in exported.iterdir():
        (tmp_path / file.name).symlink_to(file)
    file = tmp_path / ("files.js" if damage == "list" else "text_encoder.safetensors")
    content = file.read_bytes()
    file.unlink()
    if damage == "half":
        file.write_bytes(content[: len(content) // 2])
    if damage == "a byte":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    context = browser.new_context(locale="en-US")
    with served(tmp_path) as address:
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("status")).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Draw", exact=True)).to_be_disabled()
    context.close()


def test_a_browser_without_simd_is_told(browser: Browser, exported: Path) -> None:
    context = browser.new_context(locale="en-US")
    context.add_init_script("WebAssembly.validate = () => false")
    with served(exported) as address:
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("status")).to_contain_text("lacks WebAssembly with SIMD")
    context.close()


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["emoji", "--out", str(tmp_path / "new"), "--format", "web", "--packages", str(tmp_path)]
    assert export.main(words) == 1 and f"npm pack onnxruntime-web@{RUNTIME.version}" in capsys.readouterr().err
    (tmp_path / RUNTIME.tarball).write_bytes(b"another")
    assert export.main(words) == 1 and "is pinned" in capsys.readouterr().err
    assert export.main([*words[:3], "--packages", "here"]) == 1 and "--format web alone" in capsys.readouterr().err
    assert export.main(["emoji", "--format", "web"]) == 1 and "name one with --out" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
