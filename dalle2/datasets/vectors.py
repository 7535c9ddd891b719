"""The emoji set as drawings in place of pixels: a fraction of the bytes, for a machine without a network.

`pack` needs the set and the packages that it was built from; `unpack` needs neither, and gives the same set.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from dalle2 import atomic
from dalle2.datasets.concepts import read_concepts
from dalle2.datasets.emoji import MORE_PACKAGES, PACKAGES, write
from dalle2.datasets.icons import join, rasterise_all, read_icon_set
from dalle2.datasets.packages import BuildError, Package, fetch, read_package

SPLITS = ("train", "test")


def pack(
    source: Path, file: Path, tarballs: Path | None = None, packages: Sequence[Package] = (*PACKAGES, *MORE_PACKAGES)
) -> int:
    """Write the drawings of the set in the folder `source` into a file and count them.

    Args:
        tarballs: a folder with the packages' tarballs; None fetches them. packages: that the set was built from, or
            more.

    Raises:
        BuildError: the folder is not an emoji set, or a package is missing.
    """
    parts = {split: sorted(source.glob(f"data/{split}-*.parquet")) for split in SPLITS}
    if not all(parts.values()):
        raise BuildError(f"{source} is not an emoji set: build it with python -m dalle2.datasets.emoji --out {source}.")
    tables = [pyarrow.parquet.read_table(part) for split in SPLITS for part in parts[split]]
    table = pyarrow.concat_tables(table.drop_columns("image") for table in tables)
    pairs = list(zip(table["concept"].to_pylist(), table["style"].to_pylist(), strict=True))
    styles = {None, *(style for _, style in pairs)}  # None: the words, by which drawings find their concepts
    svgs = _svgs([package for package in packages if package.style in styles], tarballs)
    if absent := [pair for pair in pairs if pair not in svgs]:
        raise BuildError(f"The packages have no drawing of {absent[0][0]} in {absent[0][1]} style, as {source} has.")
    table = table.append_column("svg", pyarrow.array([svgs[pair] for pair in pairs], pyarrow.large_string()))
    pyarrow.parquet.write_table(table, file, compression="zstd", compression_level=19, row_group_size=len(pairs))
    return len(pairs)


def unpack(file: Path, out: Path, size: int = 256) -> int:
    """Draw a packed set into the folder `out`, which appears whole or not at all, and count its pictures."""
    rows = pyarrow.parquet.read_table(file).to_pylist()
    drawings = rasterise_all([row.pop("svg") for row in rows], size)
    for row, drawing in zip(rows, drawings, strict=True):
        name = f"{row['concept']}-{row['style'].replace(' ', '-')}.png"
        row["image"] = {"bytes": drawing.png, "path": name}
    with atomic.folder(out) as partial:
        write(partial, rows)
    return len(rows)


def _svgs(packages: Sequence[Package], tarballs: Path | None) -> dict[tuple[str, str], str]:
    """(concept, style) -> SVG document."""
    with tempfile.TemporaryDirectory() as scratch:
        if tarballs is None:
            tarballs = Path(scratch)
            fetch(packages, tarballs)
        files = {package: read_package(package, tarballs) for package in packages}
    words = next(package for package in packages if package.style is None)
    icon_sets = [read_icon_set(package.style, files[package]) for package in packages if package.style is not None]
    drawn = join(icon_sets, read_concepts(files[words]))
    return {(code, icon_set.style): icon_set.svg(name) for icon_set, code, name in drawn}


def shrink_lexicon(file: Path, out: Path) -> None:
    """Write a lexicon with its shares in half precision and packed more tightly; `Lexicon.read` opens it as before."""
    table = pyarrow.parquet.read_table(file)
    shares = table["shares"].combine_chunks()
    halved = pyarrow.ListArray.from_arrays(shares.offsets, shares.flatten().cast(pyarrow.float16()))
    table = table.set_column(table.column_names.index("shares"), "shares", halved)
    pyarrow.parquet.write_table(table, out, compression="zstd", compression_level=19, row_group_size=len(table))
