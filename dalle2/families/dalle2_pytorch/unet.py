"""One U-Net of DALLE2-pytorch's decoder: the first draws from an image embedding, the others enlarge what it drew."""

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

from dalle2.families.dalle2_pytorch.attention import LinearAttention, SelfAttention
from dalle2.families.dalle2_pytorch.blocks import (
    CrossEmbed,
    NearestUpsample,
    PixelShuffleUpsample,
    PixelUnshuffleDownsample,
    ResnetBlock,
    TimeHiddens,
)


class CascadeUnet(ModelMixin, ConfigMixin):
    """Noisy pixels (n, channels, h, w) at timesteps (n,) -> what it predicts, and maybe the variance behind it.

    Its config is named as the package's, but for what its versions do differently, and how it is sampled from:

    Attributes:
        former_downsample: whether it halves by a convolution, as before version 1.10.0.
        former_self_attn: whether its self-attention multiplies by the root of 1 / dim_head, as before version 1.4.3,
            where later ones, without meaning to, multiply by 1 / dim_head.
        sparse_attn_values: see `LinearAttention`.
        sigmoid_variance: whether the share of the variance that it learned goes through a sigmoid.
        guidable: whether it learned to do without what it is told, so that guidance has something to lead away from.
        lowres_noise_level: how much noise it sees the small picture in, 0..1; None for none.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, the keys of a config
        self,
        *,
        dim: int = 320,
        image_size: int = 64,
        image_embed_dim: int = 768,
        text_embed_dim: int = 768,
        cond_dim: int | None = None,
        num_image_tokens: int = 4,
        num_time_tokens: int = 2,
        dim_mults: Sequence[int] = (1, 2, 4, 8),
        channels: int = 3,
        channels_out: int = 3,
        self_attn: Sequence[bool] = (False, False, False, False),
        attn_dim_head: int = 32,
        attn_heads: int = 16,
        lowres_cond: bool = False,
        lowres_noise_cond: bool = False,
        sparse_attn: bool = False,
        cosine_sim_cross_attn: bool = False,
        cosine_sim_self_attn: bool = False,
        cond_on_text_encodings: bool = False,
        max_text_len: int = 256,
        cond_on_image_embeds: bool = False,
        add_image_embeds_to_time: bool = True,
        init_dim: int | None = None,
        init_conv_kernel_size: int = 7,
        resnet_groups: Sequence[int] = (8, 8, 8, 8),
        resnet_weight_standardization: bool = False,
        num_resnet_blocks: Sequence[int] = (2, 2, 2, 2),
        init_cross_embed: bool = True,
        init_cross_embed_kernel_sizes: Sequence[int] = (3, 7, 15),
        cross_embed_downsample: bool = False,
        cross_embed_downsample_kernel_sizes: Sequence[int] = (2, 4),
        memory_efficient: bool = False,
        scale_skip_connection: bool = False,
        pixel_shuffle_upsample: bool = True,
        final_conv_kernel_size: int = 1,
        former_downsample: bool = False,
        former_self_attn: bool = False,
        sparse_attn_values: str = "unit",
        sigmoid_variance: bool = False,
        guidable: bool = True,
        lowres_noise_level: float | None = None,
    ) -> None:
        super().__init__()
        dims = [init_dim or dim, *(dim * times for times in dim_mults)]
        self._build_ends(dims[0])
        self._build_conditions(cond_dim or dim)
        self._build_levels(dims, cond_dim or dim, 4 * dim)

    def _build_ends(self, first: int) -> None:
        config = self.config
        seen = config.channels * (2 if config.lowres_cond else 1)
        if config.init_cross_embed:
            self.init_conv = CrossEmbed(seen, first, config.init_cross_embed_kernel_sizes, 1)
        else:
            size = config.init_conv_kernel_size
            self.init_conv = nn.Conv2d(seen, first, size, padding=size // 2)
        dim, size = config.dim, config.final_conv_kernel_size
        self.final_resnet_block = self._block(2 * dim, dim, config.resnet_groups[0], 4 * dim)
        seen = dim + (config.channels if config.lowres_cond else 0)
        self.to_out = nn.Conv2d(seen, config.channels_out, size, padding=size // 2)

    def _build_conditions(self, cond_dim: int) -> None:
        config = self.config
        dim, wide, image_dim = config.dim, 4 * config.dim, config.image_embed_dim
        sees, reads = config.cond_on_image_embeds, config.cond_on_text_encodings
        self.to_time_hiddens = TimeHiddens(dim, wide)
        self.to_time_tokens = nn.Linear(wide, cond_dim * config.num_time_tokens)
        self.to_time_cond = nn.Linear(wide, wide)
        self.image_to_tokens = nn.Linear(image_dim, cond_dim * config.num_image_tokens) if sees else None
        self.to_image_hiddens = nn.Linear(image_dim, wide) if sees and config.add_image_embeds_to_time else None
        self.text_to_cond = nn.Linear(config.text_embed_dim, cond_dim) if reads else None
        noised = config.lowres_noise_cond
        self.to_lowres_noise_cond = nn.ModuleList([TimeHiddens(dim, wide), nn.Linear(wide, wide)]) if noised else None
        self.norm_cond, self.norm_mid_cond = nn.LayerNorm(cond_dim), nn.LayerNorm(cond_dim)
        self.null_image_embed = nn.Parameter(torch.zeros(1, config.num_image_tokens, cond_dim))
        self.null_image_hiddens = nn.Parameter(torch.zeros(1, wide))
        self.null_text_embed = nn.Parameter(torch.zeros(1, config.max_text_len, cond_dim))

    def _build_levels(self, dims: Sequence[int], cond_dim: int, wide: int) -> None:
        config = self.config
        rows = list(
            zip(dims[:-1], dims[1:], config.resnet_groups, config.num_resnet_blocks, config.self_attn, strict=True)
        )
        efficient, last = config.memory_efficient, len(rows) - 1
        self.init_resnet_block = self._block(dims[0], dims[0], config.resnet_groups[0], wide) if efficient else None
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for index, (small, large, groups, blocks, attends) in enumerate(rows):
            inside = large if efficient else small
            told = cond_dim if index else None
            before = self._downsample(small, large) if efficient else nn.Identity()
            after = nn.Conv2d(inside, large, 1)
            if not efficient and index < last:
                after = self._downsample(inside, large)
            block = [self._block(inside, inside, groups, wide, told) for _ in range(blocks)]
            first = self._block(inside, inside, groups, wide)
            self.downs.append(Level(before, first, block, self._attention(inside, attends), after))
            both = large + inside
            block = [self._block(both, large, groups, wide, told) for _ in range(blocks)]
            first = self._block(both, large, groups, wide, told)
            enlarge = PixelShuffleUpsample if config.pixel_shuffle_upsample else NearestUpsample
            after = enlarge(large, small) if index or efficient else nn.Identity()
            self.ups.insert(0, Level(nn.Identity(), first, block, self._attention(large, attends), after))
        groups = config.resnet_groups[-1]
        self.mid_block1, self.mid_block2 = (self._block(dims[-1], dims[-1], groups, wide, cond_dim) for _ in range(2))
        self.mid_attn = self._attention(dims[-1], True)

    def _block(self, dim: int, out: int, groups: int, wide: int, cond_dim: int | None = None) -> ResnetBlock:
        config = self.config
        standardised, cosine = config.resnet_weight_standardization, config.cosine_sim_cross_attn
        return ResnetBlock(dim, out, wide, cond_dim, groups=groups, standardised=standardised, cosine=cosine)

    def _downsample(self, dim: int, out: int) -> nn.Module:
        if self.config.cross_embed_downsample:
            return CrossEmbed(dim, out, self.config.cross_embed_downsample_kernel_sizes, 2)
        if self.config.former_downsample:
            return nn.Conv2d(dim, out, 4, stride=2, padding=1)
        return PixelUnshuffleDownsample(dim, out)

    def _attention(self, dim: int, full: bool) -> nn.Module | None:
        config = self.config
        heads, dim_head = config.attn_heads, config.attn_dim_head
        if full:
            scale = dim_head**-0.5 if config.former_self_attn else 1 / dim_head
            return SelfAttention(dim, heads, dim_head, cosine=config.cosine_sim_self_attn, scale=scale)
        if not config.sparse_attn:
            return None
        return LinearAttention(dim, heads, dim_head, values=config.sparse_attn_values)

    def forward(  # noqa: PLR0913, what one U-Net of a cascade is told
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        *,
        image_embeds: torch.Tensor | None = None,
        tokens: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        image_keep: torch.Tensor | None = None,
        text_keep: torch.Tensor | None = None,
        small: torch.Tensor | None = None,
        noise_level: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predict from image embeddings (n, dim), tokens (n, length, dim) and which are text (n, length).

        Where a row of `image_keep` or `text_keep` (n,) is false, the one or the other is not seen. A U-Net that
        enlarges sees `small` at its own size, and `noise_level` (n,), the timestep of the noise in that.
        """
        if small is not None:
            x = torch.cat([x, small], dim=1)
        x = start = self.init_conv(x)
        hidden = self.to_time_hiddens(t)
        time = self.to_time_cond(hidden)
        told = [self.to_time_tokens(hidden).unflatten(-1, (self.config.num_time_tokens, -1))]
        if noise_level is not None and self.to_lowres_noise_cond is not None:
            time = time + self.to_lowres_noise_cond[1](self.to_lowres_noise_cond[0](noise_level))
        if self.image_to_tokens is not None:
            assert image_embeds is not None and image_keep is not None, "this one sees an embedding"
            seen = self.image_to_tokens(image_embeds).unflatten(-1, (self.config.num_image_tokens, -1))
            told.append(torch.where(image_keep[:, None, None], seen, self.null_image_embed))
            if self.to_image_hiddens is not None:
                hiddens = functional.gelu(self.to_image_hiddens(image_embeds))
                time = time + torch.where(image_keep[:, None], hiddens, self.null_image_hiddens)
        context = self.norm_cond(torch.cat(told, dim=1))
        if self.text_to_cond is not None:
            assert tokens is not None and mask is not None and text_keep is not None, "this one reads text"
            told.append(self._text(tokens, mask & text_keep[:, None]))
        middle = self.norm_mid_cond(torch.cat(told, dim=1))
        x = torch.cat([self._run(x, time, context, middle), start], dim=1)
        x = self.final_resnet_block(x, time)
        return self.to_out(x if small is None else torch.cat([x, small], dim=1))

    def _text(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        length = self.config.max_text_len
        missing = max(length - tokens.shape[1], 0)
        read = functional.pad(self.text_to_cond(tokens[:, :length]), (0, 0, 0, missing))
        mask = functional.pad(mask[:, :length], (0, missing))
        return torch.where(mask[..., None], read, self.null_text_embed)

    def _run(self, x: torch.Tensor, time: torch.Tensor, context: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
        """Go down and up through the levels; of what they read, only the innermost blocks read the text."""
        kept = []
        if self.init_resnet_block is not None:
            x = self.init_resnet_block(x, time)
        for level in self.downs:
            x = level.first(level.before(x), time)
            for block in level.blocks:
                x = block(x, time, context)
                kept.append(x)
            x = attended(level.attention, x)
            kept.append(x)
            x = level.after(x)
        x = attended(self.mid_attn, self.mid_block1(x, time, middle))
        x = self.mid_block2(x, time, middle)
        scale = 2**-0.5 if self.config.scale_skip_connection else 1.0
        for level in self.ups:
            for block in (level.first, *level.blocks):
                x = block(torch.cat([x, kept.pop() * scale], dim=1), time, context)
            x = level.after(attended(level.attention, x))
        return x


class Level(nn.Module):
    """What a U-Net does at one size, on the way down or up."""

    def __init__(
        self,
        before: nn.Module,
        first: ResnetBlock,
        blocks: Sequence[ResnetBlock],
        attention: nn.Module | None,
        after: nn.Module,
    ) -> None:
        super().__init__()
        self.before, self.first, self.attention, self.after = before, first, attention, after
        self.blocks = nn.ModuleList(blocks)


def attended(attention: nn.Module | None, x: torch.Tensor) -> torch.Tensor:
    """Pictures (n, dim, h, w) -> the same, with what attention, if any, finds in them."""
    if attention is None:
        return x
    if isinstance(attention, LinearAttention):
        return x + attention(x)
    return x + attention(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(-1, x.shape[-2:])
