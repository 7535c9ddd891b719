"""SSIM, MS-SSIM, PSNR and LPIPS against second implementations; pairs, anchors and the modes that draw."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as torchmetrics
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from dalle2 import images
from dalle2.families import load
from evaluation import ssim_psnr
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.lpips import Lpips
from evaluation.metrics.similarity import compare


def noisy_pair(height: int, width: int, noise: int = 40) -> tuple[Image.Image, Image.Image]:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.uniform(0, 255, (height, width, 3)), (3, 3, 0)) * 3 - 255
    a = smooth.clip(0, 255).astype(np.uint8)
    b = (a.astype(int) + rng.integers(-noise, noise + 1, a.shape)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(a), Image.fromarray(b)


def as_batch(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].double()


def test_ms_ssim_is_that_of_torchmetrics() -> None:
    a, b = noisy_pair(176, 193)
    found = compare(a, b)
    x, y = as_batch(a), as_batch(b)
    theirs = torchmetrics.multiscale_structural_similarity_index_measure(x, y, data_range=255.0)
    assert found.ms_ssim == pytest.approx(float(theirs), abs=2e-3)  # theirs reflects the border of the last scale


@pytest.mark.parametrize("noise", [3, 40, 255])
def test_ssim_and_psnr_are_those_of_scikit_image(noise: int) -> None:
    """Its Gaussian window of 11 pixels, population covariance, and the border of 5 pixels cropped."""
    a, b = noisy_pair(40, 57, noise)
    x, y = np.asarray(a), np.asarray(b)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = structural_similarity(x, y, data_range=255, channel_axis=2, **options)
    assert compare(a, b).ssim == pytest.approx(ssim, abs=1e-9)
    assert compare(a, b).psnr == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255))


@pytest.mark.parametrize("noise", [3, 40, 255])
def test_the_other_rule_of_the_border_is_torchmetrics_s(noise: int) -> None:
    a, b = noisy_pair(40, 57, noise)
    x, y = as_batch(a), as_batch(b)
    theirs = float(torchmetrics.structural_similarity_index_measure(x, y, data_range=255.0))
    assert compare(a, b, "reflected").ssim == pytest.approx(theirs, abs=1e-9)
    assert abs(compare(a, b).ssim - theirs) > 1e-5  # no arguments make both agree


def test_a_picture_is_like_itself() -> None:
    a, _ = noisy_pair(176, 180)
    found = compare(a, a)
    assert (found.ssim, found.ms_ssim, found.psnr, found.identical) == (pytest.approx(1), pytest.approx(1), 100.0, True)
    assert compare(a.crop((0, 0, 175, 180)), a.crop((0, 0, 175, 180))).ms_ssim is None


@pytest.mark.parametrize(("sizes", "said"), [(((20, 20), (20, 21)), "--size"), (((10, 30), (10, 30)), "at least 11")])
def test_sizes_that_cannot_be_compared(sizes: tuple[tuple[int, int], tuple[int, int]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compare(*(Image.new("RGB", size) for size in sizes))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pictures, and the same with noise, with other endings."""
    a, b = tmp_path / "a", tmp_path / "b"
    b.mkdir()
    for index in range(3):
        real, made = noisy_pair(32 + index, 32 + index, 10 * (index + 1))
        images.save(made, a / f"{index}.png")
        real.save(b / f"{index}.BMP")
    return a, b


