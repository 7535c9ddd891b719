"""A folder tells its family, and a model its stages: to the tasks, the command line, the page and the ruler."""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from latent_family import LatentModel
from PIL import Image

from dalle2 import families, images
from dalle2.__main__ import main
from dalle2.cli.arguments import add_arguments, chosen_settings
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.requests import ANY_PICTURE
from dalle2.serving.service import Service
from dalle2.settings import Settings, Step
from dalle2.stage_settings import SCHEDULERS
from dalle2.tasks.enhance import Enhance
from dalle2.tasks.text_to_image import ANY_PROMPT, TextToImage
from dalle2.tasks.variations import Variations
from demo.facts import Facts, key_of
from evaluation.drawing.generation import generate
from evaluation.prompts.prompt_sets import read_prompts

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def latents() -> LatentModel:
    return LatentModel()


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=int)


def test_it_says_which_stages_it_has(latents: LatentModel, model: UnclipModel, quick: Settings) -> None:
    assert latents.stages == ("prior", "decoder") and model.stages == ("prior", "decoder", "upsampler")
    for one, settings in ((latents, quick), (model, latents.settings)):
        with pytest.raises(ValueError, match="give those of its own stages"):
            one.text_to_image(["a cat"], seeds=[1], settings=settings)
        with pytest.raises(ValueError, match="give those of its own stages"):
            one.variations(PICTURE, seeds=[1], settings=settings)


def test_a_seed_belongs_to_a_picture(latents: LatentModel) -> None:
    together = latents.text_to_image(["a cat"] * 3, seeds=[1, 2, 3])
    (alone,) = latents.text_to_image(["a cat"], seeds=[3])
    assert np.abs(levels(alone) - levels(together[2])).max() <= 1
    assert np.abs(levels(together[0]) - levels(together[1])).max() > 20
    embedding = latents.embed_prompt(["a cat"], [3])
    third = latents.decode_pixels(embedding.expand(3, -1), [1, 2, 3])[2]
    assert (latents.decode_pixels(embedding, [3])[0] - third).abs().max() <= 1e-4


def test_previews_are_pictures(latents: LatentModel) -> None:
    steps: list[Step] = []
    (picture,) = latents.text_to_image(["a cat"], seeds=[1], on_step=steps.append)
    assert [(step.stage, step.index, step.total) for step in steps] == [
        ("prior", 1, 1),
        *(("decoder", index, 6) for index in range(1, 7)),
    ]
    previews = [step.pictures() for step in steps]
    assert previews[0] == [] and all(shown[0].size == (32, 32) for shown in previews[1:])
    assert np.abs(levels(previews[-1][0]) - levels(picture)).max() <= 1
    assert len(latents.steps("a cat", seed=1)) == 6


def test_its_records_hold_its_own_stages_and_are_redrawn(latents: LatentModel) -> None:
    (picture,) = latents.text_to_image(["a cat"], seeds=[7])
    record = images.read_record(picture)
    assert set(record["settings"]) == {"prior", "decoder"}
    assert np.array_equal(levels(latents.redraw(record)), levels(picture))


def test_the_tasks_are_karlos(latents: LatentModel) -> None:
    drawn = latents.variations(PICTURE, seeds=[1, 2])
    assert len(drawn) == 2 and np.abs(levels(drawn[0]) - levels(drawn[1])).max() > 20
    ends = latents.interpolate(["a cat", "a dog"], frames=3, seed=1)
    assert np.abs(levels(ends[0]) - levels(ends[2])).max() > 1
    between = latents.interpolate([PICTURE, PICTURE.rotate(90)], frames=3, seed=1, noise="slerp")
    assert len(between) == 3
    # The way back to the noise of a picture is the way back to its latents.
    first = images.square(images.to_rgb(PICTURE), 32)
    same = latents._decode(latents._encode(images.to_tensor([first])))
    assert np.abs(levels(images.to_pictures(same)[0]) - levels(between[0])).mean() < 4
    mask = Image.new("L", PICTURE.size, 0)
    mask.paste(255, (8, 0, 28, 40))
    (painted,) = latents.inpaint(PICTURE, mask, seeds=[1], prompt="a cat")
    kept = levels(images.square(mask, 32)) == 0
    assert np.array_equal(levels(painted)[kept], levels(first)[kept])
    with pytest.raises(ValueError, match="cannot do enhance"):
        latents.enhance([PICTURE.resize((8, 8))], seeds=[1])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_takes_its_noise_schedule(scheduler: str, latents: LatentModel) -> None:
    settings = latents.settings.changed({"decoder": {"scheduler": scheduler, "num_inference_steps": 40}})
    found = latents.decode_pixels(latents.embed_prompt(["a cat"], [1]), [1], settings=settings)
    assert found.isfinite().all() and found.std() > 0.05


