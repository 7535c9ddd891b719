"""python -m benchmarks.own_style DIR --data data/emoji: a style that nothing was trained on, taught by 50 pictures.

    python -m benchmarks.own_style runs/streamline --data data/emoji --set streamline

Of an emoji set that is in no training (`SETS`) 50 concepts teach and 30 others are asked for. Two things are measured
by the embedded judge: whether the pictures of the 30 are nearest to the new style's mean among eight, those of real
pictures of the 50 concepts; and whether old pairs are recognised as before, of the same prompts and seeds. DIR keeps
pictures (train, drawn, old), the LoRA file, a line of pictures.jsonl for each measured picture, result.json and
sheet.webp; the same command goes on where it was stopped.
"""

import argparse
import hashlib
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dalle2 import atomic, images
from dalle2.datasets.concepts import read_concepts
from dalle2.datasets.emoji import MORE_PACKAGES, PACKAGES
from dalle2.datasets.icons import join, rasterise, read_icon_set
from dalle2.datasets.packages import Package, fetch, read_package
from dalle2.datasets.phrases import styled
from dalle2.families import EMBEDDED, load
from dalle2.finetune.__main__ import main as finetune
from dalle2.light import Light
from dalle2.model import UnclipModel
from evaluation.emoji.emoji_set import EmojiSet, Pair, embed, read_emoji_set
from evaluation.metrics.bootstrap import mean_interval, paired_bootstrap
from evaluation.metrics.retrieval import found_caption, style_by_caption
from evaluation.networks.clip import Clip, ClipFeatures
from evaluation.networks.embedded import default_judge
from evaluation.reporting.sheets import grid

# Microsoft's "High Contrast" drawings, black alone: a set that nobody takes for one of the seven.
MONOCHROME = Package(
    "@iconify-json/fluent-emoji-high-contrast",
    "1.2.6",
    "sha512-esqhZPpkrF7sNX3NsLoh8KW64okEr/bzko7WNnFP+qTJGAqDPDYjp0925yxuivXy3HtVQB8xhIKu3+Nq1byX5w==",
    "high contrast",
)
SETS = {package.style: package for package in (*MORE_PACKAGES, MONOCHROME)}
TAUGHT, ASKED = 50, 30
SEEDS = (0, 1, 2)  # of each concept that is asked for
OLD = 120  # pairs, half of them unseen
SIDE, TOGETHER = 128, 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is missing in the folder, measure it, and print the two numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_style", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="of this measurement, new or to go on with")
    parser.add_argument("--data", type=Path, required=True, help="what python -m dalle2.datasets.emoji built")
    parser.add_argument("--set", choices=SETS, default="streamline", help="default: %(default)s")
    parser.add_argument("--packages", type=Path, help="a folder of the npm packages' tarballs; default: fetched")
    parser.add_argument("--old", type=int, default=OLD, help="old pairs that are drawn twice; default %(default)s")
    parser.add_argument("--weight", type=float, default=1.0, help="of the LoRA; another one has files of its own")
    parser.add_argument("--options", default="", help='of python -m dalle2.finetune, as "--minutes 10"')
    options = parser.parse_args(arguments)
    folder, emoji = options.folder, read_emoji_set(options.data)
    if not (folder / "asked.json").exists():
        _prepare(folder, options.set, emoji, options.packages)
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    if asked["style"] != options.set:
        parser.error(f"{folder} was begun with the set {asked['style']}: give --set {asked['style']}, or another DIR.")
    file = folder / "style.safetensors"
    if file.exists() and options.options:
        parser.error(f"{file} is taught already, with options of its own: leave out --options, or give another DIR.")
    if not file.exists():
        given = [str(folder / "train"), "--name", asked["style"], "--out", str(file), "--licence", asked["licence"]]
        given += ["--resume"] if file.with_suffix(".run").exists() else []
        if finetune([*given, *shlex.split(options.options)]):
            sys.exit(1)
    measured = _measure(folder, f"{file}={options.weight}", asked, emoji, options.old)
    with atomic.file(folder / f"result{_ending(options.weight)}.json") as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: row for name, row in measured.items() if name != "about"}, indent=2))


