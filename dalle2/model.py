"""`UnclipModel`: the three verbs that a family of checkpoints implements, and every task, written once.

unCLIP has a seam in the middle, the CLIP image embedding: `embed_prompt` and `embed_image` lead to it,
`decode` leads from it to pictures.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import torch
from PIL import Image

from dalle2 import embeddings as maths
from dalle2 import images
from dalle2.settings import OnStep, Settings, check_prompt, check_seed

# A seed, or the generator of a picture that goes on where an earlier stage left it.
Seed = int | torch.Generator


class UnclipModel(ABC):
    """A checkpoint, ready to draw; `dalle2.families.load` makes one."""

    capabilities: frozenset[str]  # of "text_to_image", "variations", "interpolation", "mix"
    settings: Settings  # the checkpoint's own defaults
    checkpoint: str  # what `load` was given
    styles: tuple[str, ...]
    examples: tuple[str, ...]  # prompts
    picture_size: int  # pixels a side
    device: torch.device
    dtype: torch.dtype

    @property
    @abstractmethod
    def checkpoint_hash(self) -> str:
        """SHA-256 over the checkpoint's files, hexadecimal."""

    @abstractmethod
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Prompts -> image embeddings (n, dim), float32 on the CPU: the prior (paper, section 2.2)."""

    @abstractmethod
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Pictures -> image embeddings (n, dim), float32 on the CPU: the CLIP image encoder."""

    @abstractmethod
    def decode_pixels(
        self,
        embeddings: torch.Tensor,
        seeds: Sequence[Seed],
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Embeddings (n, dim) -> pixels (n, 3, size, size), float32 on the CPU, in about [-1, 1]."""

    def decode(
        self,
        embeddings: torch.Tensor,
        seeds: Sequence[Seed],
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Embeddings (n, dim) -> n pictures: the decoder (paper, section 2.1) and the upsampler."""
        return images.to_pictures(self.decode_pixels(embeddings, seeds, prompts, settings, on_step))

    def text_to_image(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """One picture for each prompt and its seed; each carries its record in `info["parameters"]`."""
        self._require("text_to_image")
        if isinstance(prompts, str) or len(prompts) != len(seeds):
            raise ValueError("text_to_image takes a list of prompts and as many seeds, one for each picture.")
        prompts = [check_prompt(prompt) for prompt in prompts]
        noise = generators(seeds)
        embeddings = self.embed_prompt(prompts, noise, settings, on_step)
        pictures = self.decode(embeddings, noise, prompts, settings, on_step)
        details = [{"prompt": prompt} for prompt in prompts]
        return self._sign("text_to_image", pictures, seeds, settings, details)

    def variations(
        self,
        picture: Image.Image,
        seeds: Sequence[int],
        prompt: str | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Pictures with the content of `picture`, one for each seed (paper, section 3.1)."""
        self._require("variations")
        prompts = None if prompt is None else [check_prompt(prompt)] * len(seeds)
        embeddings = self.embed_image([picture]).expand(len(seeds), -1)
        pictures = self.decode(embeddings, generators(seeds), prompts, settings, on_step)
        details = [{"prompt": prompt or "", "picture": _name(picture)}] * len(seeds)
        return self._sign("variations", pictures, seeds, settings, details)

    def interpolate(
        self,
        ends: Sequence[str | Image.Image],
        frames: int,
        seed: int,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """`frames` pictures on the way through two or more pictures or prompts (paper, section 3.2).

        All frames share the seed, hence the noise, so that only the content moves.
        """
        self._require("interpolation")
        if len(ends) < 2:
            raise ValueError("An interpolation needs at least two ends, pictures or prompts.")
        if frames < 2:
            raise ValueError("An interpolation needs at least two frames.")
        positions = [index / (frames - 1) for index in range(frames)]
        seeds = [seed] * frames
        embeddings = maths.path(self._embed(ends, seed, settings, on_step), positions)
        pictures = self.decode(embeddings, generators(seeds), None, settings, on_step)
        names = [_name(end) for end in ends]
        details = [{"ends": names, "position": position} for position in positions]
        return self._sign("interpolation", pictures, seeds, settings, details)

    def mix(
        self,
        parts: Sequence[tuple[str | Image.Image, float]],
        seeds: Sequence[int],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Pictures of several pictures or prompts at once, by weight, one for each seed."""
        self._require("mix")
        if not parts:
            raise ValueError("A mix needs at least one picture or prompt.")
        contents, weights = zip(*parts, strict=True)
        embeddings = torch.stack([maths.mix(self._embed(contents, seed, settings, on_step), weights) for seed in seeds])
        pictures = self.decode(embeddings, generators(seeds), None, settings, on_step)
        named = [[_name(content), weight] for content, weight in parts]
        return self._sign("mix", pictures, seeds, settings, [{"parts": named}] * len(seeds))

    def _embed(
        self,
        contents: Sequence[str | Image.Image],
        seed: int,
        settings: Settings | None,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Pictures and prompts, in any order -> their embeddings (n, dim) in that order."""
        prompts = {i: check_prompt(content) for i, content in enumerate(contents) if isinstance(content, str)}
        pictures = {i: content for i, content in enumerate(contents) if i not in prompts}
        rows: dict[int, torch.Tensor] = {}
        if prompts:
            self._require("text_to_image")
            noise = generators([seed] * len(prompts))
            rows |= zip(prompts, self.embed_prompt(list(prompts.values()), noise, settings, on_step), strict=True)
        if pictures:
            self._require("variations")
            rows |= zip(pictures, self.embed_image(list(pictures.values())), strict=True)
        return torch.stack([rows[i] for i in range(len(contents))])

    def _require(self, task: str) -> None:
        if task not in self.capabilities:
            able = ", ".join(sorted(self.capabilities)) or "nothing"
            raise ValueError(f"The checkpoint {self.checkpoint} cannot do {task}: it can do {able}.")

    def _sign(
        self,
        task: str,
        pictures: list[Image.Image],
        seeds: Sequence[int],
        settings: Settings | None,
        details: Sequence[Mapping[str, object]],
    ) -> list[Image.Image]:
        """Give each picture its record: all that is needed to draw it again."""
        shared = {
            "settings": (settings or self.settings).to_dict(),
            "checkpoint": self.checkpoint,
            "checkpoint_hash": self.checkpoint_hash,
            "device": self.device.type,
            "dtype": str(self.dtype).removeprefix("torch."),
            "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        }
        for picture, seed, detail in zip(pictures, seeds, details, strict=True):
            images.write_record(picture, {"task": task, **detail, "seed": seed, **shared})
        return pictures


def generators(seeds: Sequence[Seed]) -> list[torch.Generator]:
    """One CPU generator a picture, so that it depends on its own seed only; ValueError without seeds."""
    if not seeds:
        raise ValueError("Give at least one seed: each seed is one picture.")
    return [
        seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(check_seed(seed)) for seed in seeds
    ]


def _name(content: str | Image.Image) -> str:
    """How a record names an end or a part: the prompt itself, or the hash of the picture's pixels."""
    if isinstance(content, str):
        return content
    return "sha256:" + hashlib.sha256(images.to_rgb(content).tobytes()).hexdigest()
