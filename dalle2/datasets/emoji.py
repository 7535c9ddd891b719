"""The picture set: colour emoji in seven drawing styles, with names and keywords in some thirty languages.

    python -m dalle2.datasets.emoji --out DIR [--size 256] [--more] [--packages FOLDER_OF_TARBALLS]

The pictures are the SVG icons of Iconify's npm packages, the words are those of ``emojibase-data``. Icons
find their concept by code point where a package states it, and by name where it does not. Skin tones, hair
parts and the flags of countries and regions are left out, and so is every artwork that was already there.

The result is one folder that ``datasets`` opens: ``data/train-*.parquet``, ``data/test-*.parquet``, a data
set card and the licences. It appears whole or not at all.
"""

import argparse
import base64
import hashlib
import importlib.util
import io
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tqdm import tqdm

PARAPHRASES = Path(__file__).with_name("emoji-paraphrases.tsv")  # from python -m dalle2.datasets.paraphrases
TEST_SPLIT = Path(__file__).with_name("emoji-test-split.tsv")
TEST_SPLIT_SIZE = 256  # pixels at which it was drawn; which drawings count as copies depends a little on them
TEST_PAIR_SHARE = 0.05
TEST_CONCEPTS = 40
TEST_CONCEPT_STYLES = 5  # a wholly unseen concept must be one that most styles draw
TRAINING_STYLES = 4  # what every other concept keeps, where it has that many
NOT_DRAWN_GROUPS = {"component"}
NOT_DRAWN_SUBGROUPS = {"country-flag", "subdivision-flag"}


class BuildError(Exception):
    """The picture set cannot be built; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Package:
    """One npm package, pinned: its exact version and the sha512 that npm publishes for its tarball."""

    name: str
    version: str
    integrity: str
    style: str | None = None  # the drawing style of its icons; None for the words

    @property
    def tarball(self) -> str:
        """File name that ``npm pack`` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def address(self) -> str:
        """Path of the tarball below the registry."""
        return f"{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"


# In the order of preference: of two identical artworks the first one stays.
PACKAGES = (
    Package(
        "emojibase-data",
        "17.0.0",
        "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    ),
    Package(
        "@iconify-json/twemoji",
        "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "twemoji",
    ),
    Package(
        "@iconify-json/noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "noto",
    ),
    Package(
        "@iconify-json/noto-v1",
        "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "noto v1",
    ),
    Package(
        "@iconify-json/openmoji",
        "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        "openmoji",
    ),
    Package(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "fluent flat",
    ),
    Package(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
        "fluent color",  # Microsoft's "Color" drawings, soft gradients; their "3D" ones are no SVGs
    ),
    Package(
        "@iconify-json/emojione",
        "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "emojione",
    ),
)

# With --more: styles that draw fewer concepts. None of them is in the committed test split.
MORE_PACKAGES = (
    Package(
        "@iconify-json/emojione-v1",
        "1.2.3",
        "sha512-UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
        "emojione v1",
    ),
    Package(
        "@iconify-json/fxemoji",
        "1.2.2",
        "sha512-UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "fxemoji",
    ),
    Package(
        "@iconify-json/streamline-emojis",
        "1.2.4",
        "sha512-iNr9T9XuZVTyQPJO8ZlLxBzPkpi7qMl+z1l0C31vpEMqhPMelth3n7CeWQYtixdetDPdI81yeG4ROqjWpYJE6A==",
        "streamline",
    ),
)


# Fetching --------------------------------------------------------------------------------------------------


def fetch(packages: Sequence[Package], folder: Path) -> None:
    """Download the tarballs into ``folder``: with npm where it is installed, else by plain HTTPS.

    npm knows the user's mirror, proxy and certificates. Without it the registry is the one that the
    environment variable ``npm_config_registry`` names, or npm's public one.
    """
    npm = shutil.which("npm")
    if npm:
        _fetch_with_npm(npm, packages, folder)
    else:
        for package in tqdm(packages, desc="fetching", unit="package"):
            _fetch_by_https(package, folder)


def _fetch_with_npm(npm: str, packages: Sequence[Package], folder: Path) -> None:
    names = [f"{package.name}@{package.version}" for package in packages]
    options = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error"]
    print(f"fetching {len(names)} packages with npm", file=sys.stderr)
    command = [npm, "pack", *options, *names]  # writes into the working folder
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.lower().startswith("npm err")]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise BuildError(f"npm could not fetch the emoji packages ({reason}); {_OFFLINE_ADVICE}")


