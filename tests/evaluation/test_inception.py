"""The FID Inception against a second implementation that reads the published state dict directly, and its files."""

import importlib
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from benchmarks.fid import random_weights
from evaluation.networks import inception
from evaluation.networks.inception import FILE, Inception, find_weights
from evaluation.networks.network import open_network, space_of

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return random_weights()


@pytest.fixture(scope="module")
def weights(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def levels() -> torch.Tensor:
    """Two pictures of noise, coarse and fine, at Inception's size."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for side in (9, 120)]
    return torch.stack([inception.RESIZES["clean"](picture) for picture in pictures])


@pytest.fixture(scope="module")
def forward(state: State, levels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Features by the naive network, batch norms and all, in float64, and those of TensorFlow's mixed_6/conv."""
    double = {name: values.double() for name, values in state.items()}
    features, middle = naive((levels.double() - 128) / 128, double)
    return features.numpy(), middle.numpy()


@pytest.fixture(scope="module")
def expected(forward: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return forward[0]


def naive(x: torch.Tensor, state: State) -> tuple[torch.Tensor, torch.Tensor]:
    """pytorch-fid's network as a function: (n, 3, 299, 299) -> (n, 2048), and (n, 192, 17, 17) on the way."""
    middle = x

    def layer(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        kernel = state[f"{name}.conv.weight"]
        outer = name.split(".")[0]
        unpadded = stride == 2 or outer in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")
        padding = 0 if unpadded else (kernel.shape[2] // 2, kernel.shape[3] // 2)
        x = F.conv2d(x, kernel, stride=stride, padding=padding)
        norm = [state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *norm, eps=0.001))

    def chain(block: str, names: str, x: torch.Tensor, last_stride: int = 1) -> torch.Tensor:
        *first, last = names.split()
        for name in first:
            x = layer(f"{block}.{name}", x)
        return layer(f"{block}.{last}", x, last_stride)

    def average(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):
        x = layer(name, x, 2 if name == "Conv2d_1a_3x3" else 1)
    x = F.max_pool2d(x, 3, 2)
    x = F.max_pool2d(layer("Conv2d_4a_3x3", layer("Conv2d_3b_1x1", x)), 3, 2)
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        branches = ("branch1x1", "branch5x5_1 branch5x5_2", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3")
        x = torch.cat([*(chain(block, names, x) for names in branches), chain(block, "branch_pool", average(x))], 1)
    reduced = chain("Mixed_6a", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", x, 2)
    x = torch.cat([chain("Mixed_6a", "branch3x3", x, 2), reduced, F.max_pool2d(x, 3, 2)], 1)
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        seven = [" ".join(f"branch7x7_{i}" for i in (1, 2, 3)), " ".join(f"branch7x7dbl_{i}" for i in range(1, 6))]
        branches = [chain(block, names, x) for names in ("branch1x1", *seven)]
        middle = branches[0] if block == "Mixed_6d" else middle
        x = torch.cat([*branches, chain(block, "branch_pool", average(x))], 1)
    three = chain("Mixed_7a", "branch3x3_1 branch3x3_2", x, 2)
    seven = chain("Mixed_7a", "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4", x, 2)
    x = torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)
    for block in ("Mixed_7b", "Mixed_7c"):
        three, double = chain(block, "branch3x3_1", x), chain(block, "branch3x3dbl_1 branch3x3dbl_2", x)
        forks = [chain(block, f"branch3x3_2{end}", three) for end in "ab"]
        forks += [chain(block, f"branch3x3dbl_3{end}", double) for end in "ab"]
        pooled = average(x) if block == "Mixed_7b" else F.max_pool2d(x, 3, 1, 1)
        x = torch.cat([chain(block, "branch1x1", x), *forks, chain(block, "branch_pool", pooled)], 1)
    return x.mean((2, 3)), middle


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def test_features_are_those_of_the_published_network(
    weights: Path, levels: torch.Tensor, expected: np.ndarray, state: State
) -> None:
    network = Inception(weights)
    features = network(levels)
    assert features.shape == (2, 2048) and features.dtype == np.float32
    assert np.std(expected, axis=0).max() > 0.05  # the pictures are told apart
    assert apart(features, expected) < 1e-5
    assert apart(network.logits(features), expected @ state["fc.weight"].double().numpy().T) < 1e-5


def test_the_scale_of_pixels_belongs_to_the_resize(weights: Path, levels: torch.Tensor, state: State) -> None:
    double = {name: values.double() for name, values in state.items()}
    symmetric = naive(levels[:1].double() / 255 * 2 - 1, double)[0].numpy()
    assert apart(Inception(weights, "legacy-torch")(levels[:1]), symmetric) < 1e-5


def test_the_other_published_forms(state: State, levels: torch.Tensor, expected: np.ndarray, tmp_path: Path) -> None:
    old = tmp_path / "old.pth"  # pytorch-fid's file is of 2018, before torch wrote zip archives
    torch.save(state, old, _use_new_zipfile_serialization=False)
    assert apart(Inception(old)(levels[:1]), expected[:1]) < 1e-5
    script = tmp_path / "script.pt"
    torch.jit.trace(Script(state), torch.zeros(1, 3, 299, 299)).save(str(script))
    network = Inception(script)
    features = network(levels)
    assert apart(features, expected) < 1e-5
    assert apart(network.logits(features), features @ state["fc.weight"].numpy().T) < 1e-5


class Script(nn.Module):
    """NVIDIA's form: `layers` for scaled pixels, `output` for classes."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.layers = inception.Trunk().eval()
        self.layers.load_state_dict(inception.fold(state))
        self.output = nn.Linear(2048, 1008)
        self.output.weight.data.copy_(state["fc.weight"])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.output(self.layers(pixels))


def test_torch_fidelity_agrees(weights: Path) -> None:
    try:  # without torchvision it is there and cannot be imported; benchmarks/fid.py knows a way
        extractors = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        pytest.skip(f"torch-fidelity cannot be imported: {error}")
    peer = extractors.FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    theirs, logits = peer(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])
    network = Inception(weights, "legacy-tf")
    ours = network(network.preprocess(picture)[None])
    assert apart(ours, theirs.numpy()) < 1e-5
    assert apart(network.logits(ours), logits.numpy()) < 1e-5


def test_weights_of_a_wrong_network_are_refused(state: State, tmp_path: Path) -> None:
    wrong = {
        "other.pth": {"layer.weight": torch.zeros(3)},
        "headless.pth": {name: values for name, values in state.items() if not name.startswith("fc.")},
        "short.pth": {name: values for name, values in state.items() if "Mixed_7c" not in name},
        "thousand.pth": {**state, "fc.weight": torch.zeros(1000, 2048)},
        "list.pth": [1, 2],
    }
    for name, content in wrong.items():
        torch.save(content, tmp_path / name)
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "linear.pt"))
    (tmp_path / "words.pth").write_text("words")
    (tmp_path / "empty.pth").touch()
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=f"{path.name} holds no weights of the FID Inception"):
            Inception(path)


def test_damaged_published_weights_are_known_by_their_checksum(weights: Path, tmp_path: Path) -> None:
    assert not Inception(weights).published
    for name in inception.PUBLISHED:
        os.link(weights, tmp_path / name)
        with pytest.raises(ValueError, match="is damaged: its SHA-256 is"):
            Inception(tmp_path / name)


def test_an_unknown_resize(weights: Path) -> None:
    with pytest.raises(ValueError, match="clean, legacy-tf, legacy-torch"):
        Inception(weights, "cubic")


def test_where_weights_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    with pytest.raises(ValueError, match="--network judge") as missing:
        find_weights()
    assert inception.URL in str(missing.value) and "\n" not in str(missing.value)
    cached = tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert find_weights() == cached
    named, given = tmp_path / "named.pth", tmp_path / "given.pth"
    named.touch()
    given.touch()
    monkeypatch.setenv(inception.VARIABLE, str(named))
    assert find_weights() == named
    assert find_weights(str(given)) == given
    with pytest.raises(ValueError, match="no file"):
        find_weights(str(tmp_path / "absent.pth"))


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []

    def fetch(url: str, path: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        Path(path).touch()

    def unplugged(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unplugged)
    with pytest.raises(ValueError, match=r"could not be fetched .*no network.*copy the file"):
        find_weights("download")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    found = find_weights("download")
    assert found.name == FILE and asked == [(inception.URL, inception.SHA256)]
    assert find_weights("download") == found and len(asked) == 1


def test_spatial_features_are_the_first_channels_of_mixed_6(
    weights: Path, levels: torch.Tensor, forward: tuple[np.ndarray, np.ndarray], state: State, tmp_path: Path
) -> None:
    expected = forward[1][:, :7].transpose(0, 2, 3, 1).reshape(len(levels), -1)
    network = open_network("sfid", weights=str(weights))
    features = network(levels)
    assert features.shape == (2, network.dim) and apart(features, expected) < 1e-5
    assert network.naming.frechet[1] == "Fréchet distance (spatial, unpublished weights)"
    last = Inception(weights)
    assert network.sha256 == last.sha256
    with pytest.raises(ValueError, match="layer the last, the pictures with mixed_6/conv"):
        space_of(network).require(space_of(last), "These")
    torch.jit.trace(Script(state), torch.zeros(1, 3, 299, 299)).save(str(tmp_path / "script.pt"))
    with pytest.raises(ValueError, match="TorchScript"):
        open_network("sfid", weights=str(tmp_path / "script.pt"))
