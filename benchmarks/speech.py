"""How well a spoken prompt is heard, and what is drawn for it: espeak-ng speaks, the checkpoint's recogniser listens.

    python -m benchmarks.speech [--sentences 200] [--out speech.json]

Each sentence of speech.tsv is spoken by one of five voices in turn, clean and with noise at 10 dB. A row is right when
what was heard is taken for the concept of the sentence as it would have been typed; a sentence of which the checkpoint
"""

import argparse
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dalle2 import atomic
from dalle2.speech.heard import NotHeard
from dalle2.speech.reading import check_reader
from dalle2.speech.recording import read_recording
from dalle2.speech.sphinx import Sphinx
from dalle2.understanding.interpreter import Interpreter

SENTENCES = Path(__file__).with_name("speech.tsv")
CHECKPOINT = Path(__file__).parents[1] / "dalle2/checkpoints/emoji"
VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb-x-rp+m3", "en-us+m5")
NOISE_DB = 10
KINDS = ("inside", "outside", "fillers", "unknown")


def main(arguments: Sequence[str] | None = None) -> None:
    """Speak, hear, understand, and print a table; the rows go into a JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sentences", type=int, default=200, help="how many, evenly from the whole list; default all")
    parser.add_argument("--out", type=Path, default=Path("speech.json"))
    options = parser.parse_args(arguments)
    check_reader()
    rows = _rows(options.sentences)
    interpreter = Interpreter.of(CHECKPOINT, _styles())
    if interpreter is None:
        raise SystemExit("The embedded checkpoint has no vocabulary.")
    begun = time.perf_counter()
    sphinx = Sphinx(interpreter.vocabulary, _styles())
    print(f"The recogniser was ready after {time.perf_counter() - begun:.1f} s.")
    found = [_measured(*row, noisy, sphinx, interpreter) for noisy in (False, True) for row in rows]
    with atomic.file(options.out, overwrite=True) as partial:
        partial.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    _print(found)


def _rows(count: int) -> list[tuple[int, str, str]]:
    lines = [line.split("\t") for line in SENTENCES.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    chosen = sorted({round(place) for place in np.linspace(0, len(lines) - 1, min(count, len(lines)))})
    return [(number, lines[number][0], lines[number][1]) for number in chosen]


def _styles() -> tuple[str, ...]:
    from dalle2.datasets.phrases import Phrases

    phrases = Phrases.read(CHECKPOINT)
    return phrases.styles if phrases else ()


def _measured(
    number: int, kind: str, sentence: str, noisy: bool, sphinx: Sphinx, interpreter: Interpreter
) -> dict[str, Any]:
    spoken = _spoken(sentence, VOICES[number % len(VOICES)])
    samples = _with_noise(spoken, number) if noisy else spoken
    begun = time.perf_counter()
    try:
        heard = sphinx.recognise(samples).words
    except NotHeard:
        heard = ""
    seconds = time.perf_counter() - begun
    wanted = _concept(sentence, interpreter)
    said, got = _words(sentence), _words(heard)
    return {
        **{"kind": kind, "noisy": noisy, "sentence": sentence, "heard": heard, "words": len(said)},
        **{"errors": _errors(said, got), "right": _concept(heard, interpreter) == wanted, "wanted": wanted},
        "seconds": round(seconds, 3),
    }


def _concept(text: str, interpreter: Interpreter) -> str:
    """Return the label of what is drawn for a text; "" where nothing is."""
    concept = interpreter.understand(text).concept if text else None
    return concept.label if concept else ""


def _spoken(sentence: str, voice: str) -> np.ndarray:
    command = [check_reader(), "-v", voice, "-s", "150", "--stdout", sentence]
    return read_recording(subprocess.run(command, capture_output=True, check=True).stdout)


def _with_noise(samples: np.ndarray, seed: int) -> np.ndarray:
    """Return the samples with white noise, of which the speech has ten times the power."""
    power = np.mean(samples.astype(np.float64) ** 2) / 10 ** (NOISE_DB / 10)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(power), len(samples))
    return np.clip(samples + noise, -(2**15), 2**15 - 1).astype(np.int16)


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[\w']+", text.casefold()) if word not in ("um", "uh", "hmm")]


def _errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words must be put in, taken out or changed."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        before, row[0] = row[:], place
        for column, other in enumerate(heard, 1):
            row[column] = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (word != other))
    return row[-1]


def _print(found: Sequence[dict[str, Any]]) -> None:
    print("| phrasing | noise | sentences | word error rate | right concept | seconds |\n|---|---|---|---|---|---|")
    for noisy in (False, True):
        for kind in (*KINDS, "all"):
            rows = [row for row in found if row["noisy"] is noisy and kind in (row["kind"], "all")]
            if not rows:
                continue
            rate = sum(row["errors"] for row in rows) / sum(row["words"] for row in rows)
            right = sum(row["right"] for row in rows) / len(rows)
            taken = sorted(row["seconds"] for row in rows)[len(rows) // 2]
            said = f"{NOISE_DB} dB" if noisy else "none"
            print(f"| {kind} | {said} | {len(rows)} | {rate:.1%} | {right:.1%} | {taken:.2f} |")


if __name__ == "__main__":
    main()
