"""The tab "compare": blind until the vote, one vote a pair, prompts only with consent, and the standings."""

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from visitor import SECONDS, button, choose, launched, needs_chromium, open_tab, visiting

from dalle2 import images
from dalle2.families.karlo import layout
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import Settings
from demo.blind_comparison import contestant
from demo.votes import Vote, Votes


@pytest.fixture(scope="module")
def service(tiny_checkpoint: Path, quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """Two checkpoints of different weights and equal settings."""
    other = tmp_path_factory.mktemp("other") / "rival"
    layout.write(tiny.parts("sample", seed=1), other, {"settings": quick.to_dict()})
    return Service.open(str(tiny_checkpoint), str(other))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def address(service: Service, folder: Path) -> Iterator[str]:
    with launched(service, folder) as address:
        yield address


@pytest.fixture
def votes(folder: Path) -> Votes:
    """The page's votes, none at first."""
    (folder / "votes.sqlite3").unlink(missing_ok=True)
    return Votes(folder / "votes.sqlite3")


@pytest.fixture(scope="module")
def program(address: str) -> Client:
    return Client(address, verbose=False, httpx_kwargs={"timeout": SECONDS})


@pytest.fixture
def client(program: Client, votes: Votes) -> Client:
    """A fresh visitor."""
    program.reset_session()
    return program


def draw(client: Client, **changes: object) -> tuple:
    asked = {"prompt": "a cat", "seed": 7, "random_seed": False, "count": 1}
    asked |= {"other_checkpoint": "sample", "other_settings": "fast"}
    return client.predict(**(asked | changes), api_name="/compare")


def pixels(album: list[dict]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(shown["image"])) for shown in album])


def has_record(file: str) -> bool:
    with Image.open(file) as picture:
        picture.load()
        return bool(set(picture.info) & {"parameters"})


def keep_order(sides: list) -> None:
    pass


@pytest.mark.parametrize("shuffle", [keep_order, list.reverse])
def test_the_names_after_the_vote_are_those_of_the_pictures(
    client: Client,
    votes: Votes,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    shuffle: Callable[[list], None],
) -> None:
    monkeypatch.setattr(random, "shuffle", shuffle)
    before = draw(client, count=2, other_settings="fast")
    after = client.predict("a", "tie", "b", api_name="/vote")
    kept = votes.read()
    assert [(vote.question, vote.winner) for vote in kept] == [
        ("photorealism", "a"),
        ("caption match", "tie"),
        ("diversity", "b"),
    ]
    assert {(vote.a, vote.b, vote.seed, vote.prompt) for vote in kept} == {(kept[0].a, kept[0].b, 7, None)}
    names = [kept[0].a, kept[0].b]
    presets = ["default", "fast"] if shuffle is keep_order else ["fast", "default"]
    assert [name.split()[-1] for name in names] == presets
    for name, unsigned, signed in zip(names, before[:2], after[:2], strict=True):
        assert np.array_equal(pixels(unsigned), pixels(signed))
        records = [images.read_record(shown["image"]) for shown in signed]
        assert [record["seed"] for record in records] == [7, 8]
        expected = service.settings(name.split()[-1], service.checkpoints[0]).to_dict()
        assert all(record["settings"] == expected for record in records)
        said = name.split()[-1].capitalize()
        assert f"{said} (sample)" in after[-1]["text"]
        assert all(f": {said} (sample)" in shown["caption"] for shown in signed)


def test_before_the_vote_nothing_tells_which_is_which(client: Client, service: Service) -> None:
    a, b, slider, seed, state = draw(client, count=3, other_checkpoint="rival", other_settings="default")
    assert (seed, state["state"]) == (7, "done")
    said = json.dumps([a, b, state])
    assert not any(name in re.sub(r'"image": "[^"]*"', "", said) for name in service.checkpoints)
    assert [shown["caption"] for shown in (*a, *b)] == ["A 1", "A 2", "A 3", "B 1", "B 2", "B 3"]
    assert [shown["record"] for shown in (*a, *b)] == [None] * 6
    assert not any(has_record(file) for file in (*(shown["image"] for shown in (*a, *b)), *slider))
    for album, sheet in zip((a, b), slider, strict=True):  # three pictures, two in a row
        drawn = np.asarray(Image.open(sheet))
        assert drawn.shape == (64, 64, 3)
        assert np.array_equal(drawn[32:, :32], pixels(album)[2]) and (drawn[32:, 32:] == 255).all()


