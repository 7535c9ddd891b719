"""python -m benchmarks.known_answers: the known-answer set of `evaluation.selftest`, made without our measures.

Every value comes from a closed form, or from an implementation that shares no code with `evaluation`: plain loops over
the definition, scipy's matrix square root, scikit-image, transformers run in float64. Run it after the embedded judge
was trained anew; the pictures and the features stay as they are.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from PIL import Image, ImageDraw
from scipy.stats import binom
from skimage.metrics import structural_similarity
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from evaluation.networks.clip import weights_hash
from evaluation.networks.embedded import CHECKPOINTS, default_judge

FOLDER = Path(__file__).parent.parent / "evaluation" / "measuring" / "known_answers"
SIDE, COUNT, DIM = 32, 30, 8
PROJECTIONS = 1000
SIDES = ("drawn", "real")

Answer = dict[str, object]


def main() -> None:
    """Write the pictures and features where there are none, and the answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not (FOLDER / "pictures.zip").exists():
        (FOLDER / "pictures.zip").write_bytes(drawn_pictures())
    if not (FOLDER / "features.npz").exists():
        features: dict[str, Any] = dict(drawn_features())
        np.savez(FOLDER / "features.npz", **features)
    known = list(answers())
    (FOLDER / "answers.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for answer in known:
        print(f"{answer['check']:<40} {answer['value']}")


def drawn_pictures() -> bytes:
    """Return a zip of 2 × 30 pictures: a shape on a ground, of other sizes on either side."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, side in enumerate(SIDES):
            rng = np.random.default_rng(number)
            for index in range(COUNT):
                ground, colour = (tuple(int(level) for level in rng.integers(0, 256, 3)) for _ in range(2))
                picture = Image.new("RGB", (SIDE, SIDE), ground)
                centre, radius = rng.uniform(10, 22, 2), rng.uniform(4, 10 + 3 * number)
                box = (*(centre - radius), *(centre + radius))
                pen = ImageDraw.Draw(picture)
                (pen.ellipse if index % 2 else pen.rectangle)(box, fill=colour)
                png = io.BytesIO()
                picture.save(png, "PNG")
                archive.writestr(f"{side}/{index:02d}.png", png.getvalue())
    return file.getvalue()


def drawn_features() -> dict[str, np.ndarray]:
    """Return 2 × 30 rows of 8 correlated features, and logits of 30 pictures for 5 classes."""
    rng = np.random.default_rng(7)
    mixing = rng.normal(size=(DIM, DIM))
    drawn = rng.normal(size=(COUNT, DIM)) @ mixing + 0.4
    real = rng.normal(size=(COUNT, DIM)) @ mixing * 1.2
    return {
        "drawn": drawn.astype(np.float32),
        "real": real.astype(np.float32),
        "logits": rng.normal(scale=2, size=(COUNT, 5)).astype(np.float32),
    }


def answers() -> Iterator[Answer]:
    """Yield what is known: the check's key, its words, the value, the digits that must agree, and where it is from."""
    with np.load(FOLDER / "features.npz") as file:
        drawn, real, logits = (file[name].astype(np.float64) for name in ("drawn", "real", "logits"))
    yield from _of_features(drawn, real, logits)
    yield from _of_resizing()
    yield from _of_likeness()
    yield from _of_tests()
    yield from _of_the_judge()
    for key, words in (("inception_fid", "FID, published Inception"), ("inception_mind", "MIND, published Inception")):
        yield _answer(key, words, None, 3, "nobody yet: run it where the published weights are")


def _answer(key: str, words: str, value: float | None, digits: int, source: str, **more: object) -> Answer:
    return {"key": key, "check": words, "value": value, "digits": digits, "source": source, **more}


def _of_features(drawn: np.ndarray, real: np.ndarray, logits: np.ndarray) -> Iterator[Answer]:
    yield _answer("frechet_closed", "Fréchet distance of Gaussians", 7.0, 6, "closed form")
    yield _answer("frechet", "Fréchet distance", frechet(drawn, real), 6, "scipy.linalg.sqrtm")
    yield _answer("kid", "kernel distance (KID)", kernel(drawn, real, lambda x, y: (x @ y / DIM + 1) ** 3), 6, "loops")
    yield _answer("cmmd", "CMMD", cmmd(drawn, real), 6, "loops")
    yield _answer("mind", "MIND, seed 0", mind(drawn, real), 5, "a direction at a time, in float64")
    yield _answer("mind_shift", "MIND of a shift", mind(drawn, drawn + 0.5), 5, "its share in each direction")
    for key, value in zip(("precision", "recall", "density", "coverage"), manifold(drawn, real), strict=True):
        yield _answer(key, key, value, 6, "loops over balls")
    yield _answer("inception_score", "Inception score, seed 0", inception_score(logits), 6, "loops over parts")


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the formula of Dowson and Landau by the square root of the product."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root))


def kernel(x: np.ndarray, y: np.ndarray, of: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """Return the unbiased squared maximum mean discrepancy, a pair at a time."""

    def within(rows: np.ndarray) -> float:
        values = [of(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return math.fsum(values) / len(values)

    return within(x) + within(y) - 2 * math.fsum(of(a, b) for a in x for b in y) / (len(x) * len(y))


def cmmd(x: np.ndarray, y: np.ndarray) -> float:
    """Return 1000 times the biased discrepancy of unit vectors, Gaussian kernel of width 10."""
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return math.fsum(math.exp(-np.square(one - other).sum() / 200) for one in a for other in b) / len(a) / len(b)

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


def mind(x: np.ndarray, y: np.ndarray) -> float:
    """Return the sliced distance over the directions that torch draws of seed 0."""
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for direction in torch.randn(PROJECTIONS, x.shape[1], generator=generator).double().numpy():
        unit = direction / math.sqrt(direction @ direction)
        total += np.square(np.sort(x @ unit) - np.sort(y @ unit)).mean()
    return 3 * x.shape[1] * total / PROJECTIONS


def manifold(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Return precision, recall (3 neighbours), density and coverage (5), by sorted distances."""

    def radius(rows: np.ndarray, k: int) -> list[float]:
        return [sorted(float(np.linalg.norm(a - b)) for b in rows)[k] for a in rows]

    three_x, three_y, five_y = radius(x, 3), radius(y, 3), radius(y, 5)
    apart = [[float(np.linalg.norm(a - b)) for b in y] for a in x]
    precision = np.mean([any(d <= r for d, r in zip(row, three_y, strict=True)) for row in apart])
    recall = np.mean([any(apart[i][j] <= three_x[i] for i in range(len(x))) for j in range(len(y))])
    density = sum(d < r for row in apart for d, r in zip(row, five_y, strict=True)) / 5 / len(x)
    coverage = np.mean([any(apart[i][j] < five_y[j] for i in range(len(x))) for j in range(len(y))])
    return float(precision), float(recall), density, float(coverage)


def inception_score(logits: np.ndarray) -> float:
    """Return the mean over ten parts of seed 0."""
    scores = []
    for part in np.array_split(np.random.default_rng(0).permutation(len(logits)), 10):
        shares = np.exp(logits[part]) / np.exp(logits[part]).sum(1, keepdims=True)
        marginal = shares.mean(0)
        scores.append(math.exp(np.mean([(p * np.log(p / marginal)).sum() for p in shares])))
    return float(np.mean(scores))


def _of_resizing() -> Iterator[Answer]:
    levels = np.asarray(pictures("drawn")[1], dtype=np.float64)
    for key, resize in (("clean", _bicubic), ("legacy-tf", _bilinear_tf), ("legacy-torch", _bilinear_torch)):
        weights = resize(SIDE, 299)
        found = np.einsum("ij,jkc,lk->ilc", weights, levels, weights)
        found = found.clip(0, 255) if key == "clean" else found
        yield _answer(f"resize_{key}", f"resize {key}: edges of a picture", _edges(found), 4, "numpy matrices")


def _edges(levels: np.ndarray) -> float:
    """Return the root mean square of second differences along rows: what another resize, or rounding, changes."""
    return float(np.sqrt(np.square(np.diff(levels, n=2, axis=1)).mean()))


def _bicubic(source: int, target: int) -> np.ndarray:
    """Return Keys' kernel (a = -1/2) as a matrix (target, source), renormalised at the borders."""
    weights = np.zeros((target, source))
    for i in range(target):
        centre = (i + 0.5) * source / target - 0.5
        for j in range(max(0, math.floor(centre) - 1), min(source, math.floor(centre) + 3)):
            x = abs(j - centre)
            near = 1.5 * x**3 - 2.5 * x**2 + 1
            weights[i, j] = near if x < 1 else max(0, 2 - x) and -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return weights / weights.sum(1, keepdims=True)


def _bilinear_tf(source: int, target: int) -> np.ndarray:
    return _between([i * source / target for i in range(target)], source)


def _bilinear_torch(source: int, target: int) -> np.ndarray:
    return _between([max(0.0, (i + 0.5) * source / target - 0.5) for i in range(target)], source)


def _between(places: list[float], source: int) -> np.ndarray:
    weights = np.zeros((len(places), source))
    for i, place in enumerate(places):
        low = math.floor(place)
        weights[i, low] += 1 - (place - low)
        weights[i, min(low + 1, source - 1)] += place - low
    return weights


def _of_likeness() -> Iterator[Answer]:
    yield _answer("psnr", "PSNR of levels 5 apart", 10 * math.log10(255**2 / 25), 6, "closed form")
    c1 = (0.01 * 255) ** 2
    flat = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    yield _answer("ssim_flat", "SSIM of two flat pictures", flat, 6, "closed form")
    a, b = (np.asarray(pictures("real")[index], dtype=np.float64) for index in (1, 3))
    options = {"data_range": 255, "channel_axis": 2, "gaussian_weights": True, "sigma": 1.5}
    found = structural_similarity(a, b, use_sample_covariance=False, full=True, **options)[1]
    yield _answer(
        "ssim",
        "SSIM of two pictures",
        float(found[5:-5, 5:-5].mean()),
        5,
        "scikit-image, five pixels of border left out",
    )


def _of_tests() -> Iterator[Answer]:
    yield _answer("sign_test", "p of 8 wins and 2 losses", float(2 * binom.cdf(2, 10, 0.5)), 6, "closed form")
    yield _answer("holm", "Holm's correction", 0.06, 6, "closed form")
    values = np.arange(10.0)
    yield _answer("jackknife", "jackknife error of a mean", float(values.std(ddof=1) / 10**0.5), 6, "closed form")


@torch.inference_mode()
def _of_the_judge() -> Iterator[Answer]:
    folder = CHECKPOINTS / default_judge()
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder, subfolder="image_encoder")
    sha256 = weights_hash(encoder.float())
    processor = CLIPImageProcessorPil.from_pretrained(folder, subfolder="feature_extractor")
    drawn, real = (
        encoder.double()(processor(pictures(side), return_tensors="pt").pixel_values.double()).image_embeds.numpy()
        for side in SIDES
    )
    source = "transformers in float64, scipy.linalg.sqrtm"
    dim = drawn.shape[1]
    yield _answer("judge_frechet", "Fréchet distance, embedded judge", frechet(drawn, real), 3, source, weights=sha256)
    kid = kernel(drawn, real, lambda x, y: (x @ y / dim + 1) ** 3)
    yield _answer("judge_kid", "kernel distance, embedded judge", kid, 3, "transformers in float64", weights=sha256)
    yield _answer("judge_mind", "MIND, embedded judge", mind(drawn, real), 3, "transformers in float64", weights=sha256)


def pictures(side: str) -> list[Image.Image]:
    """Return the stored pictures of a side, in order."""
    with zipfile.ZipFile(FOLDER / "pictures.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(side))
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


if __name__ == "__main__":
    main()
