"""What comes out badly is said beforehand, by what was measured with the same weights."""

import json
import logging
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from letters import Letters

from dalle2 import images
from dalle2.families import load
from dalle2.tasks.text_to_image import TextToImage
from dalle2.understanding.interpreter import Interpreter
from dalle2.understanding.recognition import BADLY, FILE, WELL, Recognition
from dalle2.understanding.sentences import sentence
from dalle2.understanding.vocabulary import Vocabulary
from evaluation import recognition
from evaluation.drawing import recognition as drawing
from evaluation.drawing.recognition import recognised

WORDS = [("1f408", "cat", "猫"), ("1f415", "dog", "狗"), ("1f43a", "dog wolf", "狼")]
RATES = {"1f408": 0.9, "1f415": 0.1, "1f43a": 0.8}


@pytest.fixture
def vocabulary() -> Vocabulary:
    def captions(label: str, chinese: str) -> list[dict]:
        return [{"language": "en", "label": label, "tags": []}, {"language": "zh", "label": chinese, "tags": []}]

    return Vocabulary.of([{"concept": code, "captions": captions(*said)} for code, *said in WORDS], Letters())


def test_what_comes_out_badly_is_said_beforehand_with_what_comes_out_better(vocabulary: Vocabulary) -> None:
    known = Recognition("a1", "judge", 2, RATES)
    interpreter = Interpreter(vocabulary, ["noto"], Letters, recognition=known)
    found = interpreter.understand("dog")
    assert found.rarely_drawn_well and found.verbatim
    assert found.alternatives[0].label == "dog wolf"
    assert sentence(found).startswith("dog: this checkpoint rarely draws it well; rather: dog wolf")
    assert sentence(found, "zh").startswith("“狗”：这个模型很少画得好；不如画：狼")
    assert not interpreter.understand("cat").rarely_drawn_well
    assert not Interpreter(vocabulary, ["noto"], Letters).understand("dog").rarely_drawn_well
    assert {interpreter.surprise(random.Random(seed)).label for seed in range(20)} == {"cat", "dog wolf"}
    drawn = {Interpreter(vocabulary, ["noto"], Letters).surprise(random.Random(seed)).label for seed in range(30)}
    assert drawn == {"cat", "dog", "dog wolf"}


def test_values_of_other_weights_are_not_used_which_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Recognition.read(tmp_path, "a1") is None
    known = Recognition("a1", "judge", 2, RATES)
    known.write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    assert Recognition.read(tmp_path, "a1") == known
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        assert Recognition.read(tmp_path, "b2") is None
    assert "is of other weights and is not used" in caplog.text
    for damaged in ("{", "[]", '{"rates": {}}', json.dumps({**vars(known), "rates": {"1f408": 2}})):
        (tmp_path / FILE).write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match="is damaged"):
            Recognition.read(tmp_path, "a1")


def test_a_picture_counts_by_how_many_captions_are_nearer_than_its_own() -> None:
    captions = np.eye(3, dtype=np.float32)
    pictures = np.array([[1, 0.5, 0], [0.2, 0.5, 0.6], [0.2, 0.3, 0.1]], np.float32)
    assert recognised(pictures, captions, 0).round(3).tolist() == [1, 0, 0.0]
    many = np.eye(100, dtype=np.float32)
    one_nearer = np.eye(100, dtype=np.float32)[[1]] + 0.5 * np.eye(100, dtype=np.float32)[[0]]
    assert recognised(one_nearer, many, 0)[0] == pytest.approx((1 - 1 / 99) ** 99)


def test_concepts_are_drawn_judged_and_written_and_the_command_goes_on(
    tiny_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = shutil.copytree(tiny_checkpoint, tmp_path / "knowing"), tmp_path / "out" / "concepts.jsonl"
    vocabulary.write(folder)
    recognition.main([str(folder), "--out", str(out), "--num", "1"])
    assert not (folder / FILE).exists()
    with out.open("a", encoding="utf-8") as lines:
        lines.write('{"concept": "1f4')  # interrupted within a line
    first = out.read_text(encoding="utf-8").splitlines()[1]
    recognition.main([str(folder), "--out", str(out)])
    assert out.read_text(encoding="utf-8").splitlines()[1] == first
    found = Recognition.read(folder, load(folder).checkpoint_hash)
    assert found is not None and set(found.rates) == {"1f408", "1f415", "1f43a"}
    assert f"Written into {folder}." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        recognition.main([str(folder), "--out", str(out), "--seeds", "7"])
    assert "is of other weights, another judge or other seeds" in capsys.readouterr().err


def test_the_record_says_that_it_comes_out_badly_and_is_drawn_again_so(
    tiny_checkpoint: Path, vocabulary: Vocabulary
) -> None:
    model = load(tiny_checkpoint)
    known = Recognition("a1", "judge", 2, RATES)
    found = Interpreter(vocabulary, [], Letters, recognition=known).understand("狗")
    request = TextToImage(["狗"], understandings=(found,))
    (picture,) = request.draw(model, [1], model.settings.for_draft())
    record = images.read_record(picture)
    assert record["rarely_drawn_well"] is True
    assert images.read_record(model.redraw(record))["rarely_drawn_well"] is True


def test_the_thresholds_are_the_documented_ones() -> None:
    said = Path("docs/understanding.md").read_text(encoding="utf-8")
    assert f"recognised with less than {BADLY}" in said and f"{WELL} or more" in said


def test_half_a_line_of_recognised_concepts_is_cut_off_and_nothing_rewritten(tmp_path: Path) -> None:
    file, head = tmp_path / "rates.jsonl", {"judge": "a"}
    assert drawing._done(file, head) == {}
    begun = file.read_bytes()
    file.write_bytes(begun[:5])  # killed while it wrote the head
    assert drawing._done(file, head) == {} and file.read_bytes() == begun
    whole = begun + b'{"concept": "1f431", "score": 0.5}\n'
    file.write_bytes(whole + '{"concept": "é'.encode()[:-1])
    inode = file.stat().st_ino
    assert drawing._done(file, head) == {"1f431": 0.5}
    assert file.read_bytes() == whole and file.stat().st_ino == inode
    (tmp_path / "notes").write_text("mine, without an end")
    with pytest.raises(ValueError, match="name another file, or remove it"):
        drawing._done(tmp_path / "notes", head)
    assert (tmp_path / "notes").read_text() == "mine, without an end"
