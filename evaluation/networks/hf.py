"""Any vision encoder that transformers knows, as a feature network: DINOv2, DINOv3, SigLIP 2, MAE, ConvNeXt V2, CLIP.

A folder or hub id gives the weights and how their publishers prepare pictures, which is done by Pillow throughout: with
torchvision installed, transformers would silently take another resize.
"""

import hashlib
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.image_processing_utils import ImageProcessingMixin
from transformers.utils import logging

from evaluation.networks.clip import weights_hash
from evaluation.networks.network import Extra, Naming, NetworkOptions
from evaluation.networks.resizing import by_band

PUBLISHED, SQUARE = "published", "square"
TITLES = {
    "clip": "CLIP",
    "convnext": "ConvNeXt",
    "convnextv2": "ConvNeXt V2",
    "dinov2": "DINOv2",
    "dinov2_with_registers": "DINOv2 with registers",
    "dinov3_convnext": "DINOv3 ConvNeXt",
    "dinov3_vit": "DINOv3",
    "siglip": "SigLIP",
    "vit": "ViT",
    "vit_mae": "MAE",
}
LIKE_DGM_EVAL = (
    "FD-DINOv2 in published tables (dgm-eval, arXiv 2306.04675) brings whole pictures to 224 × 224 and is of "
    "facebook/dinov2-large: give --resize square, and that encoder, for numbers that stand beside them."
)
SHOWN = ("size", "resample", "crop_size")
DECIDES = (*SHOWN, "do_resize", "do_center_crop", "do_rescale", "rescale_factor", "do_normalize", "image_mean")
DECIDES += ("image_std", "crop_pct", "do_pad")


class VisionEncoder:
    """Pictures -> the features that the encoder itself pools: what it was published to be used by.

    That is the projection of a CLIP, the pooled output where its weights are there, else the class token, else the mean
    over all places. ValueError for what is not a vision encoder, is not complete, or does not say how pictures are
    prepared.
    """

    precision = "float32"

    def __init__(self, source: str, resize: str = PUBLISHED, device: str = "cpu") -> None:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.name = f"hf:{source}"
        self.device = torch.device(device)
        place, where = _place(source)
        self._model, missing = _open(source, place, where)
        self._processor = _processor(source, place, where)
        self._square = resize == SQUARE
        self.resize = f"{resize} ({_described(self._processor)})"
        self.layer = _layer(self._model, missing)
        self._model.to(self.device)
        self.sha256 = weights_hash(self._model)
        kind = self._model.config.model_type
        title = TITLES.get(kind, kind)
        self.naming = Naming((f"fd_{kind}", f"FD-{title}"), (f"kd_{kind}", f"KD-{title}"), f"{kind}_", f" ({title})")
        self.extras: tuple[Extra, ...] = ()
        self.caveats = (LIKE_DGM_EVAL,) if kind == "dinov2" and not self._square else ()
        self.dim = self._probed(source)

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        """Return an RGB picture of any size -> (3, height, width) float32, as the encoder's publishers prepare it."""
        picture, given = picture.convert("RGB"), {}
        if self._square:
            picture = picture.resize(_square(self._processor), Image.Resampling.BICUBIC)
            given = {"do_resize": False, "do_center_crop": False}
        return self._processor(picture, return_tensors="pt", **given)["pixel_values"][0]

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Preprocessed pictures (n, 3, height, width) -> (n, dim) float32."""
        pixels, model, options = batch.to(self.device), self._model, {}
        if self.layer == "projection":
            found = model.get_image_features(pixel_values=pixels)
            return getattr(found, "pooler_output", found).float().cpu().numpy()
        if model.config.model_type == "vit_mae":  # which shuffles the patches, even where it hides none
            patches = model.embeddings.patch_embeddings.num_patches
            options["noise"] = torch.arange(patches, device=self.device).float().expand(len(pixels), -1)
        found = model(pixel_values=pixels, **options)
        if self.layer == "pooled output":
            pooled = found.pooler_output.flatten(1)
        elif self.layer == "class token":
            pooled = found.last_hidden_state[:, 0]
        else:
            hidden = found.last_hidden_state
            pooled = hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3))
        return pooled.float().cpu().numpy()

    def _probed(self, source: str) -> int:
        """Return the number of features; an encoder that cannot be run is found before any picture is opened."""
        try:
            return self(self.preprocess(Image.new("RGB", (64, 48)))[None]).shape[1]
        except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"{source} makes no features of one prepared picture ({_reason(error)}).") from error


class Dinov3Processor:
    """DINOv3's preparation, of which transformers has none without torchvision: scaled, resized in floats, normalised.

    Pillow's bilinear filter on floats is torch's antialiased one to rounding.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {
            "size": {"height": 224, "width": 224},
            "resample": int(Image.Resampling.BILINEAR),
            "rescale_factor": 1 / 255,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
        }
        self.values |= {name: value for name, value in config.items() if name in DECIDES and value is not None}

    def __call__(self, picture: Image.Image, do_resize: bool = True, **_: Any) -> dict[str, torch.Tensor]:
        size = self.values["size"]
        side = (size["width"], size["height"]) if do_resize else picture.size
        levels = by_band(picture, side, Image.Resampling(self.values["resample"])) * self.values["rescale_factor"]
        mean, deviation = (torch.tensor(self.values[name])[:, None, None] for name in ("image_mean", "image_std"))
        return {"pixel_values": ((levels - mean) / deviation)[None]}


