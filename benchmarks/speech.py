"""python -m benchmarks.speech: how well spoken prompts are heard, and what would be drawn.

    python -m benchmarks.speech --out speech.jsonl
    python -m benchmarks.speech --list benchmarks/speech-development.tsv --voices 2 --out development.jsonl
    python -m benchmarks.speech --recogniser openai/whisper-base.en --out whisper.jsonl

Every sentence of speech.tsv is spoken by espeak-ng in five voices, in rounds, clean and with white noise at 10 dB. A
row is right when the concept that would be drawn for what was heard, or for what a speech model's words sound like
(`Mending`), is the one that the list names, or when nothing would be drawn of a sentence for which it names none. Word
errors are those of what was heard. "As typed" is the same of the written sentence, which nobody can hear better. Rows
that are in the file already, of the same recogniser and the same code, are not measured again. Nothing was chosen by
this list: the development list is for that.
"""

import argparse
import io
import json
import re
import subprocess
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import dalle2.speech
import dalle2.understanding
from dalle2 import hashes
from dalle2.speech.mending import Mending
from dalle2.speech.reading import check_reader
from dalle2.speech.recording import read_recording
from dalle2.speech.sphinx import NAME, Sphinx
from dalle2.speech.transcript import NotHeard, Recogniser
from dalle2.understanding.interpreter import Interpreter
from dalle2.understanding.vocabulary import VECTORS, WORDS

SENTENCES = Path(__file__).with_name("speech.tsv")
CHECKPOINT = Path(__file__).parents[1] / "dalle2/checkpoints/emoji"
VOICES = ("en-us", "en-us+f3", "en-gb", "en-gb-x-rp+m3", "en-us+m5")
NOISE_DB = 10
KINDS = ("inside", "outside", "fillers", "unknown")
Hear = Callable[[np.ndarray], tuple[str, str]]  # samples -> what was heard, and what that is taken for
FILLERS = ("um", "uh", "hmm")  # which are not counted among the words


def main(arguments: Sequence[str] | None = None) -> None:
    """Speak, hear and understand what is missing, a row at a time; then print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--list", type=Path, default=SENTENCES, metavar="FILE.tsv", help="default: speech.tsv")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th sentence; default: all")
    said = "in how many of the voices each sentence is spoken, which take turns; default all: %(default)s"
    parser.add_argument("--voices", type=int, default=len(VOICES), choices=range(1, len(VOICES) + 1), help=said)
    parser.add_argument("--noise", choices=("none", "10dB", "both"), default="both", help="default: %(default)s")
    parser.add_argument("--recogniser", metavar="FOLDER_OR_ID", help="a speech model; default: pocketsphinx")
    parser.add_argument("--out", type=Path, default=Path("speech.jsonl"), help="a line a row; default %(default)s")
    options = parser.parse_args(arguments)
    check_reader()
    interpreter = Interpreter.of(CHECKPOINT, _styles())
    if interpreter is None:
        raise SystemExit("The embedded checkpoint has no vocabulary.")
    begun = time.perf_counter()
    mending = Mending.of(interpreter, _styles()) if options.recogniser else None  # as the command line and the page do
    hear = _hearing(_opened(options.recogniser, interpreter), mending)
    by = _by(options.recogniser)
    print(f"The recogniser was ready after {time.perf_counter() - begun:.1f} s.")
    noisy = {"none": (False,), "10dB": (True,), "both": (False, True)}[options.noise]
    rows, turns = _rows(options.list)[:: max(options.every, 1)], range(options.voices)
    # In rounds: after each of them all sentences and all voices have been heard equally often.
    wanted = [
        (*row, VOICES[(number + turn) % len(VOICES)], loud)
        for turn in turns
        for number, row in enumerate(rows)
        for loud in noisy
    ]
    done = {_key(row) for row in _read(options.out)}
    with options.out.open("a", encoding="utf-8") as file:
        for row in wanted:
            if (*row, by) not in done:
                found = _measured(*row, hear, interpreter) | {"by": by}
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
                file.flush()
    said = {(*row, by) for row in wanted}
    _print([row for row in _read(options.out) if _key(row) in said])


def _opened(source: str | None, interpreter: Interpreter) -> Recogniser:
    if source is None:
        return Sphinx(interpreter.vocabulary, _styles())
    from dalle2.speech.whisper import Whisper

    return Whisper(source)


def _by(source: str | None) -> str:
    """Return what a row's result depends on: the recogniser's name, and a hash of what hears and understands.

    Settings of the recogniser, its words and the phrases that it expects are all source and tables of these packages.
    """
    folders = [Path(package.__path__[0]) for package in (dalle2.speech, dalle2.understanding)]
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.suffix in (".py", ".tsv")]
    files += [CHECKPOINT / WORDS, CHECKPOINT / VECTORS, Path(__file__)]
    name = source or f"{NAME} {version(NAME)}"
    return f"{name} {hashes.of_files({file.name: hashes.of_file(file) for file in files})[:16]}"


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells one measurement from another; rows of former runs do not say by what they were heard."""
    return tuple(row.get(name, "") for name in ("kind", "sentence", "wanted", "voice", "noisy", "by"))


