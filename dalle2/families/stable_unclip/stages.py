"""What Stable unCLIP's decoder denoises, and under which conditions."""

from collections.abc import Callable

import torch
from diffusers.models.embeddings import get_timestep_embedding
from transformers import CLIPTextModel, CLIPTokenizer

from dalle2 import sampling
from dalle2.families.diffusion import DiffusionStage, Preview
from dalle2.families.stable_unclip.layout import Parts
from dalle2.finiteness import check_finite
from dalle2.networks.text_encoder import PromptTokenizer
from dalle2.pixels import KnownPixels


class TextReader:
    """Prompts -> what the decoder reads of them, the text encoder's last hidden state."""

    def __init__(self, tokenizer: CLIPTokenizer, encoder: CLIPTextModel) -> None:
        self._tokenizer = PromptTokenizer(tokenizer, encoder.config.max_position_embeddings)
        self._encoder = encoder

    def read(self, prompts: list[str], guided: bool, negative: str | None) -> torch.Tensor:
        """Tokens (n, length, dim), or guided (2n, ...): the negative prompt's, or those of "", stand first."""
        texts = [negative or ""] * len(prompts) + prompts if guided else prompts
        different = list(dict.fromkeys(texts))
        # Never one alone: a matrix product of a single text rounds otherwise than that of several.
        rows = self._tokenizer.tokenize([*different, *different][: max(len(different), 2)])
        ids, _ = self._tokenizer.pad(rows, self._tokenizer.context)
        tokens = self._encoder(ids.to(self._encoder.device)).last_hidden_state
        check_finite(tokens, "text encoder")
        return tokens[[different.index(text) for text in texts]]


def noised(parts: Parts, embeddings: torch.Tensor, level: int, noise: torch.Tensor) -> torch.Tensor:
    """Image embeddings (n, dim) -> what the decoder sees of them (n, 2 dim): with so much noise, and how much it is.

    The noise (n, dim) is added where the embeddings have mean 0 and standard deviation 1 (normalised by the statistics
    of the training pictures), on the checkpoint's schedule for it.
    """
    mean, deviation = parts.image_normalizer.mean.float(), parts.image_normalizer.std.float()
    levels = torch.full((len(embeddings),), level, device=embeddings.device)
    normed = parts.image_noising_scheduler.add_noise((embeddings - mean) / deviation, noise, levels)
    dim = embeddings.shape[1]
    position = get_timestep_embedding(levels, dim, flip_sin_to_cos=True, downscale_freq_shift=0)
    return torch.cat([normed * deviation + mean, position.to(normed.dtype)], dim=1)


def decoder_stage(
    parts: Parts, seen: torch.Tensor, tokens: torch.Tensor, shape: tuple[int, ...], preview: Callable[[], Preview]
) -> DiffusionStage:
    """Return the stage that draws latents of this shape.

    `seen` (n, 2 dim) is of the embeddings; under guidance the tokens are (2n, ...), and the unconditional half sees
    zeros, noise level and all. `preview` is asked for when a picture is first looked at.
    """
    unet = parts.unet
    if len(tokens) > len(seen):
        seen = torch.cat([torch.zeros_like(seen), seen])

    def network(x: torch.Tensor, t: torch.Tensor, tokens: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        noisy = x.to(unet.dtype, memory_format=torch.channels_last)
        return unet(noisy, t, encoder_hidden_states=tokens, class_labels=seen).sample

    conditions = {"tokens": tokens, "seen": seen.to(unet.dtype)}
    schedule = parts.scheduler.config
    return DiffusionStage("decoder", network, conditions, schedule, shape, lambda latents: preview()(latents))


def keep(denoise: sampling.Denoise, latents: torch.Tensor, known: KnownPixels) -> sampling.Denoise:
    """Predict the kept latents (1, 4, h, w), where nothing of what they stand for is repainted."""
    repaint = torch.nn.functional.adaptive_max_pool2d(known.repaint, latents.shape[-2:])
    return sampling.keep(denoise, latents, repaint.to(latents.device))