def open_network(source: str, options: NetworkOptions) -> VisionEncoder:
    """Return the encoder at a folder, hub id or id@revision as a feature network."""
    return VisionEncoder(source, options.resize, options.device)


def _place(source: str) -> tuple[str, dict[str, Any]]:
    """Return what transformers is to open, and with which options."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        return str(folder), {}
    place, _, revision = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place) or place.startswith("."):
        raise ValueError(f"There is no encoder at {source}: give a folder, or the id of one on the Hugging Face hub.")
    return place, {"revision": revision} if revision else {}


def _open(source: str, place: str, where: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return the network, and which of its weights are not in the checkpoint."""
    try:
        config = AutoConfig.from_pretrained(place, **where)
        if hasattr(config, "mask_ratio"):
            config.mask_ratio = 0.0  # a masked autoencoder hides patches only to learn
        options = {"config": config, "output_loading_info": True, "dtype": torch.float32}
        model, info = AutoModel.from_pretrained(place, **where, **options)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, ImportError) as error:
        raise ValueError(f"{source} could not be opened as a vision encoder ({_reason(error)}).") from error
    if model.main_input_name != "pixel_values" and not hasattr(model, "get_image_features"):
        raise ValueError(f"{source} is not a vision encoder: a {config.model_type} reads {model.main_input_name}.")
    missing = sorted(info["missing_keys"]) + [key for key, *_ in info["mismatched_keys"]]
    if needed := [name for name in missing if "pooler" not in name]:
        raise ValueError(f"{source} is not complete: it lacks {needed[0]} and {len(needed) - 1} more weights.")
    return model.eval().requires_grad_(False), missing


def _processor(source: str, place: str, where: Mapping[str, Any]) -> Any:
    try:
        config, _ = ImageProcessingMixin.get_image_processor_dict(place, **where)
        if str(config.get("image_processor_type")).startswith("DINOv3ViTImageProcessor"):
            return Dinov3Processor(config)
        processor = AutoImageProcessor.from_pretrained(place, backend="pil", **where)
        found = set(processor(Image.new("RGB", (64, 48)), return_tensors="pt"))
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ValueError(
            f"{source} does not say how pictures are prepared for it (preprocessor_config.json: {_reason(error)}): "
            "features of another preparation would be of another network."
        ) from error
    if not type(processor).__name__.endswith("Pil"):
        raise ValueError(f"{source} prepares pictures by {type(processor).__name__}, which needs torchvision.")
    if found != {"pixel_values"}:
        more = ", ".join(sorted(found - {"pixel_values"}))
        raise ValueError(
            f"{source} takes pictures of changing sizes ({more}), as NaFlex does: name an encoder of one size."
        )
    return processor


def _reason(error: Exception) -> str:
    """Return the first words of what a library says: some list all that they know."""
    return textwrap.shorten((str(error).strip() or type(error).__name__).splitlines()[0], 160, placeholder=" …")


def _layer(model: Any, missing: list[str]) -> str:
    if hasattr(model, "get_image_features"):
        return "projection"
    pools = getattr(model, "pooler", None) is not None or model.config.model_type.startswith(("dino", "convnext"))
    if pools and not missing:
        return "pooled output"
    has_token = getattr(getattr(model, "embeddings", None), "cls_token", None) is not None
    return "class token" if has_token else "mean"


def _values(processor: Any) -> dict[str, Any]:
    """Return what decides the pixels, as plain values."""
    values = processor.values if isinstance(processor, Dinov3Processor) else processor.to_dict()
    return {name: values[name] for name in DECIDES if values.get(name) is not None}


def _described(processor: Any) -> str:
    """Return the preparation in a few words, and a hash of all of it: features of another one do not mix."""
    values = _values(processor)
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
    words = []
    if values.get("do_resize", True):
        words.append(_sides(values.get("size", {})))
        words.append(Image.Resampling(values.get("resample", 2)).name.lower())
    if values.get("do_center_crop"):
        words.append(f"centre {_sides(values.get('crop_size', {}))}")
    return f"{' '.join(words)}, {digest[:8]}"


def _sides(size: Mapping[str, int]) -> str:
    return "×".join(str(side) for side in (size.get("width"), size.get("height")) if side) or ", ".join(
        f"{name.replace('_', ' ')} {side}" for name, side in size.items() if side
    )


def _square(processor: Any) -> tuple[int, int]:
    values = _values(processor)
    size = (values.get("do_center_crop") and values.get("crop_size")) or values["size"]
    side = size.get("shortest_edge")
    return (size.get("width") or side, size.get("height") or side)