def _fetch_by_https(package: Package, folder: Path) -> None:
    registry = os.environ.get("npm_config_registry")  # noqa: SIM112 (this is how npm spells it)
    registry = registry or "https://registry.npmjs.org/"
    address = urllib.parse.urljoin(registry.rstrip("/") + "/", package.address)
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise BuildError(f"npm_config_registry must be an http(s) address, not {registry!r}.")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise BuildError(f"could not fetch {address} ({reason}); {_OFFLINE_ADVICE}") from error
    (folder / package.tarball).write_bytes(content)


_OFFLINE_ADVICE = (
    "check the network, or fetch the tarballs elsewhere with npm pack and name their folder with --packages."
)


def read_package(package: Package, folder: Path) -> dict[str, bytes]:
    """The files of a tarball by their path inside the package, after its checksum was compared.

    Raises:
        BuildError: the tarball is missing, truncated, or not the pinned one.
    """
    path = folder / package.tarball
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BuildError(
            f"{path.name} is not in {folder}; fetch it with: npm pack {package.name}@{package.version}"
        ) from error
    algorithm, _, expected = package.integrity.partition("-")
    found = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if found != expected:
        raise BuildError(
            f"{path.name} has the {algorithm} checksum {found[:12]}… where {expected[:12]}… is pinned: it is "
            "truncated or another version; delete it and fetch it again."
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            members = [member for member in archive if member.isfile()]
            # npm packs everything below one folder, which is nearly always called "package"
            return {m.name.partition("/")[2]: archive.extractfile(m).read() for m in members}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BuildError(f"{path.name} is not a readable npm tarball ({error}); fetch it again.") from error


# Words -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Concept:
    """What an emoji shows, whoever drew it."""

    code: str  # its code points, such as "1f431"
    label: str  # English
    group: str
    subgroup: str
    captions: tuple[dict[str, Any], ...]  # one {"language", "label", "tags"} for each language


def bare_code(code: str) -> str:
    """Code points in lower case, without the variation selector, which not every source writes."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def read_concepts(files: Mapping[str, bytes]) -> dict[str, Concept]:
    """emojibase's emoji in their usual order, by code, without skin tones, hair parts and country flags."""
    words = {path.partition("/")[0]: json.loads(text) for path, text in files.items() if _is_words(path)}
    messages = json.loads(files["en/messages.json"])
    groups = {group["order"]: group["key"] for group in messages["groups"]}
    subgroups = {subgroup["order"]: subgroup["key"] for subgroup in messages["subgroups"]}
    captions: dict[str, list[dict[str, Any]]] = {}
    for language in sorted(words):
        for emoji in words[language]:
            caption = {"language": language, "label": emoji["label"], "tags": emoji.get("tags", [])}
            captions.setdefault(bare_code(emoji["hexcode"]), []).append(caption)
    concepts = {}
    for emoji in sorted(words["en"], key=lambda emoji: emoji.get("order", 0)):
        group, subgroup = groups.get(emoji.get("group")), subgroups.get(emoji.get("subgroup"))
        if group is None or group in NOT_DRAWN_GROUPS or subgroup in NOT_DRAWN_SUBGROUPS:
            continue  # regional indicator letters have no group
        code = bare_code(emoji["hexcode"])
        concepts[code] = Concept(code, emoji["label"], group, subgroup or group, tuple(captions[code]))
    return concepts


def read_paraphrases(table: Path) -> tuple[dict[str, list[str]], str]:
    """Concept -> paraphrases, the nearest first; and the licence, which are the remarks at the table's head."""
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    licence = "\n".join(line.lstrip("#").strip() for line in lines if line.startswith("#"))
    return {concept: texts for concept, *texts in rows}, licence


def _is_words(path: str) -> bool:
    folder, _, name = path.partition("/")
    return bool(folder) and name == "data.json"


# Icons -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IconSet:
    """One drawing style: its icons as Iconify packs them, and whom to thank."""

    style: str
    icons: Mapping[str, Any]  # icons.json
    codes: Mapping[str, str]  # chars.json: code points -> icon name; empty in the older packages
    info: Mapping[str, Any]  # info.json: name, author, license

    @property
    def licence(self) -> str:
        """The set's SPDX licence name."""
        return self.info["license"]["spdx"]

    def families(self) -> dict[str, list[str]]:
        """Each distinct drawing's name with all its names, its own first; a mirrored alias is a drawing."""
        aliases = self.icons.get("aliases", {})
        families = {name: [name] for name in self.icons["icons"]}
        families |= {name: [name] for name, alias in aliases.items() if _turns(alias)}
        for name in aliases:
            drawing = name
            while drawing not in families:
                drawing = aliases[drawing]["parent"]
            if drawing != name:
                families[drawing].append(name)
        return families

    def svg(self, name: str) -> str:
        """The square SVG document of an icon or alias; a drawing that is not square is centred in it."""
        icon, turns = {"parent": name}, []
        while "parent" in icon:
            turns.append(icon)
            name = icon["parent"]
            icon = self.icons["icons"].get(name) or self.icons["aliases"][name]
        box = [icon.get(key, self.icons.get(key, other)) for key, other in _BOX.items()]
        body = icon["body"]
        middle = box[0] + box[2] / 2, box[1] + box[3] / 2
        for turn in reversed([turn for turn in turns if _turns(turn)]):
            scale = -1 if turn.get("hFlip") else 1, -1 if turn.get("vFlip") else 1
            move = (
                f"translate({middle[0]} {middle[1]}) rotate({90 * turn.get('rotate', 0)}) "
                f"scale({scale[0]} {scale[1]}) translate({-middle[0]} {-middle[1]})"
            )
            body = f'<g transform="{move}">{body}</g>'
        view = " ".join(map(str, box))
        namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        side = max(box[2:])
        return f'<svg {namespaces} viewBox="{view}" width="{side}" height="{side}">{body}</svg>'


_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}  # Iconify's defaults


