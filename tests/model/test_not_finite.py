"""A number that is not finite, wherever it is born, stops the picture with a sentence that names the stage."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_priors
import torch
from PIL import Image

from dalle2 import images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.families.karlo.load import save
from dalle2.model import UnclipModel
from dalle2.settings import Settings

PICTURE = Image.new("RGB", (40, 40), (200, 30, 60))
PARTS = {
    "text_encoder": "text encoder",
    "prior": "prior",
    "text_proj": "text projection",
    "decoder": "decoder",
    "super_res_first": "upsampler",
    "super_res_last": "upsampler",
}


def damage(network: torch.nn.Module, value: float) -> None:
    """The last of its weights, which all it gives depends on."""
    with torch.no_grad():
        for weight in list(network.parameters())[-2:]:
            weight.fill_(value)


def said(stage: str) -> str:
    return f"^The {stage} gave numbers that are not finite: .*copy the checkpoint again.*--dtype float32"


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
@pytest.mark.parametrize("part", PARTS)
def test_text_to_image_stops_at_the_stage(part: str, value: float, tiny_checkpoint: Path) -> None:
    model = load(tiny_checkpoint)
    damage(getattr(model.parts, part), value)
    with pytest.raises(ValueError, match=said(PARTS[part])):
        model.text_to_image(["a cat"], seeds=[1])


@pytest.mark.parametrize("name", ["clip_mean", "clip_std"])
def test_damaged_statistics_are_the_prior_s(name: str, tiny_checkpoint: Path) -> None:
    model = load(tiny_checkpoint)
    with torch.no_grad():
        getattr(model.parts.prior, name)[0, 3] = float("inf")
    with pytest.raises(ValueError, match=said("prior")):
        model.text_to_image(["a cat"], seeds=[1])


@pytest.mark.parametrize("kind", ["autoregressive", "linear"])
def test_the_other_priors_stop_too(kind: str, tiny_checkpoint: Path, tmp_path: Path, quick: Settings) -> None:
    made = load(tiny_checkpoint)
    made.parts.prior_autoregressive, made.parts.prior_linear = tiny_priors.autoregressive(), tiny_priors.linear()
    model = load(save(made, tmp_path / "priors"))
    settings = dataclasses.replace(quick, prior=dataclasses.replace(quick.prior, kind=kind))
    model.text_to_image(["a cat"], seeds=[1], settings=settings)
    damage(model.prior(kind), float("nan"))
    with pytest.raises(ValueError, match=said("prior")):
        model.text_to_image(["a cat"], seeds=[1], settings=settings)


def restyled(model: UnclipModel) -> list[Image.Image]:
    return model.text_diff(PICTURE, "a dog", seed=1, settings=model.settings.for_text_diff(3))


TASKS: dict[str, tuple[Callable, str, str]] = {
    "variations": (lambda model: model.variations(PICTURE, seeds=[1]), "image_encoder", "image encoder"),
    "captioning": (lambda model: model.caption([PICTURE]), "image_encoder", "image encoder"),
    "captioning, texts": (lambda model: model.caption([PICTURE]), "text_encoder", "text encoder"),
    "inversion": (
        lambda model: model.reconstruct([PICTURE], seeds=[1], settings=model.settings.for_inversion(3)),
        "decoder",
        "decoder",
    ),
    "text diff": (restyled, "prior", "prior"),
    "text diff, texts": (restyled, "text_encoder", "text encoder"),
    "enhancement": (lambda model: model.enhance([PICTURE.resize((16, 16))], seeds=[1]), "super_res_first", "upsampler"),
    "inpainting": (
        lambda model: model.inpaint(PICTURE, Image.new("L", PICTURE.size, 255), seeds=[1], settings=model.settings),
        "super_res_last",
        "upsampler",
    ),
    "attention": (lambda model: model.attention("a cat", seed=1), "decoder", "decoder"),
    "steps": (lambda model: model.steps("a cat", seed=1), "decoder", "decoder"),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_stops(task: str, tiny_checkpoint: Path) -> None:
    act, part, stage = TASKS[task]
    model = load(tiny_checkpoint)
    damage(getattr(model.parts, part), float("nan"))
    with pytest.raises(ValueError, match=said(stage)):
        act(model)


def test_the_command_line_writes_no_black_picture(tiny_checkpoint: Path, tmp_path: Path, capsys) -> None:
    model = load(tiny_checkpoint)
    damage(model.parts.decoder, float("nan"))
    damaged = save(model, tmp_path / "damaged")
    out = tmp_path / "cat.png"
    assert main(["a cat", "--checkpoint", str(damaged), "--seed", "1", "-o", str(out)]) == 1
    assert "The decoder gave numbers that are not finite" in capsys.readouterr().err
    assert not out.exists()


def test_no_picture_is_made_of_what_is_not_finite(tiny_checkpoint: Path) -> None:
    pixels = torch.zeros(1, 3, 2, 2)
    pixels[0, 1, 1, 0] = float("inf")
    with pytest.raises(ValueError, match="no picture can be made"):
        images.to_pictures(pixels)
    with pytest.raises(ValueError, match="embeddings of finite numbers"):
        load(tiny_checkpoint).decode(torch.full((1, 32), float("nan")), [1])
