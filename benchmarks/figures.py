"""python -m benchmarks.figures N --out DIR: a figure of the paper, 3 to 9, made anew on a checkpoint's own weights.

    python -m benchmarks.figures 8 --out runs/figures
    python -m benchmarks.figures 3 --picture cat.png --picture dog.png --out runs/figures
    python -m benchmarks.figures all --out runs/figures

The figures are those of Ramesh et al. 2022 (arXiv 2204.06125). Where the paper starts from a photograph, the checkpoint
draws a picture of its own, or `--picture` names others. Beside each figure-N.webp lies figure-N.json, with what is
measured of it: cosines in the checkpoint's own CLIP. `docs/figures.md` says what agrees with the paper.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn.functional import normalize

from dalle2 import atomic, images
from dalle2 import embeddings as maths
from dalle2.families import EMBEDDED, load
from dalle2.model import UnclipModel
from dalle2.tasks.dimensions import imagined
from evaluation.reporting.sheets import GAP, grid

PROMPTS = (
    "a cat face, twemoji style",
    "a strawberry, fluent flat style",
    "a house, noto style",
    "a rocket, openmoji style",
)
SEED = 5  # of the pictures that are drawn to start from
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # figure 4
# Figure 5: what a picture shows, and what it should show. The paper goes to 0.25 ... 0.5 of the way.
DIFFS = (
    ("a cat face, twemoji style", "a dog face, twemoji style"),
    ("a strawberry, fluent flat style", "a strawberry, openmoji style"),
    ("a house, noto style", "a castle, noto style"),
)
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
ATTACK = ("a red apple, noto style", "red apple", ("pizza", "dog face"))  # figure 6: drawn, meant, and written on it
AXES = (2, 5, 10, 20, 40, 80, 120, 192)  # figure 7, of which the paper has 20 to 320 of 1,024
IMAGINED = 256  # embeddings, whose axes they are
ROWS = ("a red heart", "a cat face", "a police car", "a slice of pizza", "a tree", "a violin")  # figures 8 and 9
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # figure 9
SIDE, LEFT, HEAD = 96, 118, 20  # pixels: of a picture, of a row's name, of a column's


@dataclass(frozen=True)
class Figure:
    """Rows of pictures with their names, the names of the columns, and what was measured."""

    columns: Sequence[str]
    rows: dict[str, list[Image.Image]] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    def sheet(self) -> Image.Image:
        """Return all of it on white."""
        pictures = [one.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for row in self.rows.values() for one in row]
        laid = grid(pictures, len(self.columns))
        sheet = Image.new("RGB", (LEFT + laid.width + GAP, HEAD + laid.height + GAP), "white")
        sheet.paste(laid, (LEFT, HEAD))
        pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
        for number, name in enumerate(self.columns):
            pen.text((LEFT + number * SIDE + SIDE / 2, HEAD / 2), name, "black", font, anchor="mm")
        for number, name in enumerate(self.rows):
            lines = "\n".join(_wrapped(name, font))
            pen.multiline_text((LEFT - 6, HEAD + number * SIDE + SIDE / 2), lines, "black", font, "rm", align="right")
        return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures and write them with what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("figure", choices=[*map(str, FIGURES), "all"], metavar="N", help="3 to 9, or all")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--checkpoint", default=EMBEDDED, help="default: the embedded one")
    own = "instead of those that the checkpoint draws, in figures 3, 4 and 7; may be repeated"
    parser.add_argument("--picture", action="append", type=Path, default=[], metavar="FILE", help=own)
    options = parser.parse_args(arguments)
    given = {file.stem: images.open_picture(file) for file in options.picture}
    if len(given) < len(options.picture):
        raise SystemExit("Two of the pictures have one name: rename one of them.")
    if len(given) == 1 and options.figure in ("4", "all"):
        parser.error("figure 4 leads from one picture to another: name two with --picture.")
    model = load(options.checkpoint)
    for number in FIGURES if options.figure == "all" else [int(options.figure)]:
        made = FIGURES[number](model, given or _drawn(model, PROMPTS))
        with atomic.file(options.out / f"figure-{number}.webp") as partial:
            made.sheet().save(partial, format="WEBP", quality=80)
        with atomic.file(options.out / f"figure-{number}.json") as partial:
            about = {"figure": number, "checkpoint_hash": model.checkpoint_hash, **made.measured}
            partial.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{options.out / f'figure-{number}.webp'}: {json.dumps(made.measured, ensure_ascii=False)}", flush=True)


def variations(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 3: each picture, and what is drawn from its embedding alone; how near each is to it, for CLIP."""
    figure = Figure(["input", *(f"seed {seed}" for seed in range(1, 7))])
    for name, picture in given.items():
        drawn = model.variations(picture, seeds=range(1, 7))
        figure.rows[name] = [images.square(picture, model.picture_size), *drawn]
        near = _cosines(model.embed_image(drawn), model.embed_image([picture]))
        figure.measured[name] = {"cosine to the input": _mean(near)}
    if len(given) > 1:
        figure.measured["between inputs"] = _mean(_between(model.embed_image(list(given.values()))))
    return figure


