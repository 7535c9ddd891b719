"""`UnclipBase`: the operations that a family of checkpoints implements, and of which all `dalle2.tasks` are made.

unCLIP has a seam in the middle, the CLIP image embedding: `embed_prompt` and `embed_image` lead to it,
`decode` leads from it to pictures, and `invert` finds the noise that `decode` would have started from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from PIL import Image

from dalle2 import images
from dalle2.datasets.phrases import Phrases
from dalle2.pixels import AttentionMaps, KnownPixels
from dalle2.refusal import Refusal
from dalle2.seeds import Seed, generators
from dalle2.settings import MAX_PICTURES, OnStep, Settings, check_prompt
from dalle2.understanding.answer import Understanding, literal
from dalle2.understanding.interpreter import Interpreter

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait


class UnclipBase(ABC):
    """A checkpoint's abilities. What it lacks is not in its `capabilities`, and is refused with a sentence."""

    capabilities: frozenset[str]
    priors: tuple[str, ...]  # of stage_settings.PRIORS, what `settings.prior.kind` can be
    settings: Settings  # the checkpoint's own defaults
    checkpoint: str  # what `load` was given
    tokenizer: str | None = None  # "2022" where prompts become the token ids of that year
    styles: tuple[str, ...]
    examples: tuple[str, ...]  # prompts
    subject: Mapping[str, str]  # language -> the one kind of thing that it draws; {} for pictures of all kinds
    phrases: Phrases | None = None  # the words to describe pictures by
    picture_size: int  # pixels a side
    picture_sizes: Sequence[int] = ()  # which others the decoder draws, if `settings.decoder.picture_size` asks for one
    upsampling: int  # how many times larger the upsampler learned to make a picture; 1 without one
    inpaints: bool = False  # whether the decoder learned to paint a part; of others, resampling makes the parts agree
    noise_levels: int = 0  # how many the decoder knows of noise in an embedding; 0 if it expects none
    device: torch.device
    dtype: torch.dtype
    loras: tuple[Mapping[str, Any], ...] = ()  # what it was taught later and is merged into it, as records tell of it
    host: Any = None  # the `engines.hosting.Host` that computes its denoising networks, where that is not torch

    @property
    def itself(self) -> UnclipBase:
        """Return the model, where this only stands for it during a request: what is kept of a model is kept by it."""
        return self

    @property
    def engine(self) -> str:
        """Return what computes its denoising networks: "torch", "onnxruntime" or "openvino"."""
        return "torch" if self.host is None else self.host.name

    @property
    @abstractmethod
    def checkpoint_hash(self) -> str:
        """Return the SHA-256 over the checkpoint's files, hexadecimal."""

    @abstractmethod
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Prompts -> image embeddings (n, dim), float32 on the CPU: the prior (paper, section 2.2)."""

    def draw_prompts(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: Settings | None, on_step: OnStep | None
    ) -> list[Image.Image]:
        """Prompts -> pictures, one a prompt and seed: `embed_prompt`, then `decode` by the same generators."""
        noise = generators(seeds)
        embeddings = self.embed_prompt(prompts, noise, settings, on_step)
        return self.decode(embeddings, noise, prompts, settings, on_step)

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
        noise: torch.Tensor | None = None,
        known: KnownPixels | None = None,
    ) -> torch.Tensor:
        """Embeddings (n, dim) -> pixels (n, 3, size, size), float32 on the CPU, in about [-1, 1].

        `noise` (n or 1, ...) is what the decoder starts from, as `invert` gives it, instead of its seeds' own.
        """

    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> CLIP text embeddings (n, dim), float32 on the CPU, in the space of the image embeddings."""
        raise self._unable("text_diff")

    def edit_embedding(
        self,
        embedding: torch.Tensor,
        old: str,
        new: str,
        strengths: Sequence[float],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Return an image embedding (1, dim) as it would be with `new` said for `old`, for each strength (n, dim).

        The diffusion prior's DDIM back toward noise under the old text, and from there under the new one. The strength
        0..1 is the share of the way that is gone: with 0 the embedding stays, with 1 only what the noise remembers.
        ValueError unless the prior is `invertible`.
        """
        raise self._unable("text_diff")

    def invert(
        self,
        pictures: Sequence[Image.Image],
        embeddings: torch.Tensor,
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        refinements: int = 1,
    ) -> torch.Tensor:
        """Pictures, and their embeddings (n, dim) -> the noise from which `decode` draws them (paper, section 3.1).

        `refinements` 0 is the plain inversion, 1 and more the fixed-point one. ValueError unless
        the decoder is `invertible` and has no guidance.
        """
        raise self._unable("reconstruct")

    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        side: int | None = None,
    ) -> torch.Tensor:
        """Square pixels (n, 3, s, s) of any size -> (n, 3, side, side), both in [-1, 1]: the upsampler alone.

        `side` is the model's own picture size unless given; its networks are convolutions, and so have no size.
        """
        raise self._unable("enhance")

    def attend(
        self, prompt: str, seed: int, settings: Settings | None = None, on_step: OnStep | None = None
    ) -> tuple[Image.Image, AttentionMaps]:
        """Return the picture of a prompt, and where its decoder looked for each word."""
        raise self._unable("attention")

    def decode(
        self,
        embeddings: torch.Tensor,
        seeds: Sequence[Seed],
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        noise: torch.Tensor | None = None,
        known: KnownPixels | None = None,
    ) -> list[Image.Image]:
        """Embeddings (n, dim) -> n pictures: the decoder (paper, section 2.1) and the upsampler.

        MAX_PICTURES are drawn at a time, each batch with its own steps, so that memory does not grow with n.
        """
        pictures = []
        for first in range(0, max(len(seeds), 1), MAX_PICTURES):
            rows = slice(first, first + MAX_PICTURES)
            words = None if prompts is None else prompts[rows]
            start = noise if noise is None or len(noise) == 1 else noise[rows]
            drawn = self._decode_some(embeddings[rows], generators(seeds[rows]), words, settings, on_step, start, known)
            pictures += images.to_pictures(drawn)
        return pictures

    def _decode_some(
        self,
        embeddings: torch.Tensor,
        noise: list[torch.Generator],
        prompts: Sequence[str] | None,
        settings: Settings | None,
        on_step: OnStep | None,
        start: torch.Tensor | None,
        known: KnownPixels | None,
    ) -> torch.Tensor:
        """Decode in halves what does not fit into the memory of a GPU: a picture is the same in any batch."""
        import torch

        states = [generator.get_state() for generator in noise]
        try:
            return self.decode_pixels(embeddings, noise, prompts, settings, on_step, start, known)
        except torch.OutOfMemoryError:
            if len(noise) == 1:
                raise
        for generator, state in zip(noise, states, strict=True):
            generator.set_state(state)
        torch.cuda.empty_cache()  # does nothing elsewhere
        half = len(noise) // 2
        parts = []
        for rows in (slice(None, half), slice(half, None)):
            words = None if prompts is None else prompts[rows]
            own = start if start is None or len(start) == 1 else start[rows]
            parts.append(self._decode_some(embeddings[rows], noise[rows], words, settings, on_step, own, known))
        return torch.cat(parts)

    def embed(
        self,
        contents: Sequence[str | Image.Image],
        seed: int,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Pictures and prompts, in any order -> their embeddings (n, dim) in that order."""
        import torch

        prompts = {i: check_prompt(content) for i, content in enumerate(contents) if isinstance(content, str)}
        pictures = {i: content for i, content in enumerate(contents) if not isinstance(content, str)}
        rows: dict[int, torch.Tensor] = {}
        if prompts:
            self.require("text_to_image")
            noise = generators([seed] * len(prompts))
            rows |= zip(prompts, self.embed_prompt(list(prompts.values()), noise, settings, on_step), strict=True)
        if pictures:
            self.require("variations")
            rows |= zip(pictures, self.embed_image(list(pictures.values())), strict=True)
        return torch.stack([rows[i] for i in range(len(contents))])

    @property
    def stages(self) -> tuple[str, ...]:
        """Return the stages that it draws with, as in its settings, in the order in which they run."""
        return tuple(self.settings.stages)

    def adopt(self, settings: Settings | None) -> Settings:
        """Return these settings, or the checkpoint's own; ValueError unless they are for just what it has."""
        if settings is not None and tuple(settings.stages) != self.stages:
            raise Refusal(
                f"The checkpoint {self.checkpoint} draws by {', '.join(self.stages)}, but the settings are for "
                f"{', '.join(settings.stages)}: give those of its own stages."
            )
        settings = settings or self.settings
        level = settings.decoder.noise_level
        if level and not self.noise_levels:
            raise Refusal(f"The decoder of {self.checkpoint} learned no noise levels: leave noise_level at 0.")
        if level and level >= self.noise_levels:
            raise Refusal(f"The noise levels of {self.checkpoint} go up to {self.noise_levels - 1}, not {level}.")
        if (side := settings.decoder.picture_size) is not None:
            self.check_drawn(side)
        return settings

    def check_drawn(self, side: int) -> None:
        """Raise ValueError, with the sizes that it draws, unless pictures of so many pixels a side are among them."""
        if side not in (self.picture_size, *self.picture_sizes):
            others = ", ".join(map(str, self.picture_sizes)) or "no others"
            raise Refusal(
                f"The checkpoint {self.checkpoint} draws pictures of {self.picture_size} pixels a side ({others}), "
                f"not of {side}."
            )

    def side(self, settings: Settings | None) -> int:
        """Return how many pixels a side a picture has that is drawn with these settings."""
        return self.adopt(settings).decoder.picture_size or self.picture_size

    def inversion_settings(self, settings: Settings | None) -> Settings:
        """Return the settings of a task that inverts a picture; ValueError where the decoder is not `invertible`."""
        settings = self.adopt(settings or self.settings.for_inversion())
        if not settings.decoder.invertible:
            raise Refusal(
                "Only plain DDIM finds the way back from a picture to its noise: let the decoder's scheduler be ddim "
                "and its eta 0, as in settings.for_inversion()."
            )
        if settings.decoder.guidance_scale != 1:
            raise Refusal(
                "Under guidance the way back from a picture to its noise is lost: let the decoder's guidance_scale be "
                "1, as in settings.for_inversion()."
            )
        return settings

    def text_diff_settings(self, settings: Settings | None) -> Settings:
        """Return the settings of a task that edits an embedding; ValueError where the prior is not `invertible`."""
        settings = self.adopt(settings or self.settings.for_text_diff())
        if settings.prior is None or not settings.prior.invertible:
            raise Refusal(
                "Only a diffusion prior by plain DDIM finds the way back from an embedding to its noise: let the "
                "prior's scheduler be ddim, its kind diffusion and its eta 0, as in settings.for_text_diff()."
            )
        return settings

    @property
    def packages(self) -> Collection[str]:
        """Return the packages whose versions decide a picture."""
        return {"torch", "diffusers", "transformers", self.engine}

    @property
    def understands(self) -> bool:
        """Whether it looks for the meaning of prompts; who only asks this need not wait for its `interpreter`."""
        return self.interpreter is not None

    @property
    def interpreter(self) -> Interpreter | None:
        """Return what prompts are understood with; None where the checkpoint has no vocabulary."""
        return None

    def understand(self, prompt: str) -> Understanding:
        """Return what the checkpoint takes the prompt for: the very words where it has no vocabulary."""
        prompt = check_prompt(prompt)
        return literal(prompt) if self.interpreter is None else self.interpreter.understand(prompt)

    def require(self, task: str) -> None:
        """ValueError, with what the checkpoint can do, unless it can do this."""
        if task not in self.capabilities:
            raise self._unable(task)

    def _require_prior(self, kind: str) -> None:
        if kind not in self.priors:
            raise Refusal(f"The checkpoint {self.checkpoint} has no {kind} prior: it has {', '.join(self.priors)}.")

    def _unable(self, task: str) -> Refusal:
        able = ", ".join(sorted(self.capabilities)) or "nothing"
        return Refusal(f"The checkpoint {self.checkpoint} cannot do {task}: it can do {able}.")

    def attach_records(
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
            **{name: said for name, said in (("loras", [*self.loras]), ("tokenizer", self.tokenizer)) if said},
            "engine": self.engine,
            "versions": {name: version(name) for name in sorted(self.packages)},
        }
        for picture, seed, detail in zip(pictures, seeds, details, strict=True):
            images.write_record(picture, {"task": task, **detail, "seed": seed, **shared})
        return pictures
