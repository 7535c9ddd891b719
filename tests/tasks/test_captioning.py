"""Pictures told in words: the own caption comes first, in the order of the scores; captioners; plain errors."""

import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
)

from dalle2.__main__ import main
from dalle2.captioner import Captioner
from dalle2.datasets import phrases as phrase_list
from dalle2.datasets.phrases import Phrases, on_background, styled
from dalle2.families import load
from dalle2.families.karlo.load import save
from dalle2.model import UnclipModel

Capture = pytest.CaptureFixture[str]
WORDS = Phrases(
    tuple(f"{colour} {shape}" for colour in ("red", "green", "blue") for shape in ("disc", "square", "bar")),
    ("noto", "twemoji"),
    ("black", "orange"),
)
GROUNDS = {"": "white", "black": "black", "orange": "orange"}


def drawing(concept: str, style: str, ground: str) -> Image.Image:
    """The concept, in noto filled, in twemoji outlined."""
    colour, shape = concept.split()
    picture = Image.new("RGB", (32, 32), GROUNDS[ground])
    box = {"disc": (6, 6, 26, 26), "square": (8, 8, 24, 24), "bar": (4, 13, 28, 19)}[shape]
    pen = ImageDraw.Draw(picture)
    how = {"fill": colour} if style == "noto" else {"outline": colour, "width": 2}
    pen.ellipse(box, **how) if shape == "disc" else pen.rectangle(box, **how)
    return picture


def form(concept: str, style: str, ground: str) -> str:
    return on_background(styled(concept, style), ground) if ground else styled(concept, style)


