"""The network that FID is defined by, Inception-v3 of 2015-12-05, without torchvision.

The published weights come by path, environment variable or download, and are known by
their SHA-256; all three published forms are read.
"""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from dalle2 import hashes
from evaluation.networks import WEIGHTS_VARIABLE as VARIABLE
from evaluation.networks.inception_trunk import Trunk, fold
from evaluation.networks.network import Extra, Naming, NetworkOptions
from evaluation.networks.resizing import RESIZES, SIDE

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# The same state dict under pytorch-fid's and torch-fidelity's names, and NVIDIA's TorchScript, which clean-fid uses.
PUBLISHED = {
    FILE: SHA256,
    "weights-inception-2015-12-05-6726825d.pth": SHA256,
    "inception-2015-12-05.pt": "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
}
PUBLISHED_NAMING = Naming(("fid", "FID"), ("kid", "KID"))
OTHER_NAMING = Naming.of_no_table("unpublished_", " (unpublished weights)")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def find_weights(given: str | None = None) -> Path:
    """Return the weights' file: `given`, else $INCEPTION_WEIGHTS, else what a peer left in torch's cache.

    "download" fetches pytorch-fid's file into that cache. ValueError says in one sentence what to do.
    """
    given = given or os.environ.get(VARIABLE)
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if given == "download":
        return _download(cache / FILE)
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            raise ValueError(
                f"There is no file {path}: --inception-weights or ${VARIABLE} must name Inception weights."
            )
        return path
    for name in PUBLISHED:
        if (cache / name).is_file():
            return cache / name
    raise ValueError(
        f"The published Inception weights are not on this machine: fetch {URL} and name the file with "
        f"--inception-weights or ${VARIABLE}, or give --inception-weights download, or measure with the embedded "
        "judge by --network judge, whose numbers are not FID."
    )


class Inception:
    """The feature network of FID, KID and the Inception score: pictures -> 2048 features, -> 1008 classes.

    `resize` is one of `RESIZES`, `precision` of `DTYPES`; bf16 is about twice as fast where the processor knows it, and
    its distances have names of their own. ValueError for a file that holds other weights, or damaged published ones.
    """

    name = "inception-2015-12-05"
    dim = 2048
    extras: tuple[Extra, ...] = ("inception_score",)
    layer = ""

    def __init__(
        self, weights: str | Path, resize: str = "clean", device: str = "cpu", *, precision: str = "float32"
    ) -> None:
        if resize not in RESIZES:
            raise ValueError(f"--resize must be one of {', '.join(RESIZES)}, not {resize!r}.")
        path = Path(weights)
        self.sha256 = hashes.of_file(path)
        self.published = self.sha256 in PUBLISHED.values()
        if PUBLISHED.get(path.name, self.sha256) != self.sha256:
            raise ValueError(
                f"{path} is damaged: its SHA-256 is {self.sha256}, not {PUBLISHED[path.name]}. Fetch it again."
            )
        self.resize = resize
        self.device, self.precision = torch.device(device), precision
        self._dtype = DTYPES[precision]
        self._trunk, self._classes = _open(path, self.device)
        if precision != "float32":
            if isinstance(self._trunk, torch.jit.ScriptModule):
                raise ValueError(
                    f"{path} is a TorchScript, which computes in float32 alone: --precision {precision} needs the "
                    "weights of pytorch-fid or torch-fidelity (a .pth file)."
                )
            self._trunk.to(self._dtype)

    @property
    def naming(self) -> Naming:
        """Return the names: FID and KID for the published weights only, and in float32."""
        return in_precision(PUBLISHED_NAMING if self.published else OTHER_NAMING, self.precision)

    @property
    def caveats(self) -> tuple[str, ...]:
        if self.published:
            return ()
        return (
            f"The Inception weights (sha256 {self.sha256[:12]}…) are not the published ones: these distances are not "
            "FID and compare with nothing published.",
        )

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        """Return an RGB picture of any size -> (3, 299, 299) float32 levels in 0..255."""
        return RESIZES[self.resize](picture)

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Levels (n, 3, 299, 299) -> features (n, 2048) float32."""
        return self._trunk(self._scaled(batch)).flatten(1).float().cpu().numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features (n, 2048) -> (n, 1008) float64, without the bias, as the Inception score was published."""
        return features.astype(np.float64) @ self._classes.T

    def _scaled(self, batch: torch.Tensor) -> torch.Tensor:
        levels = batch.to(self.device).contiguous(memory_format=torch.channels_last)
        # pytorch-fid scales symmetrically; TensorFlow's graph, and those who follow it, do not.
        scaled = levels / 127.5 - 1 if self.resize == "legacy-torch" else (levels - 128) / 128
        return scaled.to(self._dtype)


def open_network(source: str, options: NetworkOptions) -> Inception:
    """Return the weights that are named, or found on this machine, with the resizing that is asked for."""
    return Inception(find_weights(options.weights), options.resize, options.device, precision=options.precision)


def in_precision(naming: Naming, precision: str) -> Naming:
    """Return the names of the same distances of features that were computed in a precision."""
    if precision == "float32":
        return naming
    frechet, kernel = ((f"{precision}_{key}", f"{label} ({precision})") for key, label in naming[:2])
    return Naming(frechet, kernel, f"{precision}_{naming.prefix}", f"{naming.mark} ({precision})")


def _open(path: Path, device: torch.device) -> tuple[nn.Module, np.ndarray]:
    """Return the trunk on its device, ready to run, and the weights (1008, 2048) of the classes."""
    layout: dict[str, Any] = {"device": device, "memory_format": torch.channels_last}  # 1.6 times faster on a CPU
    try:
        if _is_torchscript(path):
            # Its own graph runs: its inner names are nobody's standard. Freezing folds its batch norms.
            script = torch.jit.load(path, map_location="cpu").eval()
            trunk, classes = torch.jit.freeze(script.layers.to(**layout)), script.output.weight
            if trunk(torch.zeros(1, 3, SIDE, SIDE, device=device)).numel() != Inception.dim:
                raise ValueError("it gives other features")
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            trunk, classes = Trunk().eval().requires_grad_(False), state["fc.weight"]
            trunk.load_state_dict(fold(state))
            trunk.to(**layout)
        if tuple(classes.shape) != (1008, Inception.dim):
            raise ValueError(f"its classes have the shape {tuple(classes.shape)}")
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or "it ends too early").splitlines()[0]
        raise ValueError(f"{path} holds no weights of the FID Inception ({reason}): fetch {URL}.") from error
    return trunk, classes.detach().cpu().double().numpy()


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _download(path: Path) -> Path:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"The Inception weights could not be fetched from {URL} ({error}): copy the file from a machine with "
                f"a network and name it with --inception-weights or ${VARIABLE}."
            ) from error
    return path
