"""A prompt that was spoken: recordings of any kind, their words, the picture's record, and captions read aloud."""

import io
import json
import re
import shutil
import sys
import wave
from argparse import Namespace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    RobertaTokenizer,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from dalle2 import images
from dalle2.__main__ import main
from dalle2.cli import parsers, quick
from dalle2.refusal import Refusal
from dalle2.serving.api import options as serving
from dalle2.speech import phrases, reading
from dalle2.speech.clap import PROMPT, Clap, known_sounds, loudest
from dalle2.speech.language_model import LanguageModel
from dalle2.speech.phrases import BEGINNINGS, FILLERS
from dalle2.speech.recording import MOST_SECONDS, RATE, read_recording, read_sound
from dalle2.speech.transcript import NotHeard, Transcript
from dalle2.speech.whisper import Whisper
from dalle2.understanding.interpreter import Interpreter
from dalle2.understanding.vocabulary import Entry, Vocabulary

PIZZA = Path(__file__).with_name("recordings") / "pizza.flac"
Capture = pytest.CaptureFixture[str]


def sound(seconds: float, rate: int = RATE, channels: int = 1, level: float = 0.3) -> bytes:
    """A tone as a WAV file."""
    times = np.arange(int(seconds * rate)) / rate
    tone = np.round(level * np.sin(2 * np.pi * 440 * times) * 32767).astype(np.int16)
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(tone[:, None], channels, 1).tobytes())
    return content.getvalue()


