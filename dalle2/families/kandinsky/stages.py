"""What Kandinsky's decoder denoises, and under which conditions; and how it paints only a part of a picture."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from dalle2.families.diffusion import DiffusionStage, Preview
from dalle2.families.kandinsky.layout import Parts
from dalle2.sampling import After


class Canvas(NamedTuple):
    """What a decoder for inpainting sees beside the noise.

    Latents (1, 4, h, w), and a mask (1, 1, h, w), 1 where they are kept and 0 where they are painted.
    """

    latents: torch.Tensor
    keep: torch.Tensor

    @classmethod
    def of(cls, latents: torch.Tensor, repaint: torch.Tensor) -> "Canvas":
        """Of latents and what is repainted (1, 1, height, width) of their pixels, 0..1.

        A latent is kept only where nothing of what it stands for, or of its neighbours, is repainted: diffusers keeps
        those across one diagonal, and so do we.
        """
        marked = torch.nn.functional.adaptive_max_pool2d((repaint >= 0.5).float(), latents.shape[-2:])
        pool, pad = torch.nn.functional.max_pool2d, torch.nn.functional.pad
        after, before = pool(pad(marked, (0, 1, 0, 1)), 2, 1), pool(pad(marked, (1, 0, 1, 0)), 2, 1)
        return cls(latents, 1 - torch.maximum(after, before).to(latents.device))

    @classmethod
    def empty(cls, shape: tuple[int, ...], device: torch.device) -> "Canvas":
        """Return one of which nothing is kept, on which whole pictures are painted."""
        return cls(torch.zeros(1, *shape, device=device), torch.zeros(1, 1, *shape[1:], device=device))

    def hold(self, start: torch.Tensor) -> After:
        """Put the kept latents back after each step, in the noise (n, 4, h, w) from which the picture starts."""

        def after(x: torch.Tensor, signal: torch.Tensor | None) -> torch.Tensor:
            known = self.latents
            if signal is not None:
                known = signal**0.5 * known + (1 - signal) ** 0.5 * start
            return self.keep * known + (1 - self.keep) * x

        return after


def decoder_stage(
    parts: Parts,
    conditions: Mapping[str, torch.Tensor],
    shape: tuple[int, ...],
    canvas: Canvas | None,
    preview: Callable[[], Preview],
) -> DiffusionStage:
    """Return the stage that draws latents of this shape, on the canvas that a decoder for inpainting needs.

    `conditions` are "image_embeds", and where it reads text "text_embeds" and "encoder_hidden_states". `preview` is
    asked for when a picture is first looked at.
    """
    unet = parts.unet

    def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        context = conditions.pop("encoder_hidden_states", None)
        if canvas is not None:
            seen = torch.cat([canvas.latents * canvas.keep, canvas.keep], dim=1)
            x = torch.cat([x, seen.expand(len(x), -1, -1, -1)], dim=1)
        noisy = x.to(unet.dtype, memory_format=torch.channels_last)
        return unet(noisy, t, encoder_hidden_states=context, added_cond_kwargs=conditions).sample

    return DiffusionStage(
        "decoder", network, conditions, parts.scheduler.config, shape, lambda latents: preview()(latents)
    )
