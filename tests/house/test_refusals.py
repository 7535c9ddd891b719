"""What is refused is told in the visitor's language: every sentence that can reach the page has a translation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import httpx
import pytest

from demo.language import LONGEST, REFUSALS, in_chinese, refused

ROOT = Path(__file__).parents[2]
ROOMS = ("demo", "demo/tabs", "dalle2/serving", "dalle2/tasks")
HEARD = tuple(f"speech/{name}.py" for name in ("dictionary", "recording", "sphinx", "whisper"))
OPENED = tuple(
    f"families/{name}.py" for name in ("checkpoint_folder", "dalle2_pytorch/model", "downloads", "places", "weights")
)
RAISED = ("Refusal", "NotHeard", "Busy", "Forbidden", "NoMemory", "Fault", "ValueError", "refused", "NotDownloaded")
RAISED += ("NotWeightsAlone", "Unwritable")
FILES = (
    "finiteness.py",
    "formats.py",
    "settings.py",
    "stage_settings.py",
    "images.py",
    "requests.py",
    "unclip_base.py",
    "embeddings.py",
    "mixing.py",
    "sampling.py",
    *HEARD,
    *OPENED,
)
WORDS = ("This file", "text encoder", "image encoder", "text projection")  # that change from sentence to sentence
# For those who write programs or start servers; no visitor can bring these about.
UNSEEN = (
    *("Two checkpoints have", "A vote takes", "A vote needs", "A prompt must be text", "Pictures are saved as PNG"),
    *("Give at least one seed", "Principal axes need", "A position on the way", "The checkpoint predicts"),
    *("There is no scheduler", "The picture is of the task", "Name 1 to", "text_to_image takes", "reconstruct takes"),
    *("enhance takes", "The noise of an interpolation", "Only a picture has a noise", "A mix needs at least"),
    *("An interpolation needs at least two ends", "An interpolation has at most", "The weights of a mix must be num"),
    *(
        "Checking pictures needs",
        "{} holds no word",
        "{} is not a safety checker",
        "{} has not the weights of a safety",
    ),
    *("{} does not hold weights alone: give the safety checker", "The page has one front"),
    *("The database needs", "This is no URL of a"),
    *("The way of a text diff", "All pictures of a series come from"),
)


def sentences() -> Iterator[str]:
    """All that is raised, or returned as the text of what is raised, with {} for what changes."""
    files = [file for room in ROOMS for file in (ROOT / room).glob("*.py")] + [ROOT / "dalle2" / name for name in FILES]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name), args=[text, *_]) if name in RAISED:
                    pass
                case ast.Return(value=ast.JoinedStr() as text) if file.name in ("images.py", "places.py"):
                    pass
                case _:
                    continue
            match text:
                case ast.Constant(value=str(sentence)):
                    yield sentence
                case ast.JoinedStr(values=parts):
                    yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)


def test_every_sentence_has_a_translation_and_every_translation_a_sentence() -> None:
    said = {sentence for sentence in sentences() if sentence.strip("{}")}
    assert len(said) > 60
    assert not [text for text in said - set(REFUSALS) if not text.startswith(UNSEEN)]
    assert {text for text in set(REFUSALS) - said if " " in text} == set(WORDS)


@pytest.mark.parametrize("english", REFUSALS)
def test_a_translation_keeps_what_changes(english: str) -> None:
    values = [f"value-{index}" for index in range(english.count("{}"))]
    chinese = in_chinese(english.format(*values))
    assert re.search("[一-鿿]", chinese)
    assert [value for value in values if value not in chinese] == []


@pytest.mark.parametrize(
    "english, chinese",
    [
        ("The decoder takes at most 100 steps here, not 101.", "解码器 在这里最多 100 步，而不是 101。"),
        ("These settings cannot be used: prior lacks 'x'.", "这些设置不能用：先验 缺少 'x'。"),
        ("There is no checkpoint '{0}' here: choose one of {x}.", "这里没有模型 '{0}'：请从这些中选择：{x}。"),
        ("Nobody has translated this.", "Nobody has translated this."),
        ("a has no b" * LONGEST, "a has no b" * LONGEST),
    ],
)
def test_parts_are_translated_too_and_the_unknown_stays(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese


@pytest.mark.parametrize("asked, language", [("zh-TW,zh;q=0.9", "zh"), ("fr", "en"), ("", "en"), (None, "en")])
def test_the_browser_s_language_decides(asked: str | None, language: str) -> None:
    request = (
        None if asked is None else gr.Request(httpx.Request("GET", "http://a", headers={"accept-language": asked}))
    )
    sentence = "Nothing is marked yet: paint over what should change."
    assert refused(sentence, request) == (REFUSALS[sentence] if language == "zh" else sentence)