@pytest.mark.parametrize("rate, channels", [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_any_rate_and_both_channels_become_one_at_16_khz(rate: int, channels: int) -> None:
    samples = read_recording(sound(1, rate, channels))
    assert samples.dtype == np.int16 and abs(len(samples) - RATE) < RATE // 20
    tones = np.abs(np.fft.rfft(samples))
    assert abs(tones.argmax() * RATE / len(samples) - 440) < 3


def test_a_recording_in_webm_as_browsers_make_it(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "voice.webm"), "w") as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        for frame in av.open(io.BytesIO(sound(1, 48_000))).decode(audio=0):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert abs(len(read_recording(tmp_path / "voice.webm")) - RATE) < RATE // 10


@pytest.mark.parametrize(
    "content, said",
    [
        (sound(0.5, level=0), "The recording is silent"),
        (sound(0), "The recording is empty"),
        (sound(MOST_SECONDS + 1, 8_000), "longer than 60 seconds"),
        (b"GIF89a no sound at all", "This is not a recording that can be read"),
        (b"#EXTM3U\n#EXTINF:1,\nother.wav\n#EXT-X-ENDLIST\n", "This is not a recording that can be read"),
        (b"", "This is not a recording that can be read"),
    ],
)
def test_what_is_no_speech_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_recording(content)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 32
        file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(ValueError, match="holds no sound"):
        read_recording(tmp_path / "film.mp4")


class Plain:
    """English in which all words are alike."""

    def share(self, word: str) -> float:
        return 0.01

    def frequent(self, count: int) -> list[str]:
        return ["with", "over"][:count]

    def after(self, word: str, others: list[str]) -> np.ndarray:
        return np.full(len(others), 0.1)


def test_of_a_bigram_model_all_that_may_follow_is_1_together() -> None:
    entries = tuple(Entry(str(number), True, {"en": (label,)}) for number, label in enumerate(("palm tree", "owl")))
    nothing = np.zeros((2, 1), np.float32)
    vocabulary = Vocabulary(entries, nothing, nothing, nothing, np.zeros(0, int), nothing)
    said = {word for text in BEGINNINGS for word in text.split()} | set(FILLERS)
    said |= set(re.findall(r"\w+", "noto with over palm tree owl red style in the of like on a an against background"))
    said |= set(re.findall(r"\w+", "emoji icon sticker you know please for me thank"))
    model = LanguageModel(vocabulary, ("noto",), {word: ["AH"] for word in said}, Plain())
    sections = model.text().split("\n\n")
    single = {one.split()[1]: (float(one.split()[0]), float(one.split()[2])) for one in sections[1].splitlines()[1:]}
    pairs = {tuple(one.split()[1:]): float(one.split()[0]) for one in sections[2].splitlines()[1:]}
    assert "palm_tree" in single and "in_the_style_of" in single

    def share(before: str, word: str) -> float:
        listed = pairs.get((before, word))
        return 10 ** (single[word][0] + single[before][1] if listed is None else listed)

    for before in ("a", "an", "draw", "palm_tree", "in_the_style_of", "with"):
        assert sum(share(before, word) for word in single) == pytest.approx(1, abs=0.02)
    assert share("an", "owl") > share("an", "palm_tree") and share("a", "palm_tree") > share("a", "owl")
    assert share("in_the_style_of", "noto") > 0.9


def test_numbers_and_ordinals_are_said_as_words() -> None:
    assert phrases.spoken("11:30 on the 1st, o’clock") == ("eleven", "thirty", "on", "the", "first", "o'clock")


@pytest.fixture(scope="module")
def sphinx():
    pytest.importorskip("pocketsphinx", reason="hearing speech needs pocketsphinx: pip install pocketsphinx")
    from dalle2.speech.sphinx import Sphinx

    vocabulary = Vocabulary.read(Path(images.__file__).with_name("checkpoints") / "emoji")
    return Sphinx(vocabulary, ("noto", "twemoji", "openmoji"))


def test_a_prompt_is_heard_with_its_style_also_twice(sphinx) -> None:
    samples = read_recording(PIZZA)
    first, second = sphinx.recognise(samples), sphinx.recognise(samples)
    assert first == second and first.recogniser == "pocketsphinx"
    assert "pizza" in first.words and "noto" in first.words


def test_nothing_is_heard_where_nothing_is_said(sphinx) -> None:
    with pytest.raises(NotHeard, match="No words were heard"):
        sphinx.recognise(np.zeros(RATE // 10, np.int16))


def test_pictures_of_a_recording_carry_what_was_heard_and_draw_again(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dalle2.cli import hearing

    monkeypatch.setattr(hearing, "hear", lambda *_: Transcript("a red hart", "pocketsphinx"))
    monkeypatch.setattr(hearing, "asked", lambda _: "a red heart")
    assert main(["--audio", str(PIZZA), "--draft", "--seed", "3", "-o", str(tmp_path / "a.png")]) == 0
    record = images.read_record(tmp_path / "a.png")
    assert record["prompt"] == "a red heart"
    assert record["heard"] == {"words": "a red hart", "recogniser": "pocketsphinx"}
    assert main(["--from", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]) == 0
    assert images.read_record(tmp_path / "b.png") == record
    assert images.open_picture(tmp_path / "a.png").tobytes() == images.open_picture(tmp_path / "b.png").tobytes()


def test_at_the_command_line_it_is_said_what_misheard_words_are_taken_for(capsys: Capture) -> None:
    pytest.importorskip("pocketsphinx", reason="the sound of words is in pocketsphinx: pip install pocketsphinx")
    from dalle2.cli import hearing

    styles = ("noto", "twemoji")
    interpreter = Interpreter.of(Path(images.__file__).with_name("checkpoints") / "emoji", styles)
    model = Namespace(interpreter=interpreter, styles=styles)
    assert hearing.mended("A strong, very, to emojis tile.", model) == "a strawberry, twemoji style"
    assert capsys.readouterr().err == 'Taken for: "a strawberry, twemoji style".\n'
    assert hearing.mended("A red heart.", model) == "A red heart." and not capsys.readouterr().err
    assert hearing.mended("An owl, no toes tile.", Namespace(interpreter=None)) == "An owl, no toes tile."


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["a cat", "--audio", str(PIZZA)], "--audio holds the prompt"),
        (["--audio", "none.wav"], "There is no recording 'none.wav'"),
        (["a cat", "--recogniser", "whisper"], "--recogniser hears a recording"),
        (["steps"], "needs PROMPT"),
        (["--audio", str(Path(__file__))], "This is not a recording"),
        (["--sound", str(PIZZA)], "name a folder or a hub id with --recogniser"),
        (["--sound", str(PIZZA), "--audio", str(PIZZA)], "give one of them"),
        (["a cat", "--sound", str(PIZZA), "--recogniser", "clap"], "--sound holds the prompt"),
        (["--sound", str(PIZZA), "--from", str(PIZZA)], "leave out --sound"),
        (["a cat", "--say", "cat.mp3"], "let its name end in .wav"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], said: str, capsys: Capture) -> None:
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed (Debian: apt install espeak-ng)")
def test_a_caption_is_read_aloud_and_no_file_is_replaced(tmp_path: Path) -> None:
    file = reading.read_aloud("Picture 1: a red heart.", tmp_path / "said.wav")
    assert 0.5 * RATE < len(read_recording(file)) < 4 * RATE
    with pytest.raises(FileExistsError):
        reading.read_aloud("another", file)


def test_without_espeak_ng_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.shutil, "which", lambda _: None)
    with pytest.raises(ValueError, match="apt install espeak-ng"):
        reading.read_aloud("a red heart", Path("said.wav"))


def test_a_recording_is_not_drawn_before_it_is_heard() -> None:
    """Without torch, drawing begins at once with the prompt, which a recording does not have yet."""
    arguments = [["--audio", str(PIZZA)], ["--sound", str(PIZZA), "--recogniser", "clap"]]
    for given in arguments:
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(sys.modules, "torch")
            assert quick.plan(parsers.parse(given)) is None


def test_what_was_drawn_is_read_aloud_as_the_checkpoint_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    said: list[str] = []
    monkeypatch.setattr("dalle2.cli.caption.check_spoken", lambda _: None)
    monkeypatch.setattr("dalle2.cli.text_to_image.check_spoken", lambda _: None)
    monkeypatch.setattr("dalle2.cli.drawing.read_aloud", lambda text, path: said.append(text) or path)
    given = ["a red heart, twemoji style", "-n", "2", "--seed", "1", "-o", str(tmp_path / "hearts")]
    assert main([*given, "--say", str(tmp_path / "said.wav")]) == 0
    assert said == ["Picture 1: red heart, twemoji style. Picture 2: red heart, twemoji style."]
    assert str(tmp_path / "said.wav") in capsys.readouterr().out


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    """A tiny Whisper with random weights, in the layout that openai/whisper-* are published in."""
    letters = [chr(point) for point in range(33, 127)] + ["Ġ"]
    specials = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = {token: number for number, token in enumerate([*letters, *specials])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    WhisperProcessor(WhisperFeatureExtractor(feature_size=8), tokenizer).save_pretrained(tmp_path)
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes |= {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "d_model": 16, "num_mel_bins": 8}
    ends = {"eos_token_id": end, "pad_token_id": end, "bos_token_id": end, "decoder_start_token_id": start}
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=len(vocabulary), **sizes, **ends))
    model.generation_config.suppress_tokens = [end]
    model.save_pretrained(tmp_path)
    return tmp_path


