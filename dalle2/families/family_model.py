"""What the models of all families have in common: an opened checkpoint's parts, and what is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from dalle2 import images
from dalle2.families.checkpoint_folder import Fingerprint
from dalle2.families.description import Description
from dalle2.finiteness import check_finite
from dalle2.model import UnclipModel


class AnyParts(Protocol):
    """The parts of a checkpoint in some family's layout."""

    def present(self) -> Mapping[str, Any]:
        """Return those that there are, by name."""


Parts = TypeVar("Parts", bound=AnyParts)


@dataclass(frozen=True)
class Checkpoint:
    """What it is called, where and in what its networks compute, its hash, and what its folder says of it."""

    name: str
    device: torch.device
    dtype: torch.dtype
    fingerprint: Fingerprint
    description: Description


class FamilyModel(UnclipModel, Generic[Parts]):
    """A model of some family; which operations it has, and how, is the family's business."""

    def __init__(self, parts: Parts, checkpoint: Checkpoint) -> None:
        said = checkpoint.description
        self.parts = parts
        self.checkpoint, self.device, self.dtype = checkpoint.name, checkpoint.device, checkpoint.dtype
        self.settings, self.styles = said.settings, said.styles
        self.examples, self.subject = said.examples, said.subject
        self._fingerprint = checkpoint.fingerprint
        for part in parts.present().values():
            if isinstance(part, torch.nn.Module):
                part.to(self.device)

    @property
    def checkpoint_hash(self) -> str:
        return self._fingerprint.value

    def _see(
        self, pictures: Sequence[Image.Image], extractor: CLIPImageProcessor, encoder: CLIPVisionModelWithProjection
    ) -> torch.Tensor:
        """Pictures -> what CLIP makes of them (n, dim), float32, on the device."""
        rgb = [images.to_rgb(picture) for picture in pictures]
        return self._look(extractor(images=rgb, return_tensors="pt").pixel_values, encoder)

    def _look(self, pixels: torch.Tensor, encoder: CLIPVisionModelWithProjection) -> torch.Tensor:
        """Pixels as CLIP wants them (n, 3, side, side) -> embeddings (n, dim), float32, on the device."""
        return check_finite(encoder(pixels.to(self.device, self.dtype)).image_embeds, "image encoder").float()
