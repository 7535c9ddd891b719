"""Settings are values that check themselves, and every refusal is a sentence."""

import dataclasses
import json

import pytest

from dalle2.settings import MAX_SEED, Settings, Step, check_prompt, check_seed
from dalle2.stage_settings import GuidedSettings, PriorSettings, UpsamplerSettings


def test_settings_travel_through_json(quick: Settings) -> None:
    assert Settings.from_dict(json.loads(json.dumps(quick.to_dict()))) == quick


FORMER = {
    "guidance_scale": 1.0,
    "guidance_interval": [0.0, 1.0],
    "eta": 0.0,
    "times": 1,
    "candidates": 1,
    "kind": "diffusion",
}


def test_the_settings_of_an_old_record_are_read(quick: Settings) -> None:
    """Version 0.1 wrote all of a prior's values for every stage."""
    old = {name: FORMER | stage for name, stage in quick.to_dict().items()}
    assert len(old["upsampler"]) == 8 and Settings.from_dict(old) == quick
    assert "candidates" not in quick.to_dict()["decoder"] and "guidance_scale" not in quick.to_dict()["upsampler"]
    for stage, key, value in (("decoder", "candidates", 2), ("upsampler", "kind", "linear")):
        with pytest.raises(ValueError, match="Only the prior"):
            Settings.from_dict(old | {stage: old[stage] | {key: value}})


@pytest.mark.parametrize("absent", ["prior", "upsampler"])
def test_a_family_may_lack_a_stage(quick: Settings, absent: str) -> None:
    made = dataclasses.replace(quick, **{absent: None})
    assert list(made.stages) == [name for name in quick.stages if name != absent]
    assert Settings.from_dict(json.loads(json.dumps(made.to_dict()))) == made and absent not in made.to_dict()
    for adapted in (Settings.for_inversion, Settings.for_text_diff, Settings.for_inpainting, Settings.for_draft):
        assert getattr(adapted(made), absent) is None
        assert adapted(made) == dataclasses.replace(adapted(quick), **{absent: None})


def test_settings_are_values(quick: Settings) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        quick.prior = PriorSettings(1)
    changed = dataclasses.replace(quick, prior=dataclasses.replace(quick.prior, num_inference_steps=9))
    assert (changed.prior.num_inference_steps, quick.prior.num_inference_steps) == (9, 3)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 1001}, "1000"),
        ({"num_inference_steps": 2.5}, "num_inference_steps"),
        ({"num_inference_steps": True}, "num_inference_steps"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": "4"}, "guidance_scale"),
        ({"scheduler": "euler"}, "unipc"),
        ({"guidance_interval": (0.8, 0.2)}, "guidance_interval"),
        ({"guidance_interval": (0.0, 1.1)}, "guidance_interval"),
        ({"guidance_interval": 0.5}, "guidance_interval"),
    ],
)
def test_a_stage_refuses_what_is_out_of_range(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        GuidedSettings(**{"num_inference_steps": 5, **changes})


def test_unknown_and_missing_keys_are_named(quick: Settings) -> None:
    with pytest.raises(ValueError, match="'decodre'"):
        Settings.from_dict({**quick.to_dict(), "decodre": {}})
    with pytest.raises(ValueError, match="'decoder'"):
        Settings.from_dict({name: stage for name, stage in quick.to_dict().items() if name != "decoder"})
    with pytest.raises(ValueError, match="'cfg'"):
        Settings.from_dict({**quick.to_dict(), "prior": {"num_inference_steps": 3, "cfg": 2}})
    with pytest.raises(ValueError, match="table"):
        Settings.from_dict({**quick.to_dict(), "prior": 25})


@pytest.mark.parametrize("kind", ["diffusion", "autoregressive", "linear"])
def test_a_draft_takes_at_most_four_steps(quick: Settings, kind: str) -> None:
    prior = dataclasses.replace(quick.prior, guidance_scale=4.0, candidates=4, kind=kind)
    draft = dataclasses.replace(quick, prior=prior).for_draft()
    stages = (draft.prior, draft.decoder, draft.upsampler)
    assert sum(stage.num_inference_steps for stage in stages) <= 4
    assert draft.prior.kind == kind and draft.prior.candidates == 1
    assert draft.prior.guidance_scale == (2.0 if kind == "diffusion" else 4.0)
    assert draft.decoder.guidance_scale == quick.decoder.guidance_scale


def test_the_upsampler_is_never_guided(quick: Settings) -> None:
    with pytest.raises(ValueError, match="upsampler"):
        UpsamplerSettings.from_dict({"num_inference_steps": 3, "guidance_scale": 2.0})


@pytest.mark.parametrize("prompt", ["a cat", "кошка", "一只猫", "قطة", "बिल्ली", "🐱‍👓", "a\tcat\nface", "é" * 1000])
def test_prompts_of_any_script_pass(prompt: str) -> None:
    assert check_prompt(f"  {prompt} \n") == prompt


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("", "empty"), (" \n ", "empty"), ("x" * 10_000, "10,000"), (None, "text"), ("\ud800", "half")],
)
def test_other_prompts_do_not(prompt: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_prompt(prompt)


def test_seeds() -> None:
    assert [check_seed(0), check_seed(MAX_SEED)] == [0, MAX_SEED]
    for seed in (-1, MAX_SEED + 1, 1.0, "7", None, True):
        with pytest.raises(ValueError, match="seed"):
            check_seed(seed)


def test_a_step_draws_only_when_asked() -> None:
    asked = []
    step = Step("decoder", 1, 2, lambda: asked.append(1) or ["picture"])
    assert not asked and step == Step("decoder", 1, 2)
    assert step.pictures() == ["picture"] and asked
    assert Step("prior", 1, 2).pictures() == []