def test_the_command_line_asks_for_its_stages(
    latents: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(families, "load", lambda *_, **__: latents)
    out = ["-o", str(tmp_path / "one.png"), "--seed", "3", "--checkpoint", "x", "--literal"]
    assert main(["a cat", *out, "--steps", "1,3", "--guidance", "1,3", "--scheduler", "ddim"]) == 0
    settings = images.read_record(tmp_path / "one.png")["settings"]
    assert settings["decoder"]["num_inference_steps"] == 3 and settings["decoder"]["guidance_scale"] == 3.0
    changes = {"num_inference_steps": 3, "guidance_scale": 3.0, "scheduler": "ddim"}
    asked = latents.settings.changed({"prior": {"scheduler": "ddim"}, "decoder": changes})
    assert np.array_equal(
        levels(Image.open(tmp_path / "one.png")), levels(latents.text_to_image(["a cat"], seeds=[3], settings=asked)[0])
    )
    assert main(["--from", str(tmp_path / "one.png"), "-o", str(tmp_path / "again.png"), "--checkpoint", "x"]) == 0
    assert np.array_equal(levels(Image.open(tmp_path / "again.png")), levels(Image.open(tmp_path / "one.png")))
    PICTURE.save(tmp_path / "in.png")
    common = ["--seed", "1", "--checkpoint", "x", "-o", str(tmp_path / "out")]
    for quality, steps in (("fast", 3), ("default", 6), ("best", 15)):
        named = ["--literal", "--quality", quality, "-o", str(tmp_path / f"{quality}.png")]
        assert main(["a cat", *common[:4], *named]) == 0
        settings = images.read_record(tmp_path / f"{quality}.png")["settings"]
        assert settings["decoder"]["num_inference_steps"] == steps
    assert main(["variations", str(tmp_path / "in.png"), "--draft", *common]) == 0
    assert main(["interpolate", "a cat", "a dog", "--frames", "2", *common]) == 0
    capsys.readouterr()
    assert main(["a cat", *common, "--literal", "--steps", "1,2,3"]) == 1
    assert "--steps takes one value or 2 with commas" in capsys.readouterr().err


def test_the_service_and_the_page_ask_for_its_stages(latents: LatentModel, model: UnclipModel) -> None:
    service = Service(latents, model)
    told = list(service.draw(TextToImage(["a cat"]), 1))
    assert told[-1].finished and told[-1].stages == (("prior", 1, 1), ("decoder", 6, 6))
    facts = Facts(service)
    fewer, all_three = (facts.of(name)["presets"][key_of(ANY_PROMPT)] for name in ("latents", model.checkpoint))
    assert fewer["fast"].keys() == {"prior", "decoder"}
    assert all_three["fast"].keys() == {"prior", "decoder", "upsampler"}
    assert list(Variations(ANY_PICTURE, eta=0.5).rows(latents.settings)) == ["inversion", "decoder"]
    assert list(Enhance(ANY_PICTURE).rows(latents.settings)) == []


def test_the_ruler_draws_with_it(latents: LatentModel, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    manifest = generate(latents, read_prompts(str(tmp_path / "prompts.txt")), tmp_path / "out")
    assert set(manifest.settings) == {"prior", "decoder"} and manifest.picture_size == 32
    (alone,) = latents.text_to_image(["a dog"], seeds=[1])
    drawn = sorted((tmp_path / "out").glob("*.png"))
    assert np.abs(levels(Image.open(drawn[1])) - levels(alone)).max() <= 1


def test_a_folder_of_another_family_is_told_by_its_index(tmp_path: Path) -> None:
    for part in ("unet", "vae"):
        (tmp_path / part).mkdir()
    with pytest.raises(ValueError, match=r"known family.*files\)\. It draws from text alone"):
        load(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(ValueError, match="that of a StableDiffusionPipeline"):
        load(tmp_path)


def test_a_negative_prompt_needs_a_guided_stage_of_its_own(latents: LatentModel) -> None:
    settings = dataclasses.replace(latents.settings, negative_prompt="a dog")
    assert settings.check_negative() == settings
    with pytest.raises(ValueError, match="nothing is guided"):
        settings.changed({"decoder": {"guidance_scale": 1.0}}).check_negative()


def test_a_checkpoint_without_a_prior_takes_no_prior(latents: LatentModel) -> None:
    """One that draws variations alone."""
    model = LatentModel()
    model.settings = dataclasses.replace(latents.settings, prior=None)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert model.stages == ("decoder",)
    assert chosen_settings(parser.parse_args(["--steps", "3"]), model).decoder.num_inference_steps == 3
    with pytest.raises(ValueError, match="has no prior"):
        chosen_settings(parser.parse_args(["--prior", "linear"]), model)
    with pytest.raises(ValueError, match="a diffusion prior"):
        model.text_diff_settings(None)
    assert len(model.variations(PICTURE, seeds=[1])) == 1