def _turns(alias: Mapping[str, Any]) -> bool:
    return any(alias.get(key) for key in ("hFlip", "vFlip", "rotate"))


def read_icon_set(style: str, files: Mapping[str, bytes]) -> IconSet:
    """An Iconify package as an icon set."""
    codes = json.loads(files.get("chars.json", b"{}"))
    return IconSet(style, json.loads(files["icons.json"]), codes, json.loads(files["info.json"]))


def join(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept]) -> Iterator[tuple[IconSet, str, str]]:
    """(icon set, concept code, icon name) for every concept that a set draws, set by set.

    Packages that list code points are joined by them; the older ones know only names.
    """
    code_of_name = explain_names(icon_sets, concepts)
    for icon_set in icon_sets:
        drawn = {bare_code(code): name for code, name in reversed(icon_set.codes.items())}
        if not drawn:
            for spelling in (str, _plain):  # all exact names before any loose one
                for drawing, names in icon_set.families().items():
                    known = [code for name in names if (code := code_of_name.get(spelling(name)))]
                    if known:
                        drawn.setdefault(known[0], drawing)
        for code in concepts:
            if code in drawn:
                yield icon_set, code, drawn[code]


def explain_names(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept]) -> dict[str, str]:
    """Icon name -> concept code, from the sets that list code points.

    The names of their icons count first, then the aliases: CLDR has renamed many an emoji. Then both in one word.
    """
    own_names, aliases = [], []
    for icon_set in icon_sets:
        family_of = {name: names for names in icon_set.families().values() for name in names}
        for code, name in icon_set.codes.items():
            if bare_code(code) in concepts:
                own_names.append((name, bare_code(code)))
                aliases += [(alias, bare_code(code)) for alias in family_of[name]]
    one_word = [(name.replace("-", ""), code) for name, code in own_names + aliases]
    code_of_name: dict[str, str] = {}
    for name, code in own_names + aliases + one_word:
        code_of_name.setdefault(name, code)
    return code_of_name


def _plain(name: str) -> str:
    """An icon's name without hyphens and without the number of a variant: alarm-clock-1 is alarmclock."""
    return re.sub(r"-\d$", "", name).replace("-", "")


# Pictures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawing:
    """A rasterised icon."""

    png: bytes
    thumbnail: bytes  # 16 x 16 pixels, RGBA, colours multiplied by alpha: to compare drawings by


def rasterise(svg: str, size: int) -> Drawing:
    """A square SVG document as size x size pixels with transparency.

    Raises:
        ValueError: resvg cannot draw it.
    """
    import resvg_py
    from PIL import Image

    # system fonts would make the result depend on the machine; the icons have no text
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    with Image.open(io.BytesIO(png)) as picture:
        thumbnail = picture.convert("RGBa").resize((16, 16), Image.Resampling.BOX)
    return Drawing(png, thumbnail.tobytes())