def test_checkpoints_draw_the_same_prompt_and_random_seeds(client: Client) -> None:
    draw(client, random_seed=True, count=2, other_checkpoint="rival", other_settings="default")
    a, b, *_ = client.predict(api_name="/reveal")
    ours, theirs = ([images.read_record(shown["image"]) for shown in album] for album in (a, b))
    assert {record["checkpoint"] for record in (*ours, *theirs)} == {"sample", "rival"}
    for one, other in zip(ours, theirs, strict=True):
        assert (one["prompt"], one["seed"], one["settings"]) == (other["prompt"], other["seed"], other["settings"])
        assert one["checkpoint_hash"] != other["checkpoint_hash"]


def test_both_sides_get_either_place(client: Client) -> None:
    """That 12 fair throws all fall alike happens once in 2,048 runs; 4 more throws make it once in 32,768."""
    first = set()
    for seed in range(16):
        draw(client, seed=seed)
        a, *_ = client.predict(api_name="/reveal")
        first.add(images.read_record(a[0]["image"])["settings"]["decoder"]["num_inference_steps"])
        if len(first) == 2:
            return
    raise AssertionError(f"always the same at the left: {first}")


def test_a_pair_takes_one_vote_and_only_of_its_own_visitor(client: Client, address: str, votes: Votes) -> None:
    with pytest.raises(AppError, match="draw a pair first"):
        client.predict("a", api_name="/vote")
    draw(client)
    with pytest.raises(AppError, match="draw a pair first"):
        Client(address, verbose=False).predict("a", api_name="/vote")
    client.predict("a", api_name="/vote")
    with pytest.raises(AppError, match="draw a pair first"):
        client.predict("a", api_name="/vote")
    draw(client)
    client.predict(api_name="/reveal")
    with pytest.raises(AppError, match="draw a pair first"):
        client.predict("a", api_name="/vote")
    with pytest.raises(AppError, match="draw a pair first"):
        client.predict(api_name="/reveal")
    assert len(votes.read()) == 1


@pytest.mark.parametrize("consent, kept", [(True, "a cat"), (False, None)])
def test_a_prompt_is_kept_only_with_consent(client: Client, votes: Votes, consent: bool, kept: str | None) -> None:
    draw(client, prompt=" a cat ")
    client.predict("b", keep_prompt=consent, api_name="/vote")
    assert [vote.prompt for vote in votes.read()] == [kept]
    assert (b"a cat" in votes.file.read_bytes()) == consent