@pytest.fixture(scope="module")
def knowing(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> UnclipModel:
    """A model whose towers know every drawing by heart: pictures and captions are the sums of their words' vectors."""
    folder = tmp_path_factory.mktemp("knowing") / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    WORDS.write(folder)
    model = load(folder)
    said = {
        drawing(concept, style, ground).tobytes(): form(concept, style, ground)
        for concept in WORDS.concepts
        for style in WORDS.styles
        for ground in GROUNDS
    }

    def embed_text(captions: Sequence[str]) -> torch.Tensor:
        rows = [
            sum(np.random.default_rng(zlib.crc32(word.encode())).standard_normal(64) for word in caption.split())
            for caption in captions
        ]
        return torch.tensor(np.array(rows)).float()

    model.embed_text = embed_text
    model.embed_image = lambda pictures: 3 * embed_text([said[picture.tobytes()] for picture in pictures])
    return model


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_drawing_is_told_by_its_own_caption(knowing: UnclipModel, ground: str) -> None:
    wanted = [(concept, style, ground) for concept in WORDS.concepts for style in WORDS.styles]
    found = knowing.caption([drawing(*one) for one in wanted], 3)
    assert [row[0].caption for row in found] == [form(*one) for one in wanted]
    for row in found:
        scores = [one.score for one in row]
        assert len(row) == 3 and scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(1, abs=1e-5)


def test_no_more_captions_than_there_are(model: UnclipModel) -> None:
    assert len(model.caption([Image.new("RGB", (8, 8))], 50)[0]) == 6
    for num in (0, 51, True, 2.5):
        with pytest.raises(ValueError, match="Ask for 1 to 50 captions"):
            model.caption([Image.new("RGB", (8, 8))], num)


def test_the_score_is_the_cosine(model: UnclipModel) -> None:
    picture = Image.effect_noise((32, 32), 80).convert("RGB")
    best = model.caption([picture])[0][0]
    ends = model.embed_image([picture]), model.embed_text([best.caption])
    assert best.score == pytest.approx(float(torch.nn.functional.cosine_similarity(*ends)), abs=1e-5)


def test_a_text_is_embedded_alike_alone_and_beside_longer_ones(model: UnclipModel) -> None:
    alone, together = model.embed_text(["a cat"]), model.embed_text(["a cat face and a dog face", "a cat"])
    torch.testing.assert_close(together[1:], alone)
    torch.testing.assert_close(alone, model.prompts.read(["a cat"]).embeddings.float())


def test_without_words_the_captioner_is_named(karlo_variations: Path) -> None:
    model = load(karlo_variations)
    assert "caption" not in model.capabilities
    with pytest.raises(ValueError, match=r"no phrases\.json.*--captioner"):
        model.caption([Image.new("RGB", (8, 8))])


def test_words_travel_with_the_weights(model: UnclipModel, tmp_path: Path) -> None:
    saved = load(save(model, tmp_path / "copy"))
    assert saved.phrases == model.phrases and "caption" in saved.capabilities
    (tmp_path / "copy" / "phrases.json").write_text('{"concepts": [], "styles": ["noto"]}')
    with pytest.raises(ValueError, match=r"phrases.json is damaged .*at least one concept"):
        load(tmp_path / "copy")


def test_the_list_is_written_for_a_checkpoint_without_it(
    tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    rows = [
        {"concept": f"{number:02d}", "label": f"thing {number}", "style": style, "subgroup": ("a", "b")[number % 2]}
        for number in range(4)
        for style in ("twemoji", "noto")
    ]
    (tmp_path / "data").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data" / "train-0.parquet")
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    phrase_list.main([str(tmp_path), str(copy)])
    words = Phrases.read(copy)
    assert words.concepts == ("thing 0", "thing 1", "thing 2", "thing 3") and words.styles == ("noto", "twemoji")
    assert "red" in words.backgrounds and "white" not in words.backgrounds
    described = json.loads((copy / "dalle2.json").read_text()) | {"recipe": {"data": {"subgroups": ["b"]}}}
    (copy / "dalle2.json").write_text(json.dumps(described))
    phrase_list.main([str(tmp_path), str(copy)])
    assert Phrases.read(copy).concepts == ("thing 1", "thing 3")
    with pytest.raises(SystemExit):
        phrase_list.main([str(tmp_path / "absent"), str(copy)])
    assert "holds no emoji set" in capsys.readouterr().err


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BLIP, as published: one folder with the model, the tokenizer and the image processor."""
    folder = tmp_path_factory.mktemp("captioner")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "photo", "of", "cat", "dog", "red"]
    vocabulary = {word: index for index, word in enumerate(words)}
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    text = layers | {"vocab_size": len(words), "encoder_hidden_size": 16, "projection_dim": 8}
    text |= {"bos_token_id": 5, "pad_token_id": 0, "eos_token_id": 3, "sep_token_id": 3, "max_position_embeddings": 40}
    torch.manual_seed(0)
    vision = layers | {"image_size": 16, "patch_size": 8, "projection_dim": 8}
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=8)
    model = BlipForConditionalGeneration(config)
    for weight in model.parameters():  # so that captions depend on the picture
        torch.nn.init.normal_(weight, std=0.5)
    model.save_pretrained(folder)
    processor = BlipImageProcessorPil(size={"height": 16, "width": 16})
    BlipProcessor(processor, BertTokenizer(vocabulary, extra_special_tokens=["[DEC]"])).save_pretrained(folder)
    return folder


def test_a_captioner_of_transformers_describes(captioner: Path) -> None:
    model = Captioner(captioner)
    pictures = [Image.effect_noise((20, 30), 90).convert(mode) for mode in ("RGB", "RGBA", "L")]
    found = model.caption(pictures, 3)
    for row in found:
        assert len(row) == 3 and all(0 < one.score <= 1 for one in row)
        assert [one.score for one in row] == sorted((one.score for one in row), reverse=True)
        assert all(set(one.caption.split()) <= {"a", "photo", "of", "cat", "dog", "red", "."} for one in row)
    assert model.caption(pictures[:1], 3) == found[:1]


def test_what_is_no_captioner_is_told(tmp_path: Path, tiny_checkpoint: Path) -> None:
    for source in (tmp_path, tiny_checkpoint, "nobody/nothing-of-this-name"):
        with pytest.raises(ValueError, match="is not an image-to-text model"):
            Captioner(source)


def test_by_command(tiny_checkpoint: Path, captioner: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "a.png"
    drawing("red disc", "noto", "").save(file)
    for how in (["--checkpoint", tiny_checkpoint], ["--captioner", captioner]):
        assert main(["caption", str(file), str(file), "--num", "2", *map(str, how)]) == 0
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [row[0] for row in rows] == [str(file)] * 4 and rows[:2] == rows[2:]
        assert float(rows[0][1]) >= float(rows[1][1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{file}", "--checkpoint", "{karlo}"], "no phrases.json"),
        (["{file}", "--checkpoint", "{tiny}", "--num", "0"], "Ask for 1 to 50 captions"),
        (["{file}", "--checkpoint", "{tiny}", "--captioner", "x"], "leave out --checkpoint"),
        (["nowhere.png", "--checkpoint", "{tiny}"], "There is no picture 'nowhere.png'"),
        (["{file}", "--captioner", "{empty}"], "is not an image-to-text model"),
    ],
)
def test_bad_commands_are_told(
    arguments: list[str], sentence: str, tiny_checkpoint: Path, karlo_variations: Path, tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    names = {
        "file": tmp_path / "a.png",
        "karlo": karlo_variations,
        "tiny": tiny_checkpoint,
        "empty": tmp_path / "empty",
    }
    assert main(["caption", *(word.format(**names) for word in arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and sentence in err and "Traceback" not in err
