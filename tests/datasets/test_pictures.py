"""Training batches of a set in the emoji builder's columns: grounds, captions, facts, grouping."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from datasets import Image as ImageColumn
from PIL import Image

from dalle2.datasets.batch import composite
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.sources import load_pictures

STYLES = ("twemoji", "noto", "openmoji")


@pytest.fixture(scope="module")
def emoji_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty concepts in three styles: a disc on nothing, one colour a concept."""
    folder = tmp_path_factory.mktemp("emoji")
    (folder / "data").mkdir()
    rows = []
    for concept in range(20):
        for style in STYLES:
            picture = Image.new("RGBA", (24, 24), (0, 0, 0, 0))
            picture.paste((10 * concept, 90, 200, 255), (6, 6, 18, 18))
            words = [{"language": "en", "label": f"thing {concept}", "tags": [f"tag {concept}", "thing"]}]
            row = {"image": picture, "concept": f"{concept:x}", "label": f"thing {concept}", "style": style}
            group = {"group": "things", "subgroup": "even" if concept % 2 == 0 else "odd"}
            rows.append(row | group | {"captions": words, "licence": "CC0-1.0", "held_out": ""})
    table = Dataset.from_list(rows).cast_column("image", ImageColumn())
    table.to_parquet(folder / "data" / "train-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def pictures(emoji_like: Path) -> PicturesInMemory:
    return load_pictures(str(emoji_like), "train", 16)


def test_an_epoch_shows_each_picture_once(pictures: PicturesInMemory) -> None:
    seen = [
        fact for step in range(4) for fact in pictures.batch(Randomness(1, "prior", step, 15)).facts[:, :2].tolist()
    ]
    assert sorted(map(tuple, seen)) == [(concept, style) for concept in range(20) for style in range(3)]


def test_grouped_batches_hold_different_styles_of_each_concept(pictures: PicturesInMemory) -> None:
    batch = pictures.batch(Randomness(1, "clip", 0, 18), per_concept=3)
    concepts = batch.facts[:, 0].reshape(6, 3)
    assert (concepts == concepts[:, :1]).all()
    assert len(set(concepts[:, 0].tolist())) == 6
    assert batch.facts[:, 1].reshape(6, 3).sort(1).values.tolist() == [[0, 1, 2]] * 6


def test_the_ground_is_the_one_the_caption_names(pictures: PicturesInMemory) -> None:
    coloured = 0
    for step in range(8):
        batch = pictures.batch(Randomness(2, "decoder", step, 30))
        corners = ((batch.pictures[:, :, 0, 0] + 1) * 127.5).round().long()
        packed = (corners[:, 0] << 16) | (corners[:, 1] << 8) | corners[:, 2]
        assert packed.tolist() == batch.facts[:, 2].tolist()
        for caption, fact in zip(batch.captions, batch.facts.tolist(), strict=True):
            if fact[4] == -1:
                assert fact[2] == 0xFFFFFF
                assert "background" not in caption
            coloured += fact[2] != 0xFFFFFF
    assert 30 < coloured < 90  # about a quarter of 240


def test_compositing_is_straight_alpha() -> None:
    rgba = torch.tensor([[255, 0, 0, 128]], dtype=torch.uint8).reshape(1, 4, 1, 1)
    mixed = composite(rgba, torch.tensor([[0, 0, 255]])).flatten()
    expected = torch.tensor([255 * 128 / 255, 0.0, 255 * 127 / 255]) / 127.5 - 1
    torch.testing.assert_close(mixed, expected)


def test_only_the_wanted_subgroups_are_kept(emoji_like: Path) -> None:
    odd = load_pictures(str(emoji_like), "train", 16, subgroups=("odd",))
    assert len(odd) == 30
    assert {row["subgroup"] for row in odd.records} == {"odd"}


def test_a_subgroup_that_is_not_there_is_refused(emoji_like: Path) -> None:
    with pytest.raises(ValueError, match="no picture of the subgroups"):
        load_pictures(str(emoji_like), "train", 16, subgroups=("nowhere",))


def test_splits_are_joined(emoji_like: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = (emoji_like / "data" / "train-00000.parquet").read_bytes()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}-00000.parquet").write_bytes(table)
    assert len(load_pictures(str(tmp_path), "train+test", 16)) == 120
    with pytest.raises(ValueError, match="Cannot open the split 'train\\+test'"):
        load_pictures(str(emoji_like), "train+test", 16)