def rasterise_all(svgs: Sequence[str], size: int) -> list[Drawing]:
    """``rasterise`` on all cores, with a progress bar."""
    if importlib.util.find_spec("resvg_py") is None:
        raise BuildError("resvg-py is missing; install it with: pip install -r requirements-train.txt")
    # spawn: a forked child would inherit the locks of whatever threads the caller runs
    spawn, chunk = multiprocessing.get_context("spawn"), 16
    workers = min(os.cpu_count() or 1, -(-len(svgs) // chunk))
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        drawings = pool.map(partial(rasterise, size=size), svgs, chunksize=chunk)
        try:
            return list(tqdm(drawings, desc="drawing", total=len(svgs), unit="picture", smoothing=0.02))
        except ValueError as error:
            pool.shutdown(cancel_futures=True)
            raise BuildError(f"resvg cannot draw an icon at {size} pixels: {error}") from error
        except BrokenProcessPool as error:
            raise BuildError(
                "a drawing process was killed, probably for want of memory; free some and try again."
            ) from error


def copies(drawings: Sequence[Drawing]) -> set[int]:
    """Which drawings are empty or look like an earlier one.

    Some sets have one drawing for two concepts (new moon and black circle), and a copy in the test split
    would be no test. The limit on the mean squared difference, 1e-5 on [0, 1], forgives rounding only.
    """
    import numpy

    looks = numpy.stack([numpy.frombuffer(d.thumbnail, numpy.uint8) for d in drawings]).astype(numpy.float32)
    looks /= 255
    energy = (looks**2).mean(axis=1)
    dropped = set(numpy.flatnonzero(energy == 0).tolist())
    for start in range(0, len(looks), 1024):
        block = slice(start, start + 1024)
        apart = energy[block, None] + energy - 2 / looks.shape[1] * looks[block] @ looks.T
        for later, earlier in numpy.argwhere(apart < 1e-5).tolist():
            if earlier < start + later and earlier not in dropped:
                dropped.add(start + later)
    return dropped


# The test split --------------------------------------------------------------------------------------------


def _fraction(text: str) -> float:
    """A number in [0, 1) that only the text decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def draw_split(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The pictures held out for testing: (concept, style) -> "concept" or "pair".

    40 whole concepts: of those that at least five styles draw, the ones of smallest sha256(concept). And the
    pairs of the other concepts whose sha256("concept|style") lies in the lowest 5 % of its range, the lowest
    first, as long as four of the concept's styles stay in training.
    """
    styles: dict[str, list[str]] = {}
    for concept, style in pairs:
        styles.setdefault(concept, []).append(style)
    common = [concept for concept in styles if len(styles[concept]) >= TEST_CONCEPT_STYLES]
    unseen = sorted(common, key=lambda concept: hashlib.sha256(concept.encode()).digest())[:TEST_CONCEPTS]
    split = {(concept, style): "concept" for concept in unseen for style in styles[concept]}
    for concept in sorted(styles.keys() - set(unseen)):
        order = sorted(styles[concept], key=lambda style: _fraction(f"{concept}|{style}"))
        for style in order[: max(0, len(order) - TRAINING_STYLES)]:
            if _fraction(f"{concept}|{style}") < TEST_PAIR_SHARE:
                split[concept, style] = "pair"
    return split


def read_split(table: Path) -> dict[tuple[str, str], str]:
    """The split that ``split_table`` wrote: (concept, style) -> "concept" or "pair"."""
    rows = [row.split("\t") for row in table.read_text(encoding="utf-8").splitlines()[1:]]
    return {(concept, style): held_out for concept, style, held_out, _ in rows}


def split_table(split: Mapping[tuple[str, str], str], labels: Mapping[str, str]) -> str:
    """The split as the text of ``emoji-test-split.tsv``, sorted: concept, style, held_out, label."""
    rows = ["concept\tstyle\theld_out\tlabel"]
    rows += [f"{code}\t{style}\t{why}\t{labels[code]}" for (code, style), why in sorted(split.items())]
    return "\n".join(rows) + "\n"


# The data set ----------------------------------------------------------------------------------------------


def build(
    out: Path,
    size: int = 256,
    tarballs: Path | None = None,
    packages: Sequence[Package] = PACKAGES,
    test_split: Path | None = None,
    more: Sequence[Package] = (),
) -> dict[str, int]:
    """Build the data set in the folder ``out`` and count its pictures by split.

    Args:
        out: the folder to make; it may exist only if it is empty.
        size: width and height of the pictures in pixels, 16 to 1024.
        tarballs: a folder with the packages' tarballs; None fetches them.
        packages: what to build from; the one without a style is the words'.
        test_split: the table of the split, so that numbers stay comparable whatever the size; None draws one.
            At 256 pixels it must be the one that the pictures give.
        more: packages of further styles. They leave the split of the others as it is: their pictures are for
            training, but for those of wholly held-out concepts.

    Raises:
        BuildError: one sentence about what is wrong and what to do. Nothing is left in ``out``.
        OSError: the disk refuses, for instance because it is full. Nothing is left in ``out`` either.
    """
    if not 16 <= size <= 1024:
        raise BuildError(f"the size must be between 16 and 1024 pixels, not {size}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BuildError(f"{out} already exists and is not an empty folder; name another one or remove it.")
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that the last step is a rename within one file system
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        work = Path(scratch)
        if tarballs is None:
            tarballs = work / "packages"
            tarballs.mkdir()
            fetch([*packages, *more], tarballs)
        files = {package: read_package(package, tarballs) for package in [*packages, *more]}
        words = next(package for package in packages if package.style is None)
        concepts = read_concepts(files[words])
        icon_sets = [read_icon_set(p.style, files[p]) for p in files if p.style is not None]
        rows = draw_rows(icon_sets, concepts, size)

        pairs, further = [(row["concept"], row["style"]) for row in rows], {package.style for package in more}
        drawn_split = draw_split(pair for pair in pairs if pair[1] not in further)
        split = drawn_split if test_split is None else read_split(test_split)
        if size == TEST_SPLIT_SIZE and split != drawn_split:
            raise BuildError(
                f"these pictures give another test split than {test_split.name}; undo the change to the "
                "packages, or accept that older numbers no longer compare and pass --new-split."
            )
        unseen = {concept for (concept, _), why in split.items() if why == "concept"}
        split |= {pair: "concept" for pair in pairs if pair[1] in further and pair[0] in unseen}
        table = split_table(split, {code: concept.label for code, concept in concepts.items()})
        paraphrases, terms = read_paraphrases(PARAPHRASES)
        for row in rows:
            row["paraphrases"] = paraphrases.get(row["concept"], [])
            row["held_out"] = split.get((row["concept"], row["style"]), "")
        finished = work / "finished"
        counts = write(finished, rows)
        (finished / "test-split.tsv").write_text(table, encoding="utf-8")
        (finished / "LICENCES.md").write_text(licences(icon_sets, words, files[words], terms), encoding="utf-8")
        (finished / "README.md").write_text(card(icon_sets, concepts, counts, size), encoding="utf-8")
        finished.replace(out)
    return counts


def draw_rows(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept], size: int) -> list[dict[str, Any]]:
    """One row a picture, all columns of the data set but ``paraphrases`` and ``held_out``."""
    joined = list(join(icon_sets, concepts))
    drawings = rasterise_all([icon_set.svg(name) for icon_set, _, name in joined], size)
    dropped = copies(drawings)
    rows = []
    for index, ((icon_set, code, _), drawing) in enumerate(zip(joined, drawings, strict=True)):
        if index in dropped:
            continue
        concept, style = concepts[code], icon_set.style
        row = {
            "image": {"bytes": drawing.png, "path": f"{code}-{style.replace(' ', '-')}.png"},
            "concept": code,
            "label": concept.label,
            "style": style,
            "captions": list(concept.captions),
            "group": concept.group,
            "subgroup": concept.subgroup,
            "licence": icon_set.licence,
        }
        rows.append(row)
    return rows


def write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Write the rows as parquet files that ``datasets`` opens; the pictures of each split, counted.

    The test pictures also lie as files in test-pictures, where `evaluation` finds them as references.
    """
    import datasets

    text = datasets.Value("string")
    captions = datasets.List({"language": text, "label": text, "tags": datasets.List(text)})
    columns = ("concept", "label", "style", "group", "subgroup", "licence", "held_out")
    lists = {"captions": captions, "paraphrases": datasets.List(text)}
    features = datasets.Features({"image": datasets.Image(), **lists, **dict.fromkeys(columns, text)})
    (folder / "data").mkdir(parents=True)
    counts = {}
    for name, held_out in (("train", False), ("test", True)):
        chosen = [row for row in rows if bool(row["held_out"]) is held_out]
        table = {column: [row[column] for row in chosen] for column in features}
        split = datasets.Dataset.from_dict(table, features=features)
        split.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
        counts[name] = len(chosen)
    pictures = folder / "test-pictures"
    pictures.mkdir()
    for row in rows:
        if row["held_out"]:
            (pictures / row["image"]["path"]).write_bytes(row["image"]["bytes"])
    return counts


def licences(icon_sets: Sequence[IconSet], words: Package, word_files: Mapping[str, bytes], wordnet: str) -> str:
    """LICENCES.md: who drew what under which terms, as the packages themselves state it."""
    parts = [
        "# Licences\n\nThe pictures are drawings of others, rasterised and otherwise unchanged. Each style\n"
        "keeps its own licence; CC BY-SA asks that what is made from its pictures be shared alike.\n"
    ]
    for icon_set in icon_sets:
        info, licence = icon_set.info, icon_set.info["license"]
        parts.append(
            f"## {icon_set.style}\n\n{info['name']}, by {info['author']['name']} ({info['author']['url']}), "
            f"licensed under {licence['title']} ({licence['spdx']}): {licence['url']}\n"
        )
    text = word_files["LICENSE"].decode().strip()
    parts.append(f"## Labels and tags\n\n{words.name} {words.version}, which follows Unicode CLDR.\n\n{text}\n")
    parts.append(f"## Paraphrases\n\n{wordnet}\n")
    return "\n".join(parts)


def card(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept], counts: Mapping[str, int], size: int) -> str:
    """README.md: the data set card, with the front matter by which ``datasets`` finds the splits."""
    languages = sorted({caption["language"] for concept in concepts.values() for caption in concept.captions})
    styles = ", ".join(f"{icon_set.style} ({icon_set.licence})" for icon_set in icon_sets)
    return f"""---
license: other
license_name: several
license_link: LICENCES.md
task_categories: [text-to-image]
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
  - split: test
    path: data/test-*.parquet
---
# Colour emoji in {len(icon_sets)} drawing styles

{counts["train"]:,} pictures to train on and {counts["test"]:,} to test on, {size} x {size} pixels with
transparency, made by `python -m dalle2.datasets.emoji`. Styles: {styles}.

Columns: `image`, `concept` (code points), `label` (English), `style`, `captions` (a label and tags in each of
{len(languages)} languages: {", ".join(languages)}), `paraphrases` (other English words for the concept, from
WordNet 3.1), `group`, `subgroup`, `licence`, and `held_out`: empty in train; in test `pair` for a style of a
concept that other styles show in training, `concept` for one of {TEST_CONCEPTS} concepts that no style shows in
training. `test-split.tsv` lists them, and `test-pictures` holds them as PNG files.

Who drew what, and the licences: LICENCES.md.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 when the data set is there, 1 after one sentence about why it is not."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.datasets.emoji", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--size", type=int, default=256, help="pixels (default: %(default)s)")
    parser.add_argument("--more", action="store_true", help="three more styles, which draw fewer concepts")
    parser.add_argument("--packages", type=Path, help="folder of tarballs from npm pack, instead of fetching")
    parser.add_argument(
        "--new-split", action="store_true", help="draw the test split anew and write it into this repository"
    )
    options = parser.parse_args(arguments)
    if options.new_split and options.size != TEST_SPLIT_SIZE:
        parser.error(f"--new-split goes with --size {TEST_SPLIT_SIZE}")
    if options.new_split and options.more:
        parser.error("--new-split goes without --more: the split is that of the seven styles")
    try:
        expected_split = None if options.new_split else TEST_SPLIT
        more = MORE_PACKAGES if options.more else ()
        counts = build(options.out, options.size, options.packages, PACKAGES, expected_split, more)
        if options.new_split:
            shutil.copyfile(options.out / "test-split.tsv", TEST_SPLIT)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Could not write {options.out}: {error}; nothing was kept.", file=sys.stderr)
        return 1
    print(f"{options.out}: {counts['train']:,} training and {counts['test']:,} test pictures.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
