"""Files on the server: only the browser that they were made for opens them, and they go when it was promised."""

import re
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import httpx
import pytest
from gradio import route_utils
from gradio_client import Client, handle_file
from PIL import Image
from visitor import ROOT, SECONDS, launched

from dalle2.serving.api import links, replies, routes
from dalle2.serving.service import Service
from dalle2.serving.visitors import COOKIE, NOBODY, Files, cookie, owner, visitor
from demo import page
from demo.language import hours


def arrived(address: str) -> httpx.Client:
    """A browser that has opened the page."""
    browser = httpx.Client(base_url=address, timeout=SECONDS)
    browser.get("/").raise_for_status()
    assert browser.cookies[COOKIE]
    return browser


def drawn(browser: httpx.Client) -> str:
    """The address of a picture that this browser had drawn."""
    asked = {"prompt": "a cat", "seed": 7, "random_seed": False, "count": 1, "settings": "fast"}
    event = browser.post("/gradio_api/call/v2/text_to_image", json=asked).json()["event_id"]
    told = browser.get(f"/gradio_api/call/text_to_image/{event}").text
    return re.findall(r'"path": ?"([^"]+)"', told)[-1]


def test_a_picture_and_an_upload_open_only_in_their_browser(address: str) -> None:
    own, other = arrived(address), arrived(address)
    picture = drawn(own)
    with Path(__file__).open("rb") as file:
        upload = own.post("/gradio_api/upload", files={"files": ("note.png", file)}).json()[0]
    for path in (picture, upload):
        for route in ("file=", "file/"):
            asked = f"/gradio_api/{route}{path}"
            assert own.get(asked).status_code == 200, asked
            assert other.get(asked).status_code == httpx.get(address + asked).status_code == 404, asked
            assert httpx.get(address + asked, headers={"cookie": f"{COOKIE}={NOBODY}"}).status_code == 404
    # Nor can another one have it worked on.
    stolen = {"picture": {"path": picture, "meta": {"_type": "gradio.FileData"}}}
    for browser, ended in ((other, "error"), (own, "complete")):
        event = browser.post("/gradio_api/call/v2/settings_of_picture", json=stolen).json()["event_id"]
        assert f"event: {ended}" in browser.get(f"/gradio_api/call/settings_of_picture/{event}").text
    # Who draws the same has the same file, and may open it.
    assert drawn(other) == picture
    assert other.get(f"/gradio_api/file={picture}").status_code == 200


def test_paths_of_the_server_are_not_found(address: str, tiny_checkpoint: Path) -> None:
    browser = arrived(address)
    for path in (__file__, str(tiny_checkpoint / "dalle2.json"), "https://example.org/a.png", ""):
        assert browser.get(f"/gradio_api/file={path}").status_code == 404, path


def test_old_files_are_deleted_while_the_page_is_served(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every, age = 1, page.DELETE_SECONDS[1]
    monkeypatch.setattr(page, "DELETE_SECONDS", (every, age))
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "own.png")
    with launched(Service.open(str(tiny_checkpoint)), tmp_path) as address:
        client = Client(address, verbose=False, download_files=False, httpx_kwargs={"timeout": SECONDS})
        client.predict(handle_file(tmp_path / "own.png"), count=1, settings="fast", api_name="/variations")
        assert list((tmp_path / "cache").rglob("*.png"))

        class Later(datetime):
            """The time when the files are just old enough."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + timedelta(seconds=age + 1)

        monkeypatch.setattr(route_utils, "datetime", Later)
        deadline = time.monotonic() + SECONDS
        while left := list((tmp_path / "cache").rglob("*.png")):
            assert time.monotonic() < deadline, left
            time.sleep(0.2)


def test_what_the_api_promises_of_addresses_is_what_it_does() -> None:
    said = Path(routes.__file__).read_text(encoding="utf-8"), replies.Picture.model_fields["url"].description
    documented = [ROOT / "docs" / name for name in ("api.md", "ray.md", "troubleshooting.md")]
    assert all("for an hour" in text for text in (*said, *(file.read_text(encoding="utf-8") for file in documented)))
    assert links.SECONDS == 3600 and hours(links.SECONDS).en == "1 hour"
    assert hours(7200, 9000) == ("2 to 2.5 hours", "2 到 2.5 小时")


def test_the_page_has_its_own_preview_card(address: str) -> None:
    html = httpx.get(f"{address}/", params={"prompt": 'a "cat" <b>', "seed": 7}).text
    assert 'property="og:title" content="a &quot;cat&quot; &lt;b&gt; – Open DALL·E 2"' in html
    assert html.count('property="og:title"') == html.count('property="og:image"') == 1
    assert "raw.githubusercontent.com/gradio-app" not in html.partition("</head>")[0].partition("<script")[0]
    image = re.search(r'property="og:image" content="([^"]+)"', html)[1]
    assert image == f"{address}/card.png" and httpx.get(image).headers["content-type"] == "image/png"
    behind = httpx.get(f"{address}/", headers={"x-forwarded-proto": "https", "x-forwarded-host": "a.example"})
    assert "https://a.example/card.png" in behind.text and "Secure; Partitioned" in behind.headers["set-cookie"]


def test_files_know_their_owners() -> None:
    files = Files()
    for one, path in (("jane", "/a"), ("jim", "/a"), (NOBODY, "/b")):
        token = visitor.set(one)
        files.add(path)
        visitor.reset(token)
    assert files.opens("/a", "jane") and files.opens("/a", "jim") and not files.opens("/a", NOBODY)
    assert files.opens("/b", NOBODY) and files.opens("/b", "jane") and not files.opens("/c", "jane")
    files -= {"/a"}
    assert list(files) == ["/b"] and not files.opens("/a", "jane")
    assert owner(cookie(True).partition(";")[0]) and owner("a=b") == owner("") == NOBODY
