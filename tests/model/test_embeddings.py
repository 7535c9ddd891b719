"""Exact identities of the maths on embeddings."""

import math

import pytest
import torch

from dalle2 import embeddings


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * 3


def test_slerp_meets_its_ends(rows: torch.Tensor) -> None:
    assert torch.allclose(embeddings.slerp(rows[:2], rows[2:4], 0.0), rows[:2], atol=1e-6)
    assert torch.allclose(embeddings.slerp(rows[:2], rows[2:4], 1.0), rows[2:4], atol=1e-6)


@pytest.mark.parametrize("cosine", [0.2, 0.6, 0.9, -0.5])
@pytest.mark.parametrize("weight", [0.25, 0.5, 0.9])
def test_slerp_keeps_the_length_and_shares_the_angle(cosine: float, weight: float) -> None:
    start = torch.tensor([14.0, 0.0])
    end = 14.0 * torch.tensor([cosine, math.sqrt(1 - cosine**2)])
    point = embeddings.slerp(start, end, weight)
    assert point.norm().item() == pytest.approx(14.0, abs=1e-4)
    assert math.atan2(point[1], point[0]) == pytest.approx(weight * math.acos(cosine), abs=1e-5)


def test_slerp_of_one_direction_blends_straight(rows: torch.Tensor) -> None:
    assert torch.allclose(embeddings.slerp(rows[0], rows[0], 0.3), rows[0], atol=1e-5)
    assert torch.allclose(embeddings.slerp(rows[0], 3 * rows[0], 0.5), 2 * rows[0], atol=1e-4)


def test_slerp_between_opposites_keeps_the_length_too(rows: torch.Tensor) -> None:
    way = torch.stack([embeddings.slerp(rows, -2 * rows, weight / 8) for weight in range(9)])
    lengths = torch.linspace(1, 2, 9)[:, None] * rows.norm(dim=-1)
    assert torch.allclose(way.norm(dim=-1), lengths, rtol=1e-5)
    assert torch.allclose(way[0], rows, atol=1e-5) and torch.allclose(way[8], -2 * rows, atol=1e-5)
    angles = torch.nn.functional.cosine_similarity(way[1:], way[:-1], dim=-1).acos()
    assert torch.allclose(angles, torch.full_like(angles, math.pi / 8), atol=1e-3)


def test_a_path_visits_every_end(rows: torch.Tensor) -> None:
    points = embeddings.path(rows[:3], [0, 0.25, 0.5, 1])
    assert torch.allclose(points[[0, 2, 3]], rows[:3], atol=1e-5)
    assert torch.allclose(points[1], embeddings.slerp(rows[0], rows[1], 0.5), atol=1e-5)
    with pytest.raises(ValueError, match="from 0 to 1"):
        embeddings.path(rows, [1.5])


def test_a_mix_keeps_the_length(rows: torch.Tensor) -> None:
    mixed = embeddings.mix(rows, [1, 2, 3, 4, 5])
    assert mixed.norm().item() == pytest.approx(
        (rows.norm(dim=-1) @ torch.tensor([1.0, 2, 3, 4, 5])).item() / 15, rel=1e-5
    )
    assert torch.allclose(embeddings.mix(rows, [0, 7, 0, 0, 0]), rows[1], atol=1e-5)
    assert torch.allclose(mixed, embeddings.mix(rows, [10, 20, 30, 40, 50]), atol=1e-5)


@pytest.mark.parametrize(
    "weights", [[1], [0, 0, 0, 0, 0], [1, 1, 1, 1, -4], [0.1, 0.2, -0.3, 0, 0], [1, 1, 1, 1, math.nan]]
)
def test_a_mix_refuses_bad_weights(rows: torch.Tensor, weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        embeddings.mix(rows, weights)


def test_a_negative_weight_takes_away(rows: torch.Tensor) -> None:
    mixed = embeddings.mix(rows[:2], [1.0, -0.5])
    sum_of_both = rows[0] - 0.5 * rows[1]
    assert torch.nn.functional.cosine_similarity(mixed, sum_of_both, dim=0).item() == pytest.approx(1, abs=1e-6)
    lengths = rows[:2].norm(dim=-1)
    assert mixed.norm().item() == pytest.approx((lengths[0] + 0.5 * lengths[1]).item() / 1.5, rel=1e-5)
    with pytest.raises(ValueError, match="cancel"):
        embeddings.mix(torch.stack([rows[0], 2 * rows[0]]), [2, -1])


def test_a_text_diff_is_the_direction_between(rows: torch.Tensor) -> None:
    length = torch.full((1, 1), 7.0)
    direction = embeddings.text_diff(rows[:1], rows[1:2], length)
    assert direction.norm().item() == pytest.approx(7, rel=1e-5)
    opposite = embeddings.text_diff(rows[1:2], rows[:1], length)
    assert torch.allclose(direction, -opposite, atol=1e-5)
    with pytest.raises(ValueError, match="mean the same"):
        embeddings.text_diff(rows[:1], rows[:1], length)


def test_principal_axes_are_ordered_and_complete() -> None:
    spread = torch.tensor([5.0, 3.0, 1.0, 0.1])
    rows = torch.randn(400, 4, generator=torch.Generator().manual_seed(1)) * spread + 2
    mean, axes = embeddings.principal_axes(rows)
    assert torch.allclose(axes @ axes.T, torch.eye(4, dtype=axes.dtype), atol=1e-9)
    assert axes.abs().argmax(1).tolist() == [0, 1, 2, 3]
    assert torch.allclose(embeddings.project(rows[3], mean, axes[:0]), mean.float())
    assert torch.allclose(embeddings.project(rows[3], mean, axes), rows[3], atol=1e-5)
    errors = [(embeddings.project(rows[3], mean, axes[:k]) - rows[3]).norm().item() for k in range(5)]
    assert errors == sorted(errors, reverse=True)
    with pytest.raises(ValueError, match="two embeddings"):
        embeddings.principal_axes(rows[:1])
