"""The picture set: colour emoji in seven drawing styles, with names and keywords in some thirty languages.

    python -m dalle2.datasets.emoji --out DIR [--size 256] [--more] [--packages FOLDER_OF_TARBALLS]

The pictures are the SVG icons of Iconify's npm packages, the words are those of ``emojibase-data``. Icons
find their concept by code point where a package states it, and by name where it does not. Skin tones, hair
parts and the flags of countries and regions are left out, and so is every artwork that was already there.

The result is one folder that ``datasets`` opens: ``data/train-*.parquet``, ``data/test-*.parquet``, a data
set card and the licences. It appears whole or not at all.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dalle2 import atomic
from dalle2.datasets.concepts import PARAPHRASES, Concept, read_concepts, read_paraphrases
from dalle2.datasets.icons import IconSet, copies, join, rasterise_all, read_icon_set
from dalle2.datasets.packages import BuildError, Package, fetch, read_package

TEST_SPLIT = Path(__file__).with_name("emoji-test-split.tsv")
TEST_SPLIT_SIZE = 256  # pixels at which it was drawn; which drawings count as copies depends a little on them
TEST_PAIR_SHARE = 0.05
TEST_CONCEPTS = 40
TEST_CONCEPT_STYLES = 5  # a wholly unseen concept must be one that most styles draw
TRAINING_STYLES = 4  # what every other concept keeps, where it has that many

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


# The test split ------------------------------------------------------------------------------------------


def _fraction(text: str) -> float:
    """Return a number in [0, 1) that only the text decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def draw_split(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the pictures held out for testing: (concept, style) -> "concept" or "pair".

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
    """Return the split that ``split_table`` wrote: (concept, style) -> "concept" or "pair"."""
    rows = [row.split("\t") for row in table.read_text(encoding="utf-8").splitlines()[1:]]
    return {(concept, style): held_out for concept, style, held_out, _ in rows}


def split_table(split: Mapping[tuple[str, str], str], labels: Mapping[str, str]) -> str:
    """Return the split as the text of ``emoji-test-split.tsv``, sorted: concept, style, held_out, label."""
    rows = ["concept\tstyle\theld_out\tlabel"]
    rows += [f"{code}\t{style}\t{why}\t{labels[code]}" for (code, style), why in sorted(split.items())]
    return "\n".join(rows) + "\n"


# The data set --------------------------------------------------------------------------------------------


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
    with tempfile.TemporaryDirectory() as scratch, atomic.folder(out) as finished:
        if tarballs is None:
            tarballs = Path(scratch)
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
                f"these pictures give another test split than {test_split}; undo the change to the "
                "packages, or accept that older numbers no longer compare and pass --new-split."
            )
        unseen = {concept for (concept, _), why in split.items() if why == "concept"}
        split |= {pair: "concept" for pair in pairs if pair[1] in further and pair[0] in unseen}
        table = split_table(split, {code: concept.label for code, concept in concepts.items()})
        paraphrases, terms = read_paraphrases(PARAPHRASES)
        for row in rows:
            row["paraphrases"] = paraphrases.get(row["concept"], [])
            row["held_out"] = split.get((row["concept"], row["style"]), "")
        counts = write(finished, rows)
        (finished / "test-split.tsv").write_text(table, encoding="utf-8")
        (finished / "LICENCES.md").write_text(licences(icon_sets, words, files[words], terms), encoding="utf-8")
        (finished / "README.md").write_text(card(icon_sets, concepts, counts, size), encoding="utf-8")
    return counts


def draw_rows(icon_sets: Sequence[IconSet], concepts: Mapping[str, Concept], size: int) -> list[dict[str, Any]]:
    """Return one row a picture, all columns of the data set but ``paraphrases`` and ``held_out``."""
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
    """Return LICENCES.md: who drew what under which terms, as the packages themselves state it."""
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
    """Return README.md: the data set card, with the front matter by which ``datasets`` finds the splits."""
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
    """Run the command; return 0 when the data set is there, 1 after one sentence about why it is not."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.datasets.emoji", description="Build the picture set.")
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
        atomic.check_folder(options.out)
        expected_split = None if options.new_split else TEST_SPLIT
        more = MORE_PACKAGES if options.more else ()
        counts = build(options.out, options.size, options.packages, PACKAGES, expected_split, more)
        if options.new_split:
            shutil.copyfile(options.out / "test-split.tsv", TEST_SPLIT)
    except (BuildError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Could not write {options.out}: {error}; nothing was kept.", file=sys.stderr)
        return 1
    print(f"{options.out}: {counts['train']:,} training and {counts['test']:,} test pictures.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