def test_a_refused_vote_can_be_given_again(client: Client, votes: Votes) -> None:
    draw(client)
    with pytest.raises(AppError, match="Answer at least one question"):
        client.predict(api_name="/vote")
    with pytest.raises(AppError, match="draw two or more per side"):
        client.predict(diversity="a", api_name="/vote")
    with pytest.raises(AppError):
        client.predict("<b>nobody</b>", api_name="/vote")
    assert votes.read() == []
    client.predict(caption_match="tie", api_name="/vote")
    assert [(vote.question, vote.winner) for vote in votes.read()] == [("caption match", "tie")]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"other_settings": "default"}, "Both are the same"),
        ({"prompt": " "}, "The prompt is empty"),
        ({"count": 5}, "greater than maximum value 4"),
        ({"seed": -1}, "A seed must be"),
        ({"other_checkpoint": "nowhere"}, "There is no checkpoint 'nowhere' here"),
        ({"other_settings": {"decoder": {"num_inference_steps": 101}}}, "The decoder takes at most 100 steps"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_sentence(
    client: Client, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        draw(client, **changes)


def test_a_contestant_s_name_tells_weights_and_settings(service: Service) -> None:
    ours, theirs = (contestant(service, "best", name) for name in service.checkpoints)
    assert re.fullmatch(r"sample@[0-9a-f]{6} best", ours) and re.fullmatch(r"rival@[0-9a-f]{6} best", theirs)
    table = service.settings("best", "sample").to_dict()
    assert contestant(service, table, "sample") == ours
    table["decoder"] |= {"guidance_scale": 7.5, "guidance_interval": [0.25, 1.0]}
    changed = contestant(service, table, "sample")
    assert changed.endswith("decoder 10 unclip ×7.5 in 0.25–1, upsampler 8 unclip ×1")
    with pytest.raises(Refusal, match="no settings 'slow'"):
        contestant(service, "slow", "sample")


def test_the_standings_rank_and_export_the_votes(client: Client, votes: Votes) -> None:
    empty, _ = client.predict(api_name="/standings")
    assert empty.count("No votes yet") == 3
    votes.add([Vote("photorealism", "<i>fast", "best", winner, 1) for winner in ("a", "a", "tie", "a")])
    table, file = client.predict(api_name="/standings")
    assert table.count("No votes yet") == 2
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", table)]
    assert [(row[0], row[3], row[5]) for row in rows] == [("&lt;i&gt;fast", "88%", "4"), ("best", "12%", "4")]
    with Path(file).open(newline="") as opened:
        assert [row["winner"] for row in csv.DictReader(opened)] == ["a", "a", "tie", "a"]


def test_an_unreadable_file_of_votes_is_a_sentence(client: Client, votes: Votes) -> None:
    draw(client)
    votes.file.write_bytes(b"no database at all" * 100)
    with pytest.raises(AppError, match="could not be kept"):
        client.predict("a", api_name="/vote")
    with pytest.raises(AppError, match="cannot be read now"):
        client.predict(api_name="/standings")


def slide(page: Page, slider: Locator) -> None:
    """Drag the line between A and B from the middle to the left: less of A is covered by B, or the other way round."""
    over = slider.locator("img").last
    slider.scroll_into_view_if_needed()
    expect(over).to_be_visible()
    before, box = over.get_attribute("style"), slider.locator(".slider-wrap").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(over).not_to_have_attribute("style", before)


@needs_chromium
def test_a_visitor_votes_blind_and_then_learns_which_is_which(browser: Browser, address: str, votes: Votes) -> None:
    with visiting(browser, address, locale="en-US") as page:
        open_tab(page, "Compare")
        panel = page.locator("#tab-compare")
        expect(panel.locator(".ballot")).to_be_hidden()
        panel.get_by_label("Prompt", exact=True).fill("a cat")
        choose(page, "Pictures per side", 2)
        button(page, "draw").click()
        expect(panel.locator(".status.done")).to_be_visible()
        expect(panel.locator(".sides figure img")).to_have_count(4)
        slide(page, panel.locator(".slider"))
        expect(panel.locator(".ballot")).to_be_visible()
        assert not re.search(r"sample@|rival@", page.content())
        panel.locator(".photorealism").get_by_label("B", exact=True).check()
        panel.locator(".caption-match").get_by_label("A = B", exact=True).check()
        panel.locator(".diversity").get_by_label("A", exact=True).check()
        panel.get_by_role("button", name="Vote, then").click()
        told = panel.locator(".results .status p")  # where the vote was
        expect(told).to_contain_text("A is ")
        expect(told).to_be_focused()
        expect(told).to_be_in_viewport()
        a, b = (name.split(": ")[1] for name in panel.locator(".side h2").all_inner_texts())
        assert told.inner_text() == f"Thank you. A is {a}, B is {b}."
        expect(panel.locator(".ballot")).to_be_hidden()
        expect(panel.locator(".standings tbody tr")).to_have_count(6)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        table = panel.locator(".standings section").first
        assert table.evaluate("section => section.scrollWidth <= section.clientWidth")
        button(page, "draw").click()  # a new pair is nameless again
        expect(panel.locator(".side h2")).to_have_text(["A", "B"])
    given = [(vote.question, vote.winner, vote.prompt) for vote in votes.read()]
    assert given == [("photorealism", "b", None), ("caption match", "tie", None), ("diversity", "a", None)]
