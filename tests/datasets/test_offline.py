"""Training without a network: what goes there comes out the same, and what comes back is whole."""

import json
import tarfile
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from test_emoji import packages, tarballs  # noqa: F401 (fixtures)

from dalle2.datasets import emoji, vectors
from dalle2.datasets.lexicon import Lexicon
from dalle2.datasets.packages import BuildError, Package
from dalle2.offline import results
from dalle2.offline.__main__ import main
from dalle2.offline.wheels import lacking


def test_a_packed_set_is_drawn_as_it_was(
    packages: list[Package],  # noqa: F811
    tarballs: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    emoji.build(tmp_path / "set", 64, tarballs, packages)
    count = vectors.pack(tmp_path / "set", tmp_path / "drawings.parquet", tarballs, packages)
    assert vectors.unpack(tmp_path / "drawings.parquet", tmp_path / "again", 64) == count
    for split in ("train", "test"):
        one, other = (
            datasets.load_dataset("parquet", data_files=str(tmp_path / name / "data" / f"{split}-*"), split="train")
            for name in ("set", "again")
        )
        assert one.features == other.features
        for before, after in zip(one, other, strict=True):
            assert np.array_equal(np.asarray(before.pop("image")), np.asarray(after.pop("image")))
            assert before == after
    with pytest.raises(BuildError, match="is not an emoji set"):
        vectors.pack(tmp_path / "nowhere", tmp_path / "none.parquet", tarballs, packages)


def test_a_shrunken_lexicon_says_the_same(tmp_path: Path) -> None:
    concepts = np.array([["1f431", "1f436"]] * 3)
    shares = np.array([[0.7, 0.3], [0.9, 0.1], [0.5, 0.5]], np.float32)
    Lexicon(["cat", "kitten", "pet"], concepts, shares).write(tmp_path / "whole.parquet")
    vectors.shrink_lexicon(tmp_path / "whole.parquet", tmp_path / "small.parquet")
    small = Lexicon.read(tmp_path / "small.parquet")
    assert list(small.texts) == ["cat", "kitten", "pet"]
    assert small.concepts.tolist() == concepts.tolist()
    assert np.allclose(small.shares.astype(np.float32), shares, atol=1e-3)


def test_only_what_the_machine_lacks_goes_along(tmp_path: Path) -> None:
    listing = tmp_path / "machine.txt"
    listing.write_text("torch==2.11.0+cu130\ntransformers @ file:///somewhere\nnumpy 2.5.2\nPyArrow==21.0\n")
    names = {line.partition("==")[0] for line in lacking(listing)}
    assert {"diffusers", "datasets", "pydantic", "pydantic-core", "dill", "safetensors"} <= names
    assert not names & {"torch", "transformers", "numpy", "pyarrow", "nvidia-cudnn-cu13", "gradio"}
    listing.write_text("numpy==2.5.2\n")
    with pytest.raises(ValueError, match="does not list torch"):
        lacking(listing)


def test_one_file_holds_code_recipe_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "one.png")
    recipe = tmp_path / "some.toml"
    recipe.write_text('[data]\nsource = "pictures"\n')
    monkeypatch.chdir(tmp_path)  # where the source of the recipe lies
    assert main([str(recipe), "--out", "run.tar"]) == 0
    with tarfile.open(tmp_path / "run.tar") as tar:
        names = set(tar.getnames())
    assert {"train.py", "recipe.toml", "pictures/one.png", "dalle2/training/parallel.py"} <= names
    assert not [name for name in names if "checkpoints" in name or "__pycache__" in name]
    capsys.readouterr()
    assert main([str(recipe), "--out", "run.tar"]) == 1
    assert capsys.readouterr().err == "Error: run.tar exists already: name another file, or remove it first.\n"


def test_results_travel_in_pieces_and_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PIECE", 20_000)
    stage = tmp_path / "run" / "decoder"
    stage.mkdir(parents=True)
    content = np.random.default_rng(0).bytes(50_000)
    (stage / "weights").write_bytes(content)
    (tmp_path / "run" / "snapshots").mkdir()
    (tmp_path / "run" / "reports").mkdir()
    (tmp_path / "run" / "reports" / "decoder.json").write_text('{"steps": 3}')
    files = results.keep(tmp_path / "run", tmp_path / "out")
    assert all(file.stat().st_size <= 20_000 for file in files)
    pieces = [file for file in files if ".tar." in file.name]
    assert len(pieces) > 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(file.name for file in files)
    whole = tmp_path / "whole.tar"
    whole.write_bytes(b"".join(piece.read_bytes() for piece in sorted(pieces)))
    with tarfile.open(whole) as tar:
        assert tar.extractfile("decoder/weights").read() == content
        assert "snapshots" not in tar.getnames()
    assert json.loads((tmp_path / "out" / "reports.json").read_text()) == {"decoder": {"steps": 3}}
    with pytest.raises(ValueError, match="neither a checkpoint nor a finished stage"):
        results.keep(tmp_path / "run" / "snapshots", tmp_path / "none")
