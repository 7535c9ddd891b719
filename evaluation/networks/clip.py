"""A CLIP as a judge: pictures and captions to unit embeddings, from any folder or hub id.

Two layouts are read: transformers' own (one model in one folder) and Karlo's (image_encoder/, text_encoder/,
tokenizer/, feature_extractor/). The processor is always the one on Pillow, `CLIPImageProcessorPil`: with
torchvision installed, transformers would silently take another resize.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)
from transformers.utils import logging

from evaluation.networks.embedded import JUDGES, checkpoint_folder, clip_source
from evaluation.networks.network import Extra, Naming, NetworkOptions

PARTS = {
    "image_encoder": CLIPVisionModelWithProjection,
    "text_encoder": CLIPTextModelWithProjection,
    "tokenizer": CLIPTokenizer,
    "feature_extractor": CLIPImageProcessorPil,
}
CLIP_NAMING = Naming(("clip_fid", "CLIP-FID"), ("clip_kid", "CLIP-KID"), "clip_", " (CLIP)")
JUDGE_NAMING = Naming.of_no_table("judge_", " (embedded judge)")
ONLY_EMOJI = (
    "These distances are taken in the embedding space of {}, which saw only emoji: they are not FID and compare with "
    "nothing published."
)
SINGLE = ("config.json", "model.safetensors", "pytorch_model.bin")


class Clip:
    """Pictures and captions -> unit vectors (n, dim); ValueError says what a source lacks.

    `source` is a folder, a hub id or id@revision, the name of an embedded checkpoint, or "judge". The towers are loaded
    when first asked for, so pictures alone need no text encoder. `processor` is where preparation and tokenizer are, if
    not there. It is a feature network as well: `preprocess` runs in workers, calling it gives a batch's embeddings.
    """

    def __init__(
        self, source: str | Path | None = None, device: str = "cpu", processor: str | Path | None = None
    ) -> None:
        self.source = clip_source(None if source is None else str(source))
        self.processor = self.source if processor is None else str(processor)
        self.name = f"clip:{self.source}"
        self.device = torch.device(device)
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def require(self) -> None:
        """Open all parts now; ValueError for one that is not there, which the first picture would be blamed for."""
        _ = self._vision, self._text, self._processor, self._tokenizer

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the vision tower's weights, which features of pictures depend on."""
        return weights_hash(self._vision)

    @cached_property
    def text_sha256(self) -> str:
        """Return the hash of the text tower's weights."""
        return weights_hash(self._text)

    @property
    def dim(self) -> int:
        """Return how many numbers an embedding has."""
        return self._vision.config.projection_dim

    @property
    def context(self) -> int:
        """Return how many tokens of a caption are read, start and end among them."""
        return self._text.config.max_position_embeddings

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        """Return a PIL picture -> (3, side, side) float32.

        ValueError for arrays and tensors: floats in [0, 1] would be divided by 255 again and come out black.
        """
        if not isinstance(picture, Image.Image):
            raise ValueError(
                f"CLIP is given PIL pictures here, not {type(picture).__name__}: floats in [0, 1] would be "
                "rescaled twice. Use dalle2.images.to_pictures or Image.fromarray first."
            )
        return self._processor(picture.convert("RGB"), return_tensors="pt").pixel_values[0]

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Preprocessed pictures (n, 3, side, side) -> (n, dim) float32, each of length 1."""
        return _unit(self.project(batch))

    @torch.inference_mode()
    def project(self, batch: torch.Tensor) -> torch.Tensor:
        """Preprocessed pictures (n, 3, side, side) -> (n, dim) float32 of any length, as CLIP-FID was published on."""
        return self._vision(pixel_values=batch.to(self.device)).image_embeds

    def embed_pictures(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """PIL pictures of any sizes -> (n, dim) float32, each of length 1."""
        return self(torch.stack([self.preprocess(picture) for picture in pictures]))

    @torch.inference_mode()
    def embed_captions(self, captions: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Captions -> (n, dim) float32, each of length 1; longer ones are cut to `context` tokens, end token kept."""
        rows = []
        for start in range(0, len(captions), batch_size):
            tokens = self._tokenizer(
                list(captions[start : start + batch_size]),
                padding="max_length",
                truncation=True,
                max_length=self.context,
                return_tensors="pt",
            ).to(self.device)
            # Padding follows the end token, and attention looks back only: a mask would change nothing.
            rows.append(_unit(self._text(input_ids=tokens.input_ids).text_embeds))
        return np.concatenate(rows)

    def count_cut(self, captions: Sequence[str]) -> int:
        """Return how many captions are longer than the text encoder reads."""
        return sum(len(ids) > self.context for ids in self._tokenizer(list(captions)).input_ids)

    @cached_property
    def _vision(self) -> CLIPVisionModelWithProjection:
        return _open(self.source, "image_encoder").to(self.device)

    @cached_property
    def _text(self) -> CLIPTextModelWithProjection:
        return _open(self.source, "text_encoder").to(self.device)

    @cached_property
    def _processor(self) -> CLIPImageProcessorPil:
        return _open(self.processor, "feature_extractor")

    @cached_property
    def _tokenizer(self) -> CLIPTokenizer:
        return _open(self.processor, "tokenizer")


