"""python -m dalle2.offline.results RUN --out DIR: what to keep of a run, in files that travel.

The checkpoint (or, of a run that was cut short, the stages that it finished) in pieces, sixteen pictures drawn by it,
and the held-out losses. `cat checkpoint.tar.* | tar x` puts it together again.
"""

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from dalle2.datasets.phrases import Phrases

PIECE = 15_000_000  # bytes
PIECES = 6  # the most: with the two others no more than eight files
COUNT, COLUMNS = 16, 4
OTHERS = ("logs", "reports", "snapshots", "pictures")  # folders of a run that are no stage


def keep(run: Path, out: Path) -> list[Path]:
    """Write the files to keep of the run in the folder `run`, and return them; ValueError when there are none."""
    checkpoint = run / "checkpoint"
    folders = [checkpoint] if checkpoint.exists() else [part for part in sorted(run.iterdir()) if _finished(part)]
    if not folders:
        raise ValueError(f"{run} holds neither a checkpoint nor a finished stage.")
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "reports.json"]
    reports = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(run.glob("reports/*.json"))}
    files[0].write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    whole = out / ".whole.tar"
    try:
        with tarfile.open(whole, "w") as tar:
            for folder in folders:
                if whole.stat().st_size + _size(folder) > PIECE * PIECES:
                    sys.stdout.write(f"Left out, for want of room: {folder.name}.\n")
                    continue
                tar.add(folder, folder.name)
        with whole.open("rb") as stream:
            files += _pieces(stream, out / f"{folders[0].name if len(folders) == 1 else 'stages'}.tar")
    finally:
        whole.unlink(missing_ok=True)
    if checkpoint.exists():
        draw_sixteen(checkpoint, out / "sixteen.png")
        files.append(out / "sixteen.png")
    return files


def draw_sixteen(checkpoint: Path, file: Path) -> None:
    """Draw a sheet of pictures of prompts from all over the checkpoint's words, seed 0, unpicked."""
    from dalle2.families import load

    model = load(checkpoint)
    pictures = [model.text_to_image([prompt], seeds=[0])[0] for prompt in prompts(checkpoint, model.examples)]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (COLUMNS * width, COUNT // COLUMNS * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % COLUMNS * width, index // COLUMNS * height))
    sheet.save(file)


def prompts(checkpoint: Path, examples: tuple[str, ...]) -> list[str]:
    """Return sixteen: concepts at equal distances in its words, each in the next style; else its examples."""
    phrases = Phrases.read(checkpoint)
    if phrases is None:
        return [(examples or ("a picture",))[index % max(1, len(examples))] for index in range(COUNT)]
    concepts = [phrases.concepts[index * len(phrases.concepts) // COUNT] for index in range(COUNT)]
    return [f"{concept}, {phrases.styles[index % len(phrases.styles)]} style" for index, concept in enumerate(concepts)]


def _pieces(stream: BinaryIO, name: Path) -> Iterator[Path]:
    for old in name.parent.glob(f"{name.name}.*"):
        old.unlink()
    number = 0
    while piece := stream.read(PIECE):
        file = name.with_name(f"{name.name}.{number}")
        file.write_bytes(piece)
        yield file
        number += 1


def _finished(part: Path) -> bool:
    return part.is_dir() and not part.name.startswith(".") and part.name not in OTHERS


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> int:
    """Run the command; return 1 after one sentence when there is nothing to keep."""
    about = "Copy what to keep of a run, in files that travel."
    parser = argparse.ArgumentParser(prog="python -m dalle2.offline.results", description=about)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        files = keep(options.run, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    for file in files:
        sys.stdout.write(f"{file}: {file.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
