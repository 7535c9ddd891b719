"""A step of each stage as a GPU sees it, without a GPU: on tensors that have a place but no values.

Torch refuses to mix them with the CPU's, and to tell a number of theirs: on a GPU that is what a step waits for.
"""

import contextlib

import pytest
import torch

from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.training.estimate import invented_stages
from dalle2.training.recipe import Recipe
from dalle2.training.stage import TrainingStage

ELSEWHERE = torch.device("meta")
SIZES = {
    "clip": {"embedding_dim": 32, "text_layers": 1, "picture_layers": 1, "picture_width": 32, "vocabulary": 600},
    "text": {"lexicon_texts": 2},
    "data": {"lexicon": "not-read.parquet"},
    "prior": {"width": 32, "head_dim": 16, "layers": 1},
    "prior_autoregressive": {"width": 32, "head_dim": 16, "layers": 1, "components": 8, "buckets": 8},
    "decoder": {
        "picture_size": 16,
        "channels": (32, 32),
        "attention_from": 1,
        "time_embedding_dim": 32,
        "augment": 0.5,
        "feature_weight": 0.1,
    },
    "upsampler": {"picture_size": 64, "channels": (16, 16), "crop": 16, "full_share": 0.0},
}
STAGES = ("clip", "text", "prior", "prior_autoregressive", "decoder", "super_res_first", "super_res_last")


class DrawnElsewhere(Randomness):
    """The draws of a device whose generator this machine lacks."""

    def __post_init__(self) -> None:
        self.device = torch.device("cpu")
        super().__post_init__()
        self.device, self.generator = ELSEWHERE, None


@pytest.fixture(scope="module")
def stages() -> dict[str, TrainingStage]:
    return {stage.name: stage for stage, _ in invented_stages(Recipe.model_validate(SIZES))}


@pytest.mark.parametrize("name", STAGES)
def test_a_step_stays_on_its_device_and_looks_at_no_number(
    stages: dict[str, TrainingStage], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # unknown to this place
    stage = stages[name].to(ELSEWHERE)
    rgba = torch.empty(8, 4, 64, 64, dtype=torch.uint8, device=ELSEWHERE)
    pictures = PicturesInMemory([{}] * 8, rgba, [["a dry run"]] * 8)
    randomness = DrawnElsewhere(0, name, 0, 8)
    losses = stage(pictures.batch(randomness, stage.per_concept), randomness)
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(stage.trained().values(), 1.0)
    assert all(value.device == ELSEWHERE for value in losses.values())


def test_a_step_that_looks_at_a_number_would_be_seen() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        float(torch.ones((), device=ELSEWHERE))
    with pytest.raises(RuntimeError, match="meta"):
        torch.ones(3) * torch.ones(3, device=ELSEWHERE)