def interpolations(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 4: from one picture to the next, by three seeds of the decoder, each fixed along its row."""
    (first, start), (second, end), *_ = given.items()
    figure = Figure([f"{share:g}" for share in SHARES])
    for seed in (1, 2, 3):
        way = model.interpolate([start, end], seed=seed, frames=SHARES)
        figure.rows[f"{first} to {second}, seed {seed}"] = way
        seen = model.embed_image(way)
        to = [_cosines(seen, model.embed_image([one])) for one in (start, end)]
        figure.measured[f"seed {seed}"] = {"to the first": _rounded(to[0]), "to the second": _rounded(to[1])}
    return figure


def text_diffs(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 5: pictures turned toward the difference of two texts, from their own noise, as the paper does."""
    figure = Figure([f"{strength:g}" for strength in STRENGTHS])
    for old, new in DIFFS:
        (picture,) = model.text_to_image([old], seeds=[SEED], literal=True)
        how: dict[str, Any] = {"seed": SEED, "old": old, "strengths": STRENGTHS, "way": "slerp", "literal": True}
        drawn = model.text_diff(picture, new, **how)
        figure.rows[f"{old} to {new}"] = drawn
        texts = [_cosines(model.embed_image(drawn), model.embed_text([text])) for text in (old, new)]
        figure.measured[f"{old} to {new}"] = {"to the old": _rounded(texts[0]), "to the new": _rounded(texts[1])}
    return figure


def attacks(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 6: a picture with another thing's name on a label: what CLIP takes it for, and what is drawn from it."""
    prompt, meant, written = ATTACK
    (picture,) = model.text_to_image([prompt], seeds=[SEED], literal=True)
    figure = Figure(["input", *(f"seed {seed}" for seed in range(1, 7))])
    texts = model.embed_text([meant, *written])
    labelled = {f"{meant}, “{word}”": _labelled(picture, word) for word in written}
    for name, shown in {meant: picture, **labelled}.items():
        figure.rows[name] = [shown, *model.variations(shown, seeds=range(1, 7))]
        near = _rounded(_cosines(texts, model.embed_image([shown])))
        figure.measured[name] = dict(zip([meant, *written], near, strict=True))
    return figure


def dimensions(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 7: pictures from more and more principal axes of their embedding, all from one noise.

    The axes are those of what the prior imagines without a word, as in the task `dimensions`.
    """
    once = None if model.settings.prior is None else model.settings.changed({"prior": {"candidates": 1}})
    mean, axes = maths.principal_axes(imagined(model, once, None, IMAGINED))
    counts = [count for count in AXES if count <= len(axes)]
    figure = Figure([f"{count} axes" for count in counts] + ["input"])
    for name, picture in given.items():
        embedding = model.embed_image([picture])
        points = torch.stack([maths.project(embedding[0], mean, axes[:count]) for count in counts])
        drawn = model.decode(points, [1] * len(counts))
        figure.rows[name] = [*drawn, images.square(picture, model.picture_size)]
        figure.measured[name] = _rounded(_cosines(model.embed_image(drawn), embedding))
    return figure


def conditions(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 8: the same decoder and noise, told less and more: the words, their embedding, what each prior makes."""
    prompts = [model.understand(prompt).asked for prompt in ROWS]
    figure, texts = Figure(ROWS), model.embed_text(prompts)
    rows = {"words alone": _nothing(model, texts), "words and their text embedding": texts}
    for kind in model.priors:
        chosen = model.settings.changed({"prior": {"kind": kind}})
        rows[f"words and {kind} prior"] = model.embed_prompt(prompts, [SEED] * len(prompts), chosen)
    for name, embeddings in rows.items():
        figure.rows[name] = model.decode(embeddings, [SEED] * len(prompts), prompts)
        near = (normalize(model.embed_image(figure.rows[name]), dim=-1) * normalize(texts, dim=-1)).sum(-1)
        figure.measured[name] = {"cosine of pictures and prompts": _mean(near)}
    return figure


def guidance(model: UnclipModel, given: dict[str, Image.Image]) -> Figure:
    """Figure 9: one embedding and one noise each, under more and more guidance of the decoder; GLIDE is not here."""
    figure = Figure([f"{scale:g}" for scale in SCALES])
    prompts = [model.understand(prompt).asked for prompt in ROWS[:4]]
    embeddings, texts = model.embed_prompt(prompts, [SEED] * len(prompts)), model.embed_text(prompts)
    drawn = {scale: _guided(model, embeddings, prompts, scale) for scale in SCALES}
    for number, prompt in enumerate(ROWS[: len(prompts)]):
        figure.rows[prompt] = [pictures[number] for pictures in drawn.values()]
    for scale, pictures in drawn.items():
        near = (normalize(model.embed_image(pictures), dim=-1) * normalize(texts, dim=-1)).sum(-1)
        others = _guided(model, embeddings[:1].expand(6, -1), prompts[:1] * 6, scale)
        alike = _mean(_between(model.embed_image(others)))
        figure.measured[f"{scale:g}"] = {"cosine to the prompts": _mean(near), "between six seeds of one": alike}
    return figure


FIGURES: dict[int, Callable[[UnclipModel, dict[str, Image.Image]], Figure]] = {
    3: variations,
    4: interpolations,
    5: text_diffs,
    6: attacks,
    7: dimensions,
    8: conditions,
    9: guidance,
}


def _drawn(model: UnclipModel, prompts: Sequence[str]) -> dict[str, Image.Image]:
    drawn = model.text_to_image(prompts, seeds=[SEED] * len(prompts))
    return {prompt.partition(",")[0]: picture for prompt, picture in zip(prompts, drawn, strict=True)}


def _guided(model: UnclipModel, embeddings: torch.Tensor, prompts: list[str], scale: float) -> list[Image.Image]:
    """Decode under this guidance; each row from a seed of its own."""
    return model.decode(embeddings, range(1, len(prompts) + 1), prompts, model.settings.with_guidance(scale))


def _nothing(model: UnclipModel, rows: torch.Tensor) -> torch.Tensor:
    """Return the embedding that says nothing: what the decoder learnt for that, or zeros, which the paper takes."""
    project = getattr(getattr(model, "parts", None), "text_proj", None)
    learnt = getattr(project, "learned_classifier_free_guidance_embeddings", None)
    return torch.zeros_like(rows) if learnt is None else learnt.detach().float().cpu().expand_as(rows)


def _labelled(picture: Image.Image, word: str) -> Image.Image:
    """Return the picture with a white label on it, as the paper's apple has."""
    shown = picture.copy()
    pen, side = ImageDraw.Draw(shown), picture.width
    font = ImageFont.load_default(side * 0.16)
    box = pen.textbbox((side / 2, side * 0.58), word, font, anchor="mm")
    edge = side * 0.04
    pen.rectangle((box[0] - edge, box[1] - edge, box[2] + edge, box[3] + edge), "white", "grey")
    pen.text((side / 2, side * 0.58), word, "black", font, anchor="mm")
    return shown


def _wrapped(text: str, font: Any) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= LEFT - 10:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def _cosines(rows: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    return normalize(rows, dim=-1) @ normalize(one, dim=-1)[0]


def _between(rows: torch.Tensor) -> torch.Tensor:
    """Return the cosines of all pairs of rows."""
    table = normalize(rows, dim=-1) @ normalize(rows, dim=-1).T
    return table[torch.triu(torch.ones_like(table), 1) > 0]


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def _mean(values: torch.Tensor) -> float:
    return round(values.mean().item(), 3)


if __name__ == "__main__":
    main()