class ClipFeatures:
    """A CLIP's picture embeddings, not brought to length 1: the space of CLIP-FID (arXiv 2203.06026) and CMMD."""

    resize = "its own"
    layer = ""
    precision = "float32"

    def __init__(self, source: str, device: str = "cpu") -> None:
        self._clip = Clip(source, device)
        self.name = self._clip.name
        self.sha256 = self._clip.sha256
        self.dim = self._clip.dim
        self.preprocess = self._clip.preprocess
        embedded = self._clip.source in JUDGES
        self.naming = JUDGE_NAMING if embedded else CLIP_NAMING
        self.extras: tuple[Extra, ...] = () if embedded else ("cmmd",)
        self.caveats = (ONLY_EMOJI.format(self.name),) if embedded else ()

    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Preprocessed pictures -> (n, dim) float32."""
        return self._clip.project(batch).cpu().numpy()


def open_network(source: str, options: NetworkOptions) -> ClipFeatures:
    """Return the CLIP at a folder, hub id or id@revision as a feature network."""
    return ClipFeatures(source, options.device)


def weights_hash(network: torch.nn.Module) -> str:
    """Return the SHA-256 over names and weights rounded to float16, so that a half precision copy counts as same."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def conditioned(judge: Clip, checkpoint: str) -> list[str] | None:
    """Return which of the judge's parts ("image_encoder", "text_encoder") condition `checkpoint`, by equal weights.

    None when the checkpoint is not on this machine, so that nobody knows.
    """
    shared, found = [], False
    for part, own in (("image_encoder", lambda: judge.sha256), ("text_encoder", lambda: judge.text_sha256)):
        try:
            theirs = weights_hash(_open(checkpoint, part, local=True))
        except ValueError:
            continue
        found = True
        if theirs == own():
            shared.append(part)
    return shared if found else None


def _open(source: str, part: str, local: bool = False) -> Any:
    """One part of a CLIP in either layout; with `local` nothing is fetched."""
    folder = checkpoint_folder(source)
    options: dict[str, Any] = {"local_files_only": local}
    if folder.is_dir():
        single = not (folder / part).is_dir()
        if single and not any((folder / name).exists() for name in SINGLE):
            raise ValueError(f"{source} holds no {part}: a CLIP has image_encoder, text_encoder, or is one model.")
        place = str(folder)
    else:
        place, _, revision = source.partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", place) or place.startswith("."):
            raise ValueError(f"There is no CLIP at {source}: give a folder, or the id of one on the Hugging Face hub.")
        options |= {"revision": revision or None}
        single = not _has_part(place, part, options)
    if not single:
        options["subfolder"] = part
    is_network = part.endswith("encoder")
    kind: Any = PARTS[part]
    try:
        found = kind.from_pretrained(place, **options, **({"output_loading_info": True} if is_network else {}))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{source} could not be opened as a CLIP ({part}: {reason}). Published CLIPs, as "
            "openai/clip-vit-base-patch32, are fetched with a network, or named by the folder they were copied to."
        ) from error
    if not is_network:
        return found
    network, info = found
    _check_complete(source, part, info)
    return network.float().eval()


def _has_part(repo: str, part: str, options: Mapping[str, Any]) -> bool:
    """Whether a repository on the hub, or its copy on this machine, is in Karlo's layout."""
    names = {"feature_extractor": "preprocessor_config.json", "tokenizer": "vocab.json"}
    return transformers.utils.has_file(
        repo,
        f"{part}/{names.get(part, 'config.json')}",
        revision=options["revision"],
        local_files_only=options["local_files_only"],
    )


def _check_complete(source: str, part: str, info: Mapping[str, Any]) -> None:
    missing = sorted(info["missing_keys"]) + [key for key, *_ in info["mismatched_keys"]]
    if missing:
        raise ValueError(f"{source} is no CLIP with projections: its {part} lacks {missing[0]}.")


def _unit(embeddings: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(embeddings.float(), dim=-1).cpu().numpy()
