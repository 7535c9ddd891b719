"""The emoji builder, on tiny packages made here: no network, and npm only where a test makes its own."""

import base64
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import datasets
import pytest
from PIL import Image

from dalle2.datasets import concepts, emoji, icons
from dalle2.datasets.caption_words import STYLE_PHRASES
from dalle2.datasets.packages import BuildError, Package

CAT, HEART, PIZZA, ARROW = "1f431", "2764", "1f355", "27a1"
SHAPES = {
    "cat-face": '<circle cx="16" cy="16" r="8" fill="#ff8000"/>',
    "heart": '<rect x="8" y="8" width="16" height="16" fill="#ff0000"/>',
    "pizza": '<path d="M8 8h16l-8 16z" fill="#ffff00"/>',
    "left-arrow": '<rect x="2" y="12" width="8" height="8" fill="#0000ff"/>',
}


def pack(folder: Path, name: str, files: Mapping[str, object], style: str | None = None) -> Package:
    """Write a tarball as npm does, and pin it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, content in files.items():
            text = (content if isinstance(content, str) else json.dumps(content)).encode()
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    folder.mkdir(exist_ok=True)
    return pin(folder, name, stream.getvalue(), style)


def pin(folder: Path, name: str, content: bytes, style: str | None = None) -> Package:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    package = Package(name, "1.0.0", integrity, style)
    (folder / package.tarball).write_bytes(content)
    return package


def pack_words(folder: Path) -> Package:
    messages = {
        "groups": [{"key": key, "order": n} for n, key in enumerate(("animals", "food", "component", "flags"))],
        "subgroups": [{"key": k, "order": n} for n, k in enumerate(("cats", "fruit", "tones", "country-flag"))],
    }
    english = [
        {"label": "regional indicator A", "hexcode": "1F1E6"},
        {
            "label": "pizza",
            "hexcode": "1F355",
            "tags": ["cheese", "slice"],
            "group": 1,
            "subgroup": 1,
            "order": 3,
        },
        {"label": "cat face", "hexcode": "1F431", "tags": ["pet"], "group": 0, "subgroup": 0, "order": 1},
        {
            "label": "red heart",
            "hexcode": "2764-FE0F",
            "tags": ["love"],
            "group": 0,
            "subgroup": 0,
            "order": 2,
        },
        {"label": "right arrow", "hexcode": "27A1", "group": 1, "subgroup": 1, "order": 4},
        {"label": "dark skin tone", "hexcode": "1F3FF", "group": 2, "subgroup": 2, "order": 5},
        {"label": "flag: Germany", "hexcode": "1F1E9-1F1EA", "group": 3, "subgroup": 3, "order": 6},
    ]
    chinese = [{"label": "猫脸", "hexcode": "1F431", "tags": ["宠物"]}]
    files = {
        "LICENSE": "MIT License\n\nCopyright (c) Jane Words",
        "en/data.json": english,
        "en/messages.json": messages,
        "en/shortcodes/cldr.json": {},
        "zh/data.json": chinese,
    }
    return pack(folder, "words", files)


def pack_icons(folder: Path, style: str, icons: Mapping[str, object], **parts: object) -> Package:
    icon_set = {
        "prefix": style,
        "width": 32,
        "height": 32,
        "icons": {name: icon if isinstance(icon, dict) else {"body": icon} for name, icon in icons.items()},
        "aliases": parts.get("aliases", {}),
    }
    info = {
        "name": f"Set {style}",
        "author": {"name": f"Painter of {style}", "url": f"https://example.org/{style}"},
        "license": {"title": "CC BY 4.0", "spdx": "CC-BY-4.0", "url": "https://example.org/by"},
    }
    files = {"icons.json": icon_set, "info.json": info, "chars.json": parts.get("codes", {})}
    return pack(folder, f"@icons/{style.replace(' ', '-')}", files, style)


@pytest.fixture
def tarballs(tmp_path: Path) -> Path:
    return tmp_path / "tarballs"


@pytest.fixture
def packages(tarballs: Path) -> list[Package]:
    """Words, and five styles: all draw the cat, "coded" and "named" draw more."""
    tarballs.mkdir()
    coded_icons = {name: SHAPES[name] for name in ("cat-face", "heart", "left-arrow")}
    coded_icons["slice"] = {"body": '<rect width="32" height="8" fill="#ffff00"/>', "height": 8}
    coded_icons |= {"dark": SHAPES["heart"] + "<g/>", "germany": SHAPES["pizza"]}
    coded = pack_icons(
        tarballs,
        "coded",
        coded_icons,
        codes={
            CAT: "cat-face",
            HEART: "heart",
            PIZZA: "slice",
            ARROW: "arrow",
            "1f3ff": "dark",
            "1f1e9-1f1ea": "germany",
        },
        aliases={"arrow": {"parent": "left-arrow", "hFlip": True}, "heavy-heart": {"parent": "heart"}},
    )
    # knows no code points, calls the heart by an old name, and its arrow is a copy of coded's
    named = pack_icons(
        tarballs,
        "named",
        {
            "cat-face": SHAPES["cat-face"].replace("ff8000", "00ff00"),
            "heavy-heart": SHAPES["heart"].replace("ff0000", "ff00ff"),
            "arrow": '<rect x="22" y="12" width="8" height="8" fill="#0000ff"/>',
            "letter-q": SHAPES["pizza"],
        },
    )
    others = []
    for number in range(3):
        cat = SHAPES["cat-face"].replace("ff8000", f"{number}0{number}0ff")
        others.append(pack_icons(tarballs, f"style {number}", {"cat": cat}, codes={CAT: "cat"}))
    return [pack_words(tarballs), coded, named, *others]


@pytest.fixture
def rows(packages: list[Package], tarballs: Path, tmp_path: Path) -> dict[tuple[str, str], dict]:
    """The built set by (style, concept)."""
    out = tmp_path / "set"
    emoji.build(out, 64, tarballs, packages)
    opened = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert set(opened) == {"train", "test"}
    return {(row["style"], row["concept"]): row | {"split": name} for name in opened for row in opened[name]}


def test_icons_are_joined_by_code_point_and_by_name(rows: dict) -> None:
    cats = {(style, CAT) for style in ("coded", "named", "style 0", "style 1", "style 2")}
    assert set(rows) == cats | {("coded", HEART), ("named", HEART), ("coded", PIZZA), ("coded", ARROW)}
    cat = rows["named", CAT]
    assert (cat["label"], cat["group"], cat["subgroup"]) == ("cat face", "animals", "cats")
    assert cat["licence"] == "CC-BY-4.0"
    assert cat["captions"] == [
        {"language": "en", "label": "cat face", "tags": ["pet"]},
        {"language": "zh", "label": "猫脸", "tags": ["宠物"]},
    ]
    assert rows["named", HEART]["label"] == "red heart"
    assert rows["coded", ARROW]["captions"] == [{"language": "en", "label": "right arrow", "tags": []}]


def test_rows_carry_the_paraphrases_of_their_concept(rows: dict) -> None:
    table, _ = concepts.read_paraphrases(concepts.PARAPHRASES)
    assert {row["concept"]: row["paraphrases"] for row in rows.values()} == {
        concept: table.get(concept, []) for concept in (CAT, HEART, PIZZA, ARROW)
    }
    assert rows["coded", PIZZA]["paraphrases"]


def test_more_styles_leave_the_split_and_hold_back_unseen_concepts(
    packages: list[Package], tarballs: Path, tmp_path: Path
) -> None:
    """Names in one word, and of variants, are understood; exact ones win."""
    other = {
        "catface": "#111111",
        "heavyheart-1": "#222222",
        "heart": "#333333",
        "arrow-2": "#444444",
        "nothing": "#555555",
    }
    drawn = {name: f'<rect width="9" height="9" fill="{colour}"/>' for name, colour in other.items()}
    more = [pack_icons(tarballs, "more", drawn)]
    assert emoji.build(tmp_path / "set", 32, tarballs, packages, None, more) == {"train": 6, "test": 6}
    rows = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    held_out = {row["concept"]: row["held_out"] for part in rows.values() for row in part if row["style"] == "more"}
    assert held_out == {CAT: "concept", HEART: "", ARROW: ""}
    heart = next(row for row in rows["train"] if (row["style"], row["concept"]) == ("more", HEART))
    assert heart["image"].getpixel((2, 2)) == (0x33, 0x33, 0x33, 255)
    assert f"{CAT}\tmore\tconcept\tcat face" in (tmp_path / "set" / "test-split.tsv").read_text()
    assert "Painter of more" in (tmp_path / "set" / "LICENCES.md").read_text()


def test_pictures_are_transparent_and_of_the_right_drawing(rows: dict) -> None:
    middles = {
        ("coded", CAT): (255, 128, 0, 255),
        ("named", CAT): (0, 255, 0, 255),
        ("coded", HEART): (255, 0, 0, 255),
        ("named", HEART): (255, 0, 255, 255),
    }
    for key, row in rows.items():
        picture = row["image"]
        assert (picture.mode, picture.size) == ("RGBA", (64, 64))
        assert picture.getpixel((0, 0))[3] == 0
        assert picture.getpixel((32, 32)) == middles.get(key, picture.getpixel((32, 32)))


def test_wide_drawings_are_centred_and_aliases_mirrored(rows: dict) -> None:
    slice_of_pizza = rows["coded", PIZZA]["image"]
    assert slice_of_pizza.getchannel("A").getbbox() == (0, 24, 64, 40)
    assert rows["coded", ARROW]["image"].getchannel("A").getbbox() == (44, 24, 60, 40)


def test_an_alias_of_a_turned_alias_turns_with_it() -> None:
    packed = {"icons": {"a": {"body": SHAPES["left-arrow"]}}, "width": 32, "height": 32}
    packed["aliases"] = {
        "b": {"parent": "a", "rotate": 1},
        "c": {"parent": "b", "hFlip": True},
        "d": {"parent": "c"},
    }
    icon_set = icons.IconSet("any", packed, {}, {})
    boxes = {}
    for name in "abcd":
        with Image.open(io.BytesIO(icons.rasterise(icon_set.svg(name), 32).png)) as picture:
            boxes[name] = picture.getchannel("A").getbbox()
    # left, turned clockwise: up; mirrored: still up
    assert boxes == {"a": (2, 12, 10, 20)} | dict.fromkeys("bcd", (12, 2, 20, 10))
    assert icon_set.families() == {"a": ["a"], "b": ["b"], "c": ["c", "d"]}


def test_a_concept_of_five_styles_is_held_out_whole(rows: dict) -> None:
    for (_, concept), row in rows.items():
        assert (row["split"], row["held_out"]) == (("test", "concept") if concept == CAT else ("train", ""))


def test_copies_and_empty_pictures_are_dropped() -> None:
    def drawing(colour: tuple[int, int, int, int]) -> icons.Drawing:
        return icons.Drawing(b"", bytes(colour) * 256)

    reds = [drawing((red, 0, 0, 255)) for red in (200, 200, 201, 210, 200)]
    assert icons.copies([drawing((0, 0, 0, 0)), *reds]) == {0, 2, 3, 5}
    # across the blocks in which they are compared
    many = [drawing((number % 256, number // 256 * 20, 255, 255)) for number in range(0, 2560, 2)]
    assert icons.copies([*many, many[3]]) == {len(many)}


def test_the_set_tells_its_licences_and_its_test_split(rows: dict, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert {path.name for path in out.iterdir()} == {
        "data",
        "README.md",
        "LICENCES.md",
        "test-pictures",
        "test-split.tsv",
    }
    licences = (out / "LICENCES.md").read_text()
    for style in ("coded", "named", "style 0", "style 1", "style 2"):
        assert f"Painter of {style} (https://example.org/{style})" in licences
    assert "CC BY 4.0 (CC-BY-4.0): https://example.org/by" in licences
    assert "Copyright (c) Jane Words" in licences
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in licences
    assert "4 pictures to train on and 5 to test on, 64 x 64 pixels" in (out / "README.md").read_text()
    table = (out / "test-split.tsv").read_text().splitlines()
    assert table[:2] == ["concept\tstyle\theld_out\tlabel", f"{CAT}\tcoded\tconcept\tcat face"]
    assert len(table) == 6


# The split -------------------------------------------------------------------------------------------------


def test_the_split_follows_its_rule() -> None:
    styles = ["a", "b", "c", "d", "e", "f", "g"]
    pairs = [(f"{n:x}", style) for n in range(900) for style in styles[: 3 + n % 5]]
    split = emoji.draw_split(pairs)
    assert split == emoji.draw_split(reversed(pairs))

    digest = {text: hashlib.sha256(text.encode()).hexdigest() for text in {c for c, _ in pairs}}
    eligible = {concept for concept, style in pairs if style == "e"}
    unseen = set(sorted(eligible, key=digest.__getitem__)[:40])
    assert {c for (c, _), why in split.items() if why == "concept"} == unseen
    assert all(split[c, s] == "concept" for c, s in pairs if c in unseen)

    kept = {concept: {s for c, s in pairs if c == concept and (c, s) not in split} for concept in digest}
    lowest = {p for p in pairs if hashlib.sha256("|".join(p).encode()).hexdigest() < f"{2**52 // 20:013x}"}
    for concept, style in pairs:
        if concept in unseen:
            continue
        held_out = split.get((concept, style)) == "pair"
        if held_out:
            assert (concept, style) in lowest
            assert len(kept[concept]) >= 4
        elif (concept, style) in lowest:
            assert len(kept[concept]) <= 4  # one more would leave too few
    assert 0.02 < sum(why == "pair" for why in split.values()) / len(pairs) < 0.05


def committed_split() -> list[list[str]]:
    head, *rows = emoji.TEST_SPLIT.read_text(encoding="utf-8").splitlines()
    assert head == "concept\tstyle\theld_out\tlabel"
    return [row.split("\t") for row in rows]


def test_the_committed_split_follows_from_the_rule() -> None:
    # That nothing is missing from it is checked by every build; see test_another_split_is_refused.
    rows = committed_split()
    assert rows == sorted(rows)
    assert {style for _, style, _, _ in rows} == {package.style for package in emoji.PACKAGES if package.style}
    unseen = {concept for concept, _, why, _ in rows if why == "concept"}
    pairs = {(concept, style) for concept, style, why, _ in rows if why == "pair"}
    assert len(unseen) == 40
    assert all(sum(row[0] == concept for row in rows) >= 5 for concept in unseen)

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    assert max(map(digest, unseen)) < min(digest(concept) for concept, _ in pairs)
    assert max(digest(f"{concept}|{style}") for concept, style in pairs) < digest_limit(0.05)
    assert max(sum(pair[0] == concept for pair in pairs) for concept, _ in pairs) <= 7 - 4


def digest_limit(share: float) -> str:
    return f"{int(share * 2**48):012x}"


def test_the_committed_split_is_the_published_one() -> None:
    text = emoji.TEST_SPLIT.read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == SPLIT_SHA256


SPLIT_SHA256 = "a2e67afbd3a2a1846944ca729d3b45b12934c9c0733e698b064b5d6c88d86bb6"


def test_another_split_is_refused(packages: list[Package], tarballs: Path, tmp_path: Path) -> None:
    committed = tmp_path / "split.tsv"
    emoji.build(tmp_path / "first", 256, tarballs, packages)
    committed.write_bytes((tmp_path / "first" / "test-split.tsv").read_bytes())
    emoji.build(tmp_path / "second", 256, tarballs, packages, committed)
    committed.write_text(committed.read_text().rpartition(CAT)[0])
    with pytest.raises(BuildError, match=r"another test split than .*split\.tsv.*--new-split"):
        emoji.build(tmp_path / "third", 256, tarballs, packages, committed)
    assert not (tmp_path / "third").exists()


def test_other_sizes_take_the_split_as_it_is(packages: list[Package], tarballs: Path, tmp_path: Path) -> None:
    committed = tmp_path / "split.tsv"
    committed.write_text(f"concept\tstyle\theld_out\tlabel\n{PIZZA}\tcoded\tpair\tpizza\n")
    assert emoji.build(tmp_path / "set", 32, tarballs, packages, committed) == {"train": 8, "test": 1}
    assert (tmp_path / "set" / "test-split.tsv").read_bytes() == committed.read_bytes()


def test_the_pins_are_whole_and_every_style_has_phrases() -> None:
    packages = [*emoji.PACKAGES, *emoji.MORE_PACKAGES]
    assert [package.style for package in packages if package.style] == list(STYLE_PHRASES)
    for package in packages:
        algorithm, _, digest = package.integrity.partition("-")
        assert (algorithm, len(base64.b64decode(digest, validate=True))) == ("sha512", 64)
    assert emoji.PACKAGES[1].tarball == "iconify-json-twemoji-1.2.5.tgz"
    assert emoji.PACKAGES[1].address == "@iconify-json/twemoji/-/twemoji-1.2.5.tgz"


# Bad input -------------------------------------------------------------------------------------------------


@pytest.fixture
def refuse(packages: list[Package], tarballs: Path, tmp_path: Path) -> Callable[[], str]:
    """Build, expect a refusal that leaves nothing behind, and return its sentence."""

    def run() -> str:
        with pytest.raises(BuildError) as caught:
            emoji.build(tmp_path / "out" / "set", 32, tarballs, packages)
        assert list((tmp_path / "out").iterdir()) == []
        return str(caught.value)

    return run


def test_a_truncated_tarball_is_named(refuse: Callable[[], str], tarballs: Path) -> None:
    path = tarballs / "icons-named-1.0.0.tgz"
    path.write_bytes(path.read_bytes()[:-20])
    message = refuse()
    assert message.startswith("icons-named-1.0.0.tgz has the sha512 checksum")
    assert "truncated or another version" in message


def test_a_tarball_of_other_content_is_refused(refuse: Callable[[], str], tarballs: Path) -> None:
    (tarballs / "icons-coded-1.0.0.tgz").write_bytes((tarballs / "icons-named-1.0.0.tgz").read_bytes())
    assert refuse().startswith("icons-coded-1.0.0.tgz has the sha512 checksum")


@pytest.mark.parametrize("content", [b"no archive", gzip.compress(b"x" * 700, mtime=0), None])
def test_an_unreadable_tarball_is_refused(
    content: bytes | None, packages: list[Package], tarballs: Path, refuse: Callable[[], str]
) -> None:
    if content is None:
        content = (tarballs / packages[1].tarball).read_bytes()[:300]
    packages[1] = pin(tarballs, packages[1].name, content, "coded")
    assert refuse().startswith("icons-coded-1.0.0.tgz is not a readable npm tarball")


def test_a_missing_tarball_is_named(refuse: Callable[[], str], tarballs: Path) -> None:
    (tarballs / "words-1.0.0.tgz").unlink()
    message = refuse()
    assert message.startswith(f"words-1.0.0.tgz is not in {tarballs}")
    assert message.endswith("npm pack words@1.0.0")


def test_missing_resvg_is_told(refuse: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    assert refuse() == "resvg-py is missing; install it with: pip install -r requirements-train.txt"


def test_an_icon_that_cannot_be_drawn_is_told(
    refuse: Callable[[], str], packages: list[Package], tarballs: Path
) -> None:
    packages[2] = pack_icons(tarballs, "named", {"cat-face": "<path"})
    assert refuse().startswith("resvg cannot draw an icon at 32 pixels: ")


@pytest.mark.parametrize("size", [0, -4, 15, 1025])
def test_a_size_out_of_range_is_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=f"between 16 and 1024 pixels, not {size}"):
        emoji.build(tmp_path / "set", size)


def test_an_existing_folder_is_kept(packages: list[Package], tarballs: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    emoji.build(out, 32, tarballs, packages)  # an empty one is fine
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(BuildError, match="already exists and is not an empty folder"):
        emoji.build(out, 32, tarballs, packages)
    assert sorted(path.name for path in out.iterdir()) == before
    with pytest.raises(BuildError, match="already exists and is not an empty folder"):
        emoji.build(tarballs / "words-1.0.0.tgz", 32, tarballs, packages)


def test_an_interrupted_build_leaves_nothing(
    packages: list[Package], tarballs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        assert (tmp_path / "out").exists()
        assert list((tmp_path / "out").iterdir()) != []
        raise KeyboardInterrupt

    monkeypatch.setattr(emoji, "licences", interrupted)  # after the pictures were written
    with pytest.raises(KeyboardInterrupt):
        emoji.build(tmp_path / "out" / "set", 32, tarballs, packages)
    assert list((tmp_path / "out").iterdir()) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from dalle2.datasets import emoji
from dalle2.datasets.packages import Package

if __name__ == "__main__":
    out, tarballs, *pins = sys.argv[1:]
    emoji.PACKAGES = [Package(*pin.split("|")[:3], pin.split("|")[3] or None) for pin in pins]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    sys.exit(emoji.main(["--out", out, "--packages", tarballs, "--size", "256", "--new-split"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_one_sentence(packages: list[Package], tarballs: Path, tmp_path: Path) -> None:
    script = tmp_path / "full_disk.py"
    script.write_text(FULL_DISK)
    pins = [f"{p.name}|{p.version}|{p.integrity}|{p.style or ''}" for p in packages]
    out = tmp_path / "out" / "set"
    environment = os.environ | {"PYTHONPATH": str(Path(emoji.__file__).parents[2])}
    command = [sys.executable, str(script), str(out), str(tarballs), *pins]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Could not write {out}: ")
    assert "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


# Fetching --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry on this machine, serving the folder "registry"."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "registry").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "registry"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("no_npm")
def test_packages_come_from_the_configured_registry(
    packages: list[Package], tarballs: Path, tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", registry)
    for package in packages:
        address = tmp_path / "registry" / package.address
        address.parent.mkdir(parents=True)
        address.write_bytes((tarballs / package.tarball).read_bytes())
    assert emoji.build(tmp_path / "set", 32, None, packages) == {"train": 4, "test": 5}

    (tmp_path / "registry" / packages[1].address).unlink()
    with pytest.raises(BuildError, match=r"coded-1\.0\.0\.tgz \(File not found\); check the network, or fetch"):
        emoji.build(tmp_path / "other", 32, None, packages)
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("no_npm")
def test_offline_is_one_sentence(
    packages: list[Package],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setattr(emoji, "PACKAGES", packages)
        assert emoji.main(["--out", str(tmp_path / "out" / "set")]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("could not fetch http://127.0.0.1:")
    assert message.endswith("name their folder with --packages.")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("no_npm")
def test_a_registry_must_be_a_web_address(
    packages: list[Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(BuildError, match="must be an http"):
        emoji.build(tmp_path / "set", 32, None, packages)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for npm is a shell script")
def test_npm_is_used_where_it_is_installed(
    packages: list[Package], tarballs: Path, tmp_path: Path, no_npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = no_npm / "npm"
    asked = tmp_path / "asked"
    npm.write_text(f'#!/bin/sh\necho "$@" > {asked}\n/bin/cp {tarballs}/*.tgz .\n')
    npm.chmod(0o755)
    assert emoji.build(tmp_path / "set", 32, None, packages) == {"train": 4, "test": 5}
    verb, *words = asked.read_text().split()
    assert verb == "pack"
    assert words[-len(packages) :] == [f"{package.name}@1.0.0" for package in packages]

    npm.write_text("#!/bin/sh\necho 'npm warn old config' >&2\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    with pytest.raises(BuildError, match=r"could not fetch the packages \(npm error code ENOTFOUND\)"):
        emoji.build(tmp_path / "other", 32, None, packages)
    assert not (tmp_path / "other").exists()


# The command -----------------------------------------------------------------------------------------------


def test_the_command_builds_and_writes_a_new_split_on_request(
    packages: list[Package],
    tarballs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    committed = tmp_path / "split.tsv"
    committed.write_text("concept\tstyle\theld_out\tlabel\n")
    monkeypatch.setattr(emoji, "PACKAGES", packages)
    monkeypatch.setattr(emoji, "TEST_SPLIT", committed)
    command = ["--out", str(tmp_path / "set"), "--packages", str(tarballs)]
    assert emoji.main(command) == 1
    assert "another test split" in capsys.readouterr().err
    assert emoji.main([*command, "--new-split"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'set'}: 4 training and 5 test pictures.\n"
    assert committed.read_bytes() == (tmp_path / "set" / "test-split.tsv").read_bytes()
    assert emoji.main(command) == 1
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", "--out x --size big", "--out x --unknown", "--out x --size 32 --new-split"])
def test_wrong_arguments_exit_with_2(command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        emoji.main(command.split())
    assert caught.value.code == 2
