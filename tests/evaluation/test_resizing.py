"""The three ways to 299 pixels, each against its definition written a second time."""

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.networks.resizing import RESIZES, clean, legacy_tf, legacy_torch

SIZES = [(64, 64), (256, 256), (640, 427), (299, 299), (301, 1)]


def noise(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
def test_clean_is_pillows_float_bicubic_to_the_last_bit(size: tuple[int, int]) -> None:
    pixels = np.asarray(noise(size))
    expected = []
    for channel in range(3):
        band = Image.fromarray(pixels[:, :, channel].astype(np.float32))
        assert band.mode == "F"
        expected.append(np.asarray(band.resize((299, 299), resample=Image.BICUBIC)).clip(0, 255))
    assert np.array_equal(clean(noise(size)).numpy(), np.stack(expected))


def test_clean_is_not_rounded() -> None:
    picture = noise((64, 64)).point(lambda level: 100 + level // 8)  # away from the ends, where Pillow clips twice
    rounded = np.asarray(picture.resize((299, 299), Image.BICUBIC)).transpose(2, 0, 1)
    apart = np.abs(clean(picture).numpy() - rounded)
    assert 0 < apart.max() < 1.5 and (apart > 0).mean() > 0.9


@pytest.mark.parametrize("size", [(64, 40), (299, 299), (301, 1)])
def test_legacy_tf_is_interpolation_from_the_corner(size: tuple[int, int]) -> None:
    pixels = np.asarray(noise(size), dtype=np.float64)
    expected = np.empty((3, 299, 299))
    for y, x in np.ndindex(299, 299):
        across, down = x * size[0] / 299, y * size[1] / 299
        left, top = int(across + 1e-6), int(down + 1e-6)
        right, bottom = min(left + 1, size[0] - 1), min(top + 1, size[1] - 1)
        upper = pixels[top, left] + (pixels[top, right] - pixels[top, left]) * (across - left)
        lower = pixels[bottom, left] + (pixels[bottom, right] - pixels[bottom, left]) * (across - left)
        expected[:, y, x] = upper + (lower - upper) * (down - top)
    assert np.abs(legacy_tf(noise(size)).numpy() - expected).max() < 0.01


@pytest.mark.parametrize("size", SIZES)
def test_legacy_torch_is_that_of_pytorch_fid(size: tuple[int, int]) -> None:
    unit = torch.from_numpy(np.array(noise(size))).permute(2, 0, 1)[None] / 255
    expected = torch.nn.functional.interpolate(unit, (299, 299), mode="bilinear", align_corners=False)[0] * 255
    assert torch.allclose(legacy_torch(noise(size)), expected, atol=1e-4)


def test_all_give_the_same_form_and_different_numbers() -> None:
    made = [resize(noise((64, 64))) for resize in RESIZES.values()]
    assert all(one.shape == (3, 299, 299) and one.dtype == torch.float32 for one in made)
    assert all(one.min() >= 0 and one.max() <= 255 for one in made)
    for index, one in enumerate(made):
        assert all((one - other).abs().max() > 1 for other in made[:index])


def test_a_picture_of_299_pixels_stays_as_it_is() -> None:
    picture = noise((299, 299))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    assert all(torch.equal(resize(picture), pixels) for resize in RESIZES.values())