def _prepare(folder: Path, style: str, emoji: EmojiSet, tarballs: Path | None) -> None:
    """Draw the set's pictures of 50 and of 30 concepts; asked.json, which says which, comes last."""
    words, joined = PACKAGES[0], PACKAGES[1]  # whose icons tell by which names the set's find their concepts
    own = SETS[style]
    with tempfile.TemporaryDirectory() as scratch:
        place = tarballs or Path(scratch)
        if tarballs is None:
            fetch([words, joined, own], place)
        concepts = read_concepts(read_package(words, place))
        sets = [read_icon_set(str(package.style), read_package(package, place)) for package in (joined, own)]
    trained = {pair.concept for pair in emoji.train}
    drawn = [(code, name) for one, code, name in join(sets, concepts) if one is sets[1] and code in trained]
    drawn.sort(key=lambda row: hashlib.sha256(f"own style {row[0]}".encode()).digest())
    info = sets[1].info
    kept = {"style": style, "concepts": []}
    kept["licence"] = f"{info['name']} by {info['author']['name']}, {info['license']['title']}"
    for part, some in (("train", drawn[:TAUGHT]), ("asked", drawn[TAUGHT : TAUGHT + ASKED])):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for code, name in some:
            (folder / part / f"{code}.png").write_bytes(rasterise(sets[1].svg(name), 256).png)
            (folder / part / f"{code}.txt").write_text(concepts[code].label, encoding="utf-8")
            kept["concepts"].append({"part": part, "concept": code, "label": concepts[code].label})
    with atomic.file(folder / "asked.json") as partial:
        partial.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _ending(weight: float) -> str:
    return "" if weight == 1 else f"-{weight:g}"


def _measure(folder: Path, lora: str, asked: dict[str, Any], emoji: EmojiSet, many: int) -> dict[str, Any]:
    end = _ending(float(lora.rpartition("=")[2]))
    style, concepts = asked["style"], [row for row in asked["concepts"] if row["part"] == "asked"]
    prompts = [(row["concept"], styled(row["label"], style), seed) for row in concepts for seed in SEEDS]
    first = [row for row in prompts if row[2] == SEEDS[0]]
    old = _old_pairs(emoji, many)
    same = [(pair.id, pair.caption, seed) for seed, pair in enumerate(old)]
    opened: dict[str, UnclipModel] = {}
    for part, loras, wanted in (
        (f"drawn{end}", [lora], prompts),
        ("before", [], first),
        (f"old-with{end}", [lora], same),
        ("old-without", [], same),
    ):
        _check_made(folder / part, [Path(lora.rpartition("=")[0]) for lora in loras])
        _draw(folder / part, wanted, lambda key=str(bool(loras)), loras=loras: _model(opened, key, loras))
    network = ClipFeatures(default_judge())
    means = _means(folder, style, asked, emoji, network)
    drawn = _styles(folder / f"drawn{end}", prompts, means, network)
    before = _styles(folder / "before", first, means, network)
    real = _nearest(_features(folder / "asked", [f"{row['concept']}.png" for row in concepts], network), means)
    _lines(folder / f"pictures{end}.jsonl", prompts, drawn, list(means))
    place = list(means).index(style)
    right, was = (np.array([found == place for found in side], float) for side in (drawn, before))
    kept = _old(folder, end, same, old, emoji, network)
    _sheet(folder, end, concepts)
    share = {"share": right.mean(), "interval": mean_interval(right), "n": len(right), "bar": 0.7}
    share |= {"untaught": was.mean(), "real": float((real == place).mean())}
    return {"new_style": share, "old_pairs": kept, "about": {"set": asked["licence"], "style": style}}


def _model(opened: dict[str, UnclipModel], key: str, loras: list[str]) -> UnclipModel:
    if key not in opened:
        opened[key] = load(EMBEDDED, loras=loras)
    return opened[key]


def _check_made(folder: Path, loras: Sequence[Path]) -> None:
    """Write down by what a folder's pictures are drawn; SystemExit where those in it were drawn by something else."""
    by: dict[str, Any] = {"checkpoint_hash": Light("emoji").checkpoint_hash}
    by["loras"] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in loras]
    file = folder / "made-by.json"
    if not file.exists() and not any(folder.glob("*.png")):
        with atomic.file(file) as partial:
            partial.write_text(json.dumps(by, indent=1) + "\n", encoding="utf-8")
    elif not file.exists() or json.loads(file.read_text(encoding="utf-8")) != by:
        sys.exit(f"{folder} holds pictures of another or an unknown training: remove it, or give another DIR.")