def _rows(file: Path) -> list[tuple[str, str, str]]:
    """Return kind, sentence and concept of each line, "" for a sentence that asks for nothing known."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return [(kind, sentence, concept) for kind, sentence, concept in (line.split("\t") for line in lines)]


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, but for a last line that was not written whole, which is cut off."""
    if not file.exists():
        return
    whole = file.read_bytes()
    if not whole.endswith(b"\n"):
        whole = whole[: whole.rfind(b"\n") + 1]
        file.write_bytes(whole)
    yield from map(json.loads, whole.decode().splitlines())


def _styles() -> tuple[str, ...]:
    from dalle2.datasets.phrases import Phrases

    phrases = Phrases.read(CHECKPOINT)
    return phrases.styles if phrases else ()


def _hearing(recogniser: Recogniser, mending: Mending | None) -> Hear:
    def hear(samples: np.ndarray) -> tuple[str, str]:
        try:
            heard = recogniser.recognise(samples).words
        except NotHeard:
            return "", ""
        return heard, heard if mending is None else mending.mended(heard)

    return hear


def _measured(
    kind: str, sentence: str, wanted: str, voice: str, noisy: bool, hear: Hear, interpreter: Interpreter
) -> dict[str, Any]:
    spoken = _spoken(sentence, voice)
    samples = read_recording(_with_noise(spoken, sum(map(ord, sentence + voice))) if noisy else spoken)
    begun = time.process_time()
    heard, taken = hear(samples)
    seconds = time.process_time() - begun
    said, got = _words(sentence), _words(heard)
    # The list says "ladybug", of which the checkpoint's own name is another one.
    typed, drawn, label = (_concept(text, interpreter) for text in (sentence, taken, wanted))
    return {
        **{"kind": kind, "voice": voice, "noisy": noisy, "sentence": sentence, "heard": heard, "taken": taken},
        **{"wanted": wanted, "words": len(said), "errors": _errors(said, got), "drawn": drawn, "right": drawn == label},
        **{"typed": typed == label, "seconds": round(seconds, 3)},
    }


def _concept(text: str, interpreter: Interpreter) -> str:
    """Return the label of what is drawn for a text; "" where nothing is."""
    found = interpreter.understand(text) if text else None
    return found.concept.label if found is not None and found.known and found.concept else ""


def _spoken(sentence: str, voice: str) -> bytes:
    """Return a WAV file."""
    command = [check_reader(), "-v", voice, "-s", "150", "--stdout", sentence]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _with_noise(spoken: bytes, seed: int) -> bytes:
    """Return the recording with white noise, of which the speech has ten times the power."""
    with wave.open(io.BytesIO(spoken)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
    power = np.mean(samples**2) / 10 ** (NOISE_DB / 10)
    noisy = samples + np.random.default_rng(seed).normal(0, np.sqrt(power), len(samples))
    noisy *= min(1.0, (2**15 - 1) / np.abs(noisy).max())  # no microphone's gain cuts it off
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(noisy).astype("<i2").tobytes())
    return content.getvalue()


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[\w']+", text.casefold()) if word not in FILLERS]


def _errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words must be put in, taken out or changed."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(said, 1):
        before, row[0] = row[:], place
        for column, other in enumerate(heard, 1):
            row[column] = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (word != other))
    return row[-1]


def _print(found: Sequence[dict[str, Any]]) -> None:
    from evaluation.metrics.bootstrap import mean_interval

    print("| phrasing | noise | rows | word error rate | right concept | as typed | seconds |\n|" + "---|" * 7)
    for noisy in sorted({row["noisy"] for row in found}):
        for kind in (*KINDS, *VOICES, "all"):
            rows = [row for row in found if row["noisy"] is noisy and kind in (row["kind"], row["voice"], "all")]
            if not rows:
                continue
            rate = sum(row["errors"] for row in rows) / sum(row["words"] for row in rows)
            right, typed = (np.array([row[key] for row in rows], float) for key in ("right", "typed"))
            # What one sentence was heard as in several voices is alike: sentences are what varies by chance.
            sentences: dict[str, list[bool]] = {}
            for row in rows:
                sentences.setdefault(row["sentence"], []).append(row["right"])
            shares = np.array([np.mean(each) for each in sentences.values()])
            low, high = mean_interval(shares) if len(shares) > 1 else (0.0, 1.0)
            taken = sorted(row["seconds"] for row in rows)[len(rows) // 2]
            share = f"{right.mean():.1%} ({low:.1%} … {high:.1%})"
            said = f"{NOISE_DB} dB" if noisy else "none"
            print(f"| {kind} | {said} | {len(rows)} | {rate:.1%} | {share} | {typed.mean():.1%} | {taken:.2f} |")


if __name__ == "__main__":
    main()