def test_a_whisper_model_hears_by_its_folder(whisper: Path) -> None:
    heard = Whisper(str(whisper)).recognise(read_recording(PIZZA))
    assert heard.words and heard.recogniser == str(whisper)


def test_a_server_s_speech_model_is_named_by_option_or_environment(
    whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DALLE2_RECOGNISER", raising=False)
    assert serving.recogniser(Namespace(recogniser=None)) is None
    assert serving.recogniser(Namespace(recogniser=str(whisper))).source == str(whisper)
    monkeypatch.setenv("DALLE2_RECOGNISER", str(whisper))
    assert serving.recogniser(Namespace(recogniser=None)).source == str(whisper)
    with pytest.raises(ValueError, match="is not a speech model"):
        serving.recogniser(Namespace(recogniser=str(tmp_path / "none")))


def test_what_is_no_speech_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a speech model"):
        Whisper(str(tmp_path))


def test_what_is_too_long_for_a_speech_model_is_refused_in_a_sentence(whisper: Path) -> None:
    with pytest.raises(Refusal, match="at most 30 seconds at once"):
        Whisper(str(whisper)).recognise(np.zeros(31 * RATE, np.int16))


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLAP with random weights, in the layout that laion/clap-htsat-unfused is published in."""
    folder = tmp_path_factory.mktemp("clap")
    letters = [chr(point) for point in range(33, 127)] + ["Ġ"]
    vocabulary = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters])}
    RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    text = {"vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 16, "max_position_embeddings": 80}
    audio = {"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1], "num_attention_heads": [1, 1]}
    audio |= {"num_hidden_layers": 2}
    torch.manual_seed(0)
    ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=16)).save_pretrained(folder)
    return folder


def test_a_sound_is_told_and_what_makes_it_is_drawn(clap: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "beep.wav").write_bytes(sound(1, 48_000))
    given = ["--sound", str(tmp_path / "beep.wav"), "--recogniser", str(clap), "--draft", "--seed", "3"]
    assert main([*given, "-o", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().err
    heard, score = re.search(r"I hear: (.+?) \((0\.\d\d)\); less likely: ", said).groups()
    record = images.read_record(tmp_path / "a.png")
    assert record["heard"] == {"words": heard, "recogniser": str(clap)} and 0 < float(score) < 1
    assert record["prompt"] == dict(known_sounds())[heard]
    assert main([*given, "-o", str(tmp_path / "b.png")]) == 0
    assert images.read_record(tmp_path / "b.png") == record


def test_scores_are_those_of_the_model_s_own_forward(clap: Path) -> None:
    samples = read_sound(sound(1, 48_000))
    found = Clap(str(clap)).recognise(samples, lambda thing: thing in ("dog", "bell"))
    words = [one.words for one in found]
    assert {one.thing for one in found} == {"dog", "bell"} and sum(one.score for one in found) == pytest.approx(1)
    asked = {"text": [PROMPT.format(word) for word in words], "audio": samples, "sampling_rate": 48_000}
    inputs = ClapProcessor.from_pretrained(clap)(**asked, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = ClapModel.from_pretrained(clap)(**inputs).logits_per_audio[0].softmax(-1)
    assert [one.score for one in found] == pytest.approx(expected.tolist(), abs=1e-5)
    with pytest.raises(ValueError, match="knows nothing that makes a sound"):
        Clap(str(clap)).recognise(samples, lambda thing: False)


def test_of_a_long_sound_the_loudest_part_counts() -> None:
    samples = np.zeros(1000, np.float32)
    samples[700:800] = 0.5
    assert loudest(samples, 100).tolist() == [0.5] * 100
    assert len(loudest(samples[:50], 100)) == 50


def test_every_sound_comes_from_something_that_the_embedded_checkpoint_draws() -> None:
    folder = Path(images.__file__).with_name("checkpoints") / "emoji"
    interpreter = Interpreter.of(folder, ("noto",))
    found = {thing: interpreter.understand(thing) for _, thing in known_sounds()}
    assert [thing for thing, taken in found.items() if taken.concept is None or taken.guessed] == []
    assert found["dog"].concept.label in ("dog", "dog face")


def test_what_is_no_clap_is_refused(whisper: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "nothing", whisper):
        with pytest.raises(ValueError, match="is no CLAP model"):
            Clap(str(folder))
