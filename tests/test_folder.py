"""A folder of pictures: what is found, in what order, and what the loader makes of every kind of file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.folder import batches, canonical, find_pictures


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture))


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_what_is_found_and_in_what_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/2.jpg", "a/10.JPEG", "a.webp", ".hidden.png", ".cache/x.png", ".c.png.7.partial", "n.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert found == ["a.webp", "a/10.JPEG", "a/2.jpg", "b.PNG"]


def test_a_hidden_folder_itself_may_be_measured(tmp_path: Path) -> None:
    folder = tmp_path / ".pictures"
    folder.mkdir()
    noise(4, 4).save(folder / "a.png")
    assert find_pictures(folder) == [folder / "a.png"]


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        find_pictures(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no pictures"):
        find_pictures(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 31), (7, 7), (16, 16), (1, 50)])
def test_canonical_form(width: int, height: int) -> None:
    made = canonical(noise(width, height), 16)
    assert made.size == (16, 16)
    assert canonical(made, 16) is made and canonical(made, None) is made


def test_canonical_form_keeps_the_centre() -> None:
    picture = Image.new("RGB", (48, 16), "red")
    picture.paste("blue", (16, 0, 32, 16))
    assert set(canonical(picture, 16).get_flattened_data()) == {(0, 0, 255)}
    resized = noise(32, 64).resize((16, 32), Image.Resampling.BICUBIC).crop((0, 8, 16, 24))
    assert canonical(noise(32, 64), 16).tobytes() == resized.tobytes()


def test_every_kind_of_picture_comes_as_rgb(tmp_path: Path) -> None:
    kinds = {"a.png": "L", "b.jpg": "CMYK", "c.png": "RGBA", "d.png": "P", "e.png": "1", "f.webp": "RGB", "g.png": "LA"}
    for index, (name, mode) in enumerate(kinds.items()):
        noise(20 + index, 24, mode).save(tmp_path / name)
    Image.fromarray(np.full((20, 24), 40_000, dtype=np.uint16)).save(tmp_path / "h.png")
    (batch,) = batches(find_pictures(tmp_path), as_tensor, size=8, workers=0)
    assert batch.shape == (8, 8, 8, 3)
    assert (batch[7] == 40_000 >> 8).all()


def test_batches_are_the_same_with_workers(tmp_path: Path) -> None:
    for index in range(5):
        noise(8, 8, seed=index).save(tmp_path / f"{index}.png")
    paths = find_pictures(tmp_path)
    alone = list(batches(paths, as_tensor, batch_size=2, workers=0))
    assert [len(batch) for batch in alone] == [2, 2, 1]
    assert torch.equal(torch.cat(alone), torch.cat(list(batches(paths, as_tensor, batch_size=3, workers=2))))
    with pytest.raises(ValueError, match="at least one picture"):
        next(batches(paths, as_tensor, batch_size=0))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_opened_is_named(tmp_path: Path, workers: int) -> None:
    noise(8, 8).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png cannot be measured: .*damaged"):
        list(batches(find_pictures(tmp_path), as_tensor, workers=workers))
    (tmp_path / "b.png").write_text("words")
    with pytest.raises(ValueError, match=r"b\.png cannot be measured: This is not a picture"):
        list(batches(find_pictures(tmp_path), as_tensor, workers=workers))
