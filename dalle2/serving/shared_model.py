"""A checkpoint that several requests draw with at a time: its operations are computed in batches across visitors.

Tasks are made of these operations, so every task shares them without knowing: the frames of an interpolation and
another visitor's variations are drawn in one batch where decoder and upsampler have the same settings.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from dalle2 import light
from dalle2.datasets.phrases import Phrases
from dalle2.families.lazy import LazyModel
from dalle2.model import UnclipModel
from dalle2.pixels import AttentionMaps, KnownPixels
from dalle2.serving.batches import Batches, Call, Column, current
from dalle2.settings import OnStep, Settings, check_seed
from dalle2.unclip_base import Seed
from dalle2.understanding.interpreter import Interpreter

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait


class SharedModel(UnclipModel):
    """A model whose operations wait for their turn in `batches`; all else is the model's own."""

    def __init__(self, model: UnclipModel, batches: Batches) -> None:
        self._model, self._batches, self.tokenizer = model, batches, model.tokenizer
        self._early = False  # whether this request's pictures were drawn before the networks were there
        self.noise_levels, self.picture_sizes, self.inpaints = model.noise_levels, model.picture_sizes, model.inpaints
        self.loras = model.loras

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def itself(self) -> UnclipModel:
        return self._model

    @property
    def checkpoint_hash(self) -> str:
        return self._model.checkpoint_hash

    @property
    def engine(self) -> str:
        return self._model.engine

    @property
    def phrases(self) -> Phrases | None:  # ty: ignore[incompatible-property-override]  (nobody writes it here)
        return self._model.phrases

    @property
    def interpreter(self) -> Interpreter | None:
        return self._model.interpreter

    @property
    def packages(self) -> Collection[str]:
        return light.PACKAGES if self._early else self._model.packages

    @property
    def understands(self) -> bool:
        return self._model.understands

    def draw_prompts(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: Settings | None, on_step: OnStep | None
    ) -> list[Image.Image]:
        model, chosen = self._model, self.adopt(settings)
        if not (isinstance(model, LazyModel) and model.draws_unloaded(chosen)):
            return super().draw_prompts(prompts, seeds, settings, on_step)
        self._early = True
        return self._together(
            lambda prompts, seeds, on_step: model.draw_unloaded(prompts, seeds, chosen, on_step),
            (prompts, [check_seed(seed) for seed in seeds]),
            ("draw_prompts", chosen.prior, chosen.decoder, chosen.upsampler, chosen.negative_prompt),
            on_step,
        )

    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        chosen = settings or self.settings
        return self._together(
            lambda prompts, seeds, on_step: self._model.embed_prompt(prompts, seeds, chosen, on_step),
            (prompts, seeds),
            ("embed_prompt", chosen.prior, chosen.negative_prompt),
            on_step,
        )

    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        return self._together(lambda pictures, _: self._model.embed_image(pictures), (pictures,), ("embed_image",))

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
        chosen = settings or self.settings
        if known is not None:  # which all pictures of a batch share
            return self._alone(
                lambda on_step: self._model.decode_pixels(embeddings, seeds, prompts, chosen, on_step, noise, known),
                on_step,
            )
        start = noise if noise is None else noise.expand(len(seeds), *noise.shape[1:])
        # A decoder that reads no text has its negative prompt from the prior.
        negative = None if chosen.negative_prompt is None else (chosen.negative_prompt, chosen.prior)
        key = (chosen.decoder, chosen.upsampler, negative, prompts is None, noise is None)
        return self._together(
            lambda embeddings, seeds, prompts, noise, on_step: self._model.decode_pixels(
                embeddings, seeds, prompts, chosen, on_step, noise
            ),
            (embeddings, seeds, prompts, start),
            ("decode_pixels", *key),
            on_step,
        )

    def invert(
        self,
        pictures: Sequence[Image.Image],
        embeddings: torch.Tensor,
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        refinements: int = 1,
    ) -> torch.Tensor:
        chosen = self.inversion_settings(settings)
        return self._together(
            lambda pictures, embeddings, prompts, on_step: self._model.invert(
                pictures, embeddings, prompts, chosen, on_step, refinements
            ),
            (pictures, embeddings, prompts),
            ("invert", chosen.decoder, chosen.negative_prompt, prompts is None, refinements),
            on_step,
        )

    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        side: int | None = None,
    ) -> torch.Tensor:
        chosen = settings or self.settings
        return self._together(
            lambda small, seeds, on_step: self._model.upsample(small, seeds, chosen, on_step, side),
            (small, seeds),
            ("upsample", chosen.upsampler, small.shape[1:], side),
            on_step,
        )

    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        return self._alone(lambda _: self._model.embed_text(prompts))

    def edit_embedding(
        self,
        embedding: torch.Tensor,
        old: str,
        new: str,
        strengths: Sequence[float],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        return self._alone(
            lambda on_step: self._model.edit_embedding(embedding, old, new, strengths, settings, on_step), on_step
        )

    def attend(
        self, prompt: str, seed: int, settings: Settings | None = None, on_step: OnStep | None = None
    ) -> tuple[Image.Image, AttentionMaps]:
        return self._alone(lambda on_step: self._model.attend(prompt, seed, settings, on_step), on_step)

    def _together(
        self, compute: Any, columns: tuple[Column, ...], key: tuple[Hashable, ...], on_step: OnStep | None = None
    ) -> Any:
        if len({len(column) for column in columns if column is not None}) > 1:
            return compute(*columns, on_step)  # which says what is wrong with it
        return self._batches.compute(Call(current.get(), columns, compute, (self._model.checkpoint, *key), on_step))

    def _alone(self, compute: Any, on_step: OnStep | None = None) -> Any:
        return self._batches.compute(Call(current.get(), (), compute, None, on_step))
