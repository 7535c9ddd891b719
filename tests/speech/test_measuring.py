"""How speech is measured: word errors, noise of a known level, and lists of which none was chosen by the other."""

import io
import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speech
from dalle2.speech.transcript import NotHeard, Transcript

DEVELOPMENT = speech.SENTENCES.with_name("speech-development.tsv")


def wav(samples: np.ndarray, rate: int = 22_050) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(samples).astype("<i2").tobytes())
    return content.getvalue()


def samples_of(content: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [("a red heart", "a red heart", 0), ("a red heart", "red hurt", 2), ("a cat", "", 2), ("a cat", "a black cat", 1)],
)
def test_word_errors_are_words_put_in_taken_out_or_changed(said: str, heard: str, errors: int) -> None:
    assert speech._errors(said.split(), heard.split()) == errors


def test_noise_is_ten_decibels_below_the_speech() -> None:
    tone = 8000 * np.sin(np.arange(22_050) / 7)
    noisy = samples_of(speech._with_noise(wav(tone), 1))
    scale = (noisy @ tone) / (tone @ tone)  # it may have been made quieter, to fit
    level = 10 * np.log10(np.mean((scale * tone) ** 2) / np.mean((noisy - scale * tone) ** 2))
    assert level == pytest.approx(speech.NOISE_DB, abs=0.2) and np.abs(noisy).max() < 2**15


def test_the_lists_are_whole_and_share_no_sentence_and_no_concept() -> None:
    test, development = speech._rows(speech.SENTENCES), speech._rows(DEVELOPMENT)
    assert len(test) == len({sentence for _, sentence, _ in test}) == 200
    for rows in (test, development):
        assert {kind for kind, _, _ in rows} == set(speech.KINDS)
        assert all((kind == "unknown") == (concept == "") for kind, _, concept in rows)
    asked = [{concept or sentence for _, sentence, concept in rows} for rows in (test, development)]
    assert not asked[0] & asked[1]


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed (Debian: apt install espeak-ng)")
def test_a_run_goes_on_where_it_stopped_and_tells_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = iter(["a pizza", None, "the weather is nice"])

    class Deaf:
        def recognise(self, samples: np.ndarray) -> Transcript:
            if (words := next(heard)) is None:
                raise NotHeard("No words were heard.")
            return Transcript(words, "a test")

    (tmp_path / "list.tsv").write_text("# a comment\ninside\ta pizza\tpizza\ninside\ta cat face\tcat face\n")
    monkeypatch.setattr(speech, "Sphinx", lambda *_: Deaf())
    given = [
        "--list",
        str(tmp_path / "list.tsv"),
        "--out",
        str(tmp_path / "o.jsonl"),
        "--voices",
        "1",
        "--noise",
        "none",
    ]
    speech.main(given)
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [(row["errors"], row["right"], row["typed"]) for row in rows] == [(0, True, True), (3, False, True)]
    assert "| inside | none | 2 | 60.0% | 50.0%" in capsys.readouterr().out
    speech.main(given)  # nothing is heard again
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 2


def test_what_another_recogniser_heard_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measured(kind: str, sentence: str, wanted: str, voice: str, noisy: bool, *_: object) -> dict[str, object]:
        asked.append(sentence)
        row = {"kind": kind, "sentence": sentence, "wanted": wanted, "voice": voice, "noisy": noisy}
        return row | {"words": 2, "errors": 0, "right": True, "typed": True, "seconds": 0.1}

    (tmp_path / "list.tsv").write_text("inside\ta pizza\tpizza\n")
    monkeypatch.setattr(speech, "check_reader", lambda: "")
    monkeypatch.setattr(speech, "_opened", lambda *_: None)
    monkeypatch.setattr(speech, "_measured", measured)
    given = ["--list", str(tmp_path / "list.tsv"), "--out", str(tmp_path / "o.jsonl"), "--voices", "1"]
    for settings in ("one", "one", "another"):
        monkeypatch.setattr(speech, "_by", lambda _, settings=settings: settings)
        speech.main([*given, "--noise", "none"])
    assert len(asked) == 2 and capsys.readouterr().out.count("| all | none | 1 |") == 3


def test_a_measurement_depends_on_the_recogniser_and_on_the_words_it_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "version", lambda _: "5.1.1")
    ours = speech._by(None)
    assert ours.startswith("pocketsphinx 5.1.1 ") and speech._by("models/whisper") != ours == speech._by(None)
    monkeypatch.setattr(speech.hashes, "of_file", lambda file: "changed" if file.name == "phrases.py" else "same")
    changed = speech._by(None)
    monkeypatch.setattr(speech.hashes, "of_file", lambda file: "same")
    assert changed != speech._by(None)