Run = Callable[..., dict[str, dict]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command -> its measures by name."""

    def run(*arguments: object) -> dict[str, dict]:
        report = tmp_path / "report.json"
        ssim_psnr.main([*map(str, arguments), "--device", "cpu", "--report", str(report)])
        return {one["label"]: one for one in json.loads(report.read_text())["measures"]}

    return run


def test_two_folders_are_paired_by_name(folders: tuple[Path, Path], run: Run) -> None:
    a, b = folders
    found = run("--images", a, "--reference", b)
    expected = [compare(images.open_picture(a / f"{i}.png"), images.open_picture(b / f"{i}.BMP")) for i in range(3)]
    assert found["SSIM"]["value"] == pytest.approx(np.mean([one.ssim for one in expected]))
    assert found["PSNR in dB"]["value"] == pytest.approx(np.mean([one.psnr for one in expected]))
    assert found["PSNR in dB"]["n"] == 3


def test_the_border_s_rule_is_in_the_name(folders: tuple[Path, Path], run: Run) -> None:
    a, b = folders
    found = run("--images", a, "--reference", b, "--border", "reflected")
    expected = [
        compare(images.open_picture(a / f"{i}.png"), images.open_picture(b / f"{i}.BMP"), "reflected") for i in range(3)
    ]
    assert found["SSIM (border reflected)"]["value"] == pytest.approx(np.mean([one.ssim for one in expected]))
    assert found["SSIM (border reflected)"]["details"]["window"].endswith("border reflected") and "SSIM" not in found


def test_the_anchors(folders: tuple[Path, Path], run: Run) -> None:
    a, b = folders
    found = run("--images", a, "--reference", b, "--size", 32)
    reals = [images.open_picture(b / f"{index}.BMP") for index in range(3)]
    assert found["PSNR in dB (anchor, mean colour)"]["better"] == ""
    reals = [real.resize((32, 32), Image.Resampling.BICUBIC) for real in reals]
    flat = [
        Image.new("RGB", (32, 32), tuple(np.asarray(real).mean((0, 1)).round().astype(int).tolist())) for real in reals
    ]
    values = [compare(one, real).psnr for one, real in zip(flat, reals, strict=True)]
    assert found["PSNR in dB (anchor, mean colour)"]["value"] == pytest.approx(np.mean(values))
    unrelated = [compare(reals[index - 1], reals[index]).ssim for index in range(3)]
    assert found["SSIM (anchor, unrelated picture)"]["value"] == pytest.approx(np.mean(unrelated))


def test_several_pictures_of_one_reference_are_one_and_no_strangers(tmp_path: Path, run: Run) -> None:
    """Three drawings of each photograph, beside as many copies of it: the copy is no unrelated picture."""
    reals, expected = [], []
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        reals.append(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC))
        for number in range(3):
            noise = np.random.default_rng(10 * index + number).integers(-9 * index, 9 * index + 1, (32, 32, 3))
            made = Image.fromarray((np.asarray(reals[-1]) + noise).clip(0, 255).astype(np.uint8))
            images.save(made, tmp_path / "a" / f"{index}-{number}.png")
            images.save(reals[-1], tmp_path / "b" / f"{index}-{number}.png")
            expected.append(compare(made, reals[-1]).ssim)
    found = run("--images", tmp_path / "a", "--reference", tmp_path / "b")
    own = np.repeat(np.arange(4), 3)
    assert found["SSIM"]["interval"] == pytest.approx(mean_interval(expected, blocks=own))
    assert found["SSIM"]["interval"] != pytest.approx(mean_interval(expected))
    unrelated = np.mean([compare(reals[index - 1], reals[index]).ssim for index in range(4)])
    assert found["SSIM (anchor, unrelated picture)"]["value"] == pytest.approx(unrelated)
    warnings = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert any("from the 4 sets of such pairs, not from the 12 pairs" in note for note in warnings)
    for file in (tmp_path / "b").iterdir():
        images.save(reals[0], file)
    found = run("--images", tmp_path / "a", "--reference", tmp_path / "b")
    assert "SSIM (anchor, unrelated picture)" not in found and "SSIM (anchor, mean colour)" in found
    warnings = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert any(note.startswith("All pairs are of one picture or prompt") for note in warnings)


@pytest.mark.parametrize("order", [(200, 200, 100, 100), (100, 100, 200, 200), (100, 200, 100, 100)])
def test_ms_ssim_is_of_the_pictures_that_are_large_enough(tmp_path: Path, run: Run, order: tuple[int, ...]) -> None:
    large = []
    for index, side in enumerate(order):
        pair = noisy_pair(side, side)
        for name, picture in zip("ab", pair, strict=True):
            images.save(picture, tmp_path / name / f"{index}.png")
        large += [compare(*pair).ms_ssim] if side == 200 else []
    found = run("--images", tmp_path / "a", "--reference", tmp_path / "b")
    assert found["MS-SSIM"]["n"] == len(large)
    assert found["MS-SSIM"]["value"] == pytest.approx(np.mean(large))
    read = json.loads((tmp_path / "report.json").read_text())
    (told,) = (warning for warning in read["warnings"] if "MS-SSIM" in warning)
    small = order.index(100)
    assert told.startswith(f"MS-SSIM is left out for {4 - len(large)} of 4 pictures (as {small}.png)")
    assert read["provenance"]["size"] == "100×100 to 200×200"


def test_accents_pair_and_what_is_left_out_is_told(tmp_path: Path, run: Run) -> None:
    for folder, form in (("a", "NFC"), ("b", "NFD")):
        for name in ("café", "naïve"):
            images.save(noisy_pair(20, 20)[0], tmp_path / folder / f"{unicodedata.normalize(form, name)}.png")
    (tmp_path / "b" / "photo.heic").touch()
    assert run("--images", tmp_path / "a", "--reference", tmp_path / "b")["SSIM"]["n"] == 2
    warnings = json.loads((tmp_path / "report.json").read_text())["warnings"]
    assert "Not measured of b: files ending in .heic: 1 (as photo.heic)." in warnings


@pytest.mark.parametrize(("side", "said"), [(30, "30×30 pixels, and its partner 20×20"), (0, "not a picture")])
def test_the_file_of_a_pair_that_cannot_be_compared_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: int, said: str
) -> None:
    for folder in "ab":
        for name in ("0.png", "1.png"):
            images.save(noisy_pair(20, 20)[0], tmp_path / folder / name)
    if side:
        images.save(noisy_pair(side, side)[0], tmp_path / "b" / "0.png")
    else:
        (tmp_path / "b" / "0.png").write_text("words")
    with pytest.raises(SystemExit):
        ssim_psnr.main(["--images", str(tmp_path / "a"), "--reference", str(tmp_path / "b")])
    error = capsys.readouterr().err
    assert str(tmp_path / "b" / "0.png") in error and said in error


def test_a_picture_without_a_partner_is_named(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folders
    (b / "1.BMP").unlink()
    with pytest.raises(SystemExit) as stopped:
        ssim_psnr.main(["--images", str(a), "--reference", str(b)])
    assert stopped.value.code == 2
    assert f"no partner for 1 pictures, the first is {a / '1.png'}" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["reconstruction", "inversion", "upsampler"])
def test_real_pictures_through_a_checkpoint(
    folders: tuple[Path, Path], run: Run, tiny_checkpoint: Path, mode: str
) -> None:
    few = ("--steps", 4) if mode == "inversion" else ()
    arguments = ("--reference", folders[1], "--checkpoint", tiny_checkpoint, "--mode", mode, *few)
    found = run(*arguments)
    assert found["SSIM"]["n"] == 3
    assert -1 <= found["SSIM"]["value"] <= 1
    assert run(*arguments)["SSIM"]["value"] == found["SSIM"]["value"]


@pytest.mark.parametrize("refinements", [0, 1])
def test_the_round_trip_is_measured_at_the_decoder_s_size(
    folders: tuple[Path, Path], run: Run, tiny_checkpoint: Path, tmp_path: Path, refinements: int
) -> None:
    arguments = ("--reference", folders[1], "--checkpoint", tiny_checkpoint, "--mode", "inversion", "--at", "decoder")
    found = run(*arguments, "--steps", 5, "--refinements", refinements)
    facts = json.loads((tmp_path / "report.json").read_text())["provenance"]
    assert (facts["at"], facts["size"], facts["refinements"]) == ("decoder", "16×16", refinements)
    assert facts["settings"]["decoder"]["num_inference_steps"] == 5
    model, steps = load(tiny_checkpoint), []
    real = [images.square(images.open_picture(path), 32) for path in sorted(folders[1].iterdir())]
    model.reconstruct(
        real, seeds=[0, 1, 2], settings=model.settings.for_inversion(5), on_step=steps.append, refinements=refinements
    )
    back = next(step for step in steps if (step.stage, step.index) == ("decoder", 5)).pictures()
    expected = [compare(one, images.square(whole, 16)) for one, whole in zip(back, real, strict=True)]
    assert found["PSNR in dB"]["value"] == pytest.approx(np.mean([one.psnr for one in expected]), abs=0.05)
    assert found["SSIM"]["value"] == pytest.approx(np.mean([one.ssim for one in expected]), abs=0.01)


def test_the_upsampler_has_no_decoder_s_size(
    folders: tuple[Path, Path], tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--reference", folders[1], "--checkpoint", tiny_checkpoint, "--mode", "upsampler", "--at", "decoder"]
    with pytest.raises(SystemExit) as stopped:
        ssim_psnr.main([str(word) for word in arguments])
    assert stopped.value.code == 2
    assert "leave out --at decoder" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["pairs", "upsampler"])
def test_modes_and_folders_must_agree(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    images_too = [] if mode == "pairs" else ["--images", str(folders[0])]
    with pytest.raises(SystemExit) as stopped:
        ssim_psnr.main(["--reference", str(folders[1]), "--mode", mode, *images_too])
    assert stopped.value.code == 2
    assert "--images" in capsys.readouterr().err


def alexnet() -> nn.Sequential:
    """torchvision's features of AlexNet, as it writes them."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )


def test_lpips_by_hand(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = alexnet()
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, tmp_path / "alexnet.pth")
    lpips = Lpips(tmp_path / "alexnet.pth")
    a, b = noisy_pair(64, 64)
    heads = Path(torchmetrics.__file__).parent / "lpips_models" / "alex.pth"
    weights = list(torch.load(heads, "cpu", weights_only=True).values())
    x = torch.cat([as_batch(a), as_batch(b)]).float() / 127.5 - 1
    mean, deviation = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    total = 0.0
    with torch.no_grad():
        for index, layer in enumerate(network):
            x = layer(x)
            if index in (1, 4, 7, 9, 11):
                one, other = torch.nn.functional.normalize(x, dim=1)
                head = weights[(1, 4, 7, 9, 11).index(index)].flatten()
                total += float((head[:, None, None] * (one - other) ** 2).sum(0).mean())
    assert lpips(a, b) == pytest.approx(total, rel=1e-4)
    assert lpips(a, a) == 0
    with pytest.raises(ValueError, match="needs larger pictures than 20×20: bring both to a larger --size"):
        lpips(*noisy_pair(20, 20))
    assert lpips.name == "alex"


def test_lpips_refuses_other_weights(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    for path in (tmp_path / "other.pth", tmp_path / "absent.pth"):
        with pytest.raises(ValueError, match=r"LPIPS weights|AlexNet or VGG16"):
            Lpips(path)
