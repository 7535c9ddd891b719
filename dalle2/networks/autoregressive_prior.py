"""The autoregressive prior (paper, section 2.2): a picture embedding as buckets that follow the text one by one.

The embedding is projected on its principal components, by falling eigenvalue, and each component is quantised; a
causal transformer, transformers' GPT-2, predicts the buckets after the text.
"""

from collections.abc import Callable, Collection

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from dalle2.finiteness import check_finite
from dalle2.networks.text_encoder import EncodedText


class Codebook(nn.Module):
    """Embeddings (n, dim) <-> codes (n, components), the number 0..buckets - 1 of each component's bucket.

    Buffers: mean (dim,); axes (components, dim), of unit length; edges (components, buckets - 1), rising, between
    the buckets; centres (components, buckets), what a bucket stands for.
    """

    mean: torch.Tensor
    axes: torch.Tensor
    edges: torch.Tensor
    centres: torch.Tensor

    def __init__(self, dim: int, components: int, buckets: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("axes", torch.eye(components, dim))
        self.register_buffer("edges", torch.zeros(components, buckets - 1))
        self.register_buffer("centres", torch.zeros(components, buckets))

    def project(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, dim) -> coordinates along the axes (n, components), float32."""
        with torch.autocast(embeddings.device.type, enabled=False):  # half precision would miss the bucket
            return (embeddings.float() - self.mean.float()) @ self.axes.float().T

    def encode(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, dim) -> codes (n, components)."""
        return torch.searchsorted(self.edges.float(), self.project(embeddings).T.contiguous()).T

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (n, components) -> embeddings (n, dim), float32; what the components leave out is the mean's."""
        with torch.autocast(codes.device.type, enabled=False):
            coordinates = self.centres.float().gather(1, codes.T).T
            return coordinates @ self.axes.float() + self.mean.float()


class AutoregressivePrior(ModelMixin, ConfigMixin):
    """Text -> codes of a picture embedding.

    The sequence is the text's token states (context_length), the text embedding, the bucket of the dot product of
    both unit embeddings, then the codes. Buckets of the dot product are numbered behind those of the components.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, the sizes that make up config.json
        self,
        *,
        embedding_dim: int,
        context_length: int,
        components: int,
        buckets: int,
        dot_buckets: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float = 0.0,
    ) -> None:
        # GPT-2 brings in all of transformers' text generation, which a model that draws without it need not wait for.
        from transformers import GPT2Config, GPT2Model

        super().__init__()
        self.codebook = Codebook(embedding_dim, components, buckets)
        self.register_buffer("dot_edges", torch.zeros(dot_buckets - 1))
        self.states_proj = nn.Linear(embedding_dim, width)
        self.text_proj = nn.Linear(embedding_dim, width)
        self.transformer = GPT2Model(
            GPT2Config(
                vocab_size=buckets + dot_buckets,
                n_positions=context_length + 1 + components,  # the last code is predicted, never read
                n_embd=width,
                n_layer=layers,
                n_head=heads,
                resid_pdrop=dropout,
                embd_pdrop=dropout,
                attn_pdrop=dropout,
                bos_token_id=None,
                eos_token_id=None,
            )
        )

    def dot_codes(self, embeddings: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Picture and text embeddings (n, dim) -> the bucket of their unit vectors' dot product (n,)."""
        dots = torch.cosine_similarity(embeddings.float(), text.float())
        return torch.searchsorted(self.dot_edges.float(), dots)

    def forward(self, text: EncodedText, dots: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Text, buckets of the dot product (n,), first m codes (n, m) -> logits of m + 1 codes (n, m + 1, buckets)."""
        start, mask = self._start(text, dots), text.mask
        sequence = torch.cat([start, self.transformer.wte(codes)], dim=1)
        length = sequence.shape[1]
        live = F.pad(mask, (0, length - mask.shape[1]), value=True)
        # Of a mask with two dimensions GPT-2 asks whether all of it is true, for which a GPU has to stop.
        live = live[:, None, None] & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        hidden = self.transformer(inputs_embeds=sequence, attention_mask=live, use_cache=False).last_hidden_state
        return self._logits(hidden[:, start.shape[1] - 1 :])

    @torch.no_grad()
    def sample(
        self,
        text: EncodedText,
        uniforms: torch.Tensor,
        guidance_scale: float,
        guided: Collection[int],
        on_code: Callable[[int, int], None],
    ) -> torch.Tensor:
        """Draw the codes (n, components) from `uniforms` (n, 1 + components) in [0, 1), a row a picture.

        The dot product comes from the upper half of its buckets, as in the paper: pictures that their text
        describes well. With a guidance scale other than 1 the text is (2n, ...), the unconditional half first; it acts
        on the codes with an index in `guided`. `on_code(index, total)` hears of each code, from 1 on.
        """
        sizes, mask = self.config, text.mask
        ways = len(mask) // len(uniforms)
        half = sizes.dot_buckets // 2
        dots = half + (uniforms[:, 0] * (sizes.dot_buckets - half)).long()
        news = self._start(text, dots.repeat(ways))
        live = F.pad(mask, (0, 1 + sizes.components), value=True)
        length, cache, codes = 0, None, []
        for index in range(sizes.components):
            length += news.shape[1]
            output = self.transformer(
                inputs_embeds=news, attention_mask=live[:, :length], past_key_values=cache, use_cache=True
            )
            cache = output.past_key_values
            *unconditional, conditional = self._logits(output.last_hidden_state[:, -1]).float().chunk(ways)
            if unconditional and index in guided:
                conditional = unconditional[0] + guidance_scale * (conditional - unconditional[0])
            code = draw(check_finite(conditional, "prior"), uniforms[:, index + 1])
            news = self.transformer.wte(code.repeat(ways))[:, None]
            codes.append(code)
            on_code(index + 1, sizes.components)
        return torch.stack(codes, dim=1)

    def _start(self, text: EncodedText, dots: torch.Tensor) -> torch.Tensor:
        """Return what stands before the codes, (n, context_length + 2, width)."""
        embedding, states, _ = text
        dot = self.transformer.wte(self.config.buckets + dots)
        return torch.cat([self.states_proj(states), self.text_proj(embedding)[:, None], dot[:, None]], dim=1)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Let the buckets' own embeddings read them out, as in GPT-2."""
        return hidden @ self.transformer.wte.weight[: self.config.buckets].T


def draw(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Draw a bucket a row from logits (n, buckets): where its uniform number (n,) falls in the cumulated chances."""
    chances = logits.double().softmax(dim=-1).cumsum(dim=-1)
    found = torch.searchsorted(chances, uniforms.to(chances)[:, None], right=True)[:, 0]
    return found.clamp(max=logits.shape[-1] - 1)  # rounding may leave the last sum below 1