def _draw(folder: Path, prompts: Sequence[tuple[str, str, int]], model: Any) -> None:
    """Draw what is missing, `TOGETHER` at a time, always in the same batches."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in tqdm(range(0, len(prompts), TOGETHER), desc=folder.name, unit="batch"):
        some = prompts[start : start + TOGETHER]
        files = [folder / f"{name}-{seed}.png" for name, _, seed in some]
        if all(file.exists() for file in files):
            continue
        pictures = model().text_to_image([said for _, said, _ in some], seeds=[one[2] for one in some], literal=True)
        for file, picture in zip(files, pictures, strict=True):
            images.save(picture, file, True)


def _old_pairs(emoji: EmojiSet, many: int) -> list[Pair]:
    """Return unseen pairs and as many seen ones, by their hashes."""
    unseen = [pair for pair in emoji.test if pair.held_out == "pair"]
    sides = (sorted(side, key=lambda pair: hashlib.sha256(pair.id.encode()).digest()) for side in (unseen, emoji.train))
    return [pair for side in sides for pair in side[: many // 2]]


def _means(
    folder: Path, style: str, asked: dict[str, Any], emoji: EmojiSet, network: ClipFeatures
) -> dict[str, np.ndarray]:
    """Return style -> the mean direction of real pictures of the concepts that taught, which all styles have alike."""
    taught = [row["concept"] for row in asked["concepts"] if row["part"] == "train"]
    pairs = [pair for pair in emoji.train if pair.concept in set(taught)]
    rows = _unit(embed(pairs, network, SIDE))
    found = {name: rows[[pair.style == name for pair in pairs]].mean(0) for name in emoji.styles}
    found[style] = _features(folder / "train", [f"{concept}.png" for concept in taught], network).mean(0)
    return {name: mean / np.linalg.norm(mean) for name, mean in found.items()}


def _styles(
    folder: Path, prompts: Sequence[tuple[str, str, int]], means: dict[str, np.ndarray], network: ClipFeatures
) -> list[int]:
    files = [f"{name}-{seed}.png" for name, _, seed in prompts]
    return _nearest(_features(folder, files, network), means).tolist()


def _nearest(features: np.ndarray, means: dict[str, np.ndarray]) -> np.ndarray:
    return (features @ np.stack(list(means.values())).T).argmax(1)


def _features(folder: Path, files: Sequence[str], network: ClipFeatures) -> np.ndarray:
    """Return unit vectors of pictures, each brought to the size that the checkpoint draws."""
    rows = []
    for start in range(0, len(files), 64):
        opened = [images.square(images.open_picture(folder / name), SIDE) for name in files[start : start + 64]]
        rows.append(network(torch.stack([network.preprocess(picture) for picture in opened])))
    return _unit(np.concatenate(rows))


def _old(
    folder: Path,
    end: str,
    same: Sequence[tuple[str, str, int]],
    old: Sequence[Pair],
    emoji: EmojiSet,
    network: ClipFeatures,
) -> dict[str, Any]:
    """Return how often the caption is found among 100, and the style, with what was taught and without."""
    clip = Clip(default_judge())
    captions = clip.embed_captions([pair.caption for pair in emoji.pairs], 256)
    places = {pair.id: place for place, pair in enumerate(emoji.pairs)}
    own = np.array([places[pair.id] for pair in old])
    table = clip.embed_captions([styled(pair.label, style) for pair in old for style in emoji.styles], 256)
    table = table.reshape(len(old), len(emoji.styles), -1)
    styles = np.array([emoji.styles.index(pair.style) for pair in old])
    found: dict[str, list[np.ndarray]] = {"caption among 100": [], "style": []}
    for part in (f"old-with{end}", "old-without"):
        features = _features(folder / part, [f"{name}-{seed}.png" for name, _, seed in same], network)
        found["caption among 100"].append(found_caption(features, captions, own).astype(float))
        found["style"].append((style_by_caption(features, table) == styles).astype(float))
    rows = {}
    for name, (taught, before) in found.items():
        difference = paired_bootstrap(taught, before)
        rows[name] = {"with": taught.mean(), "without": before.mean(), "difference": difference.mean}
        rows[name] |= {"interval": difference.interval, "n": len(taught), "bar": -0.03}
    return rows


def _lines(file: Path, prompts: Sequence[tuple[str, str, int]], found: Sequence[int], styles: Sequence[str]) -> None:
    rows = [
        {"concept": concept, "prompt": said, "seed": seed, "nearest": styles[place]}
        for (concept, said, seed), place in zip(prompts, found, strict=True)
    ]
    with atomic.file(file) as partial:
        partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _sheet(folder: Path, end: str, concepts: Sequence[dict[str, str]]) -> None:
    """Write rows of twelve concepts: as the set draws them, as they come out, and as they came out untaught."""
    chosen = [row["concept"] for row in concepts[:12]]
    rows = [[folder / "asked" / f"{concept}.png" for concept in chosen]]
    rows += [[folder / part / f"{concept}-{SEEDS[0]}.png" for concept in chosen] for part in (f"drawn{end}", "before")]
    pictures: list[Image.Image] = [images.square(images.open_picture(file), SIDE) for row in rows for file in row]
    grid(pictures, len(chosen)).save(folder / f"sheet{end}.webp", quality=80)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
