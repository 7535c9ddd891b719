"""Recipes: TOML files that name only what differs from the defaults below."""

import tomllib
from pathlib import Path
from typing import Any, Literal

import pydantic

STAGES = ("clip", "text", "prior", "prior_linear", "prior_autoregressive", "decoder", "upsampler")


class _Strict(pydantic.BaseModel):
    """A frozen table of a recipe in which a misspelt key is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Data(_Strict):
    """Where the captioned pictures come from.

    Attributes:
        source: folder of parquet files or pictures, or the id of a `datasets` set.
        split, held_out_split: names of the splits that train and that watch for overfitting.
        image_column, caption_column: used for every source that the emoji builder did not write.
        streaming: read an endless stream with a shuffle buffer in place of holding all pictures in memory.
        subgroups: of the emoji set, only these (such as "cat-face"); empty takes all.
        scenes: share of the training pictures of countable things that become composed scenes ("three stars",
            "a dog above a heart"); of the emoji set only, held in memory.
        lexicon: what `python -m dalle2.datasets.lexicon` wrote: texts that captions take as further paraphrases, and
            that the text tower learns from where `text.lexicon_texts` says so; of the emoji set only.
    """

    source: str = "data/emoji"
    split: str = "train"
    held_out_split: str = "test"
    image_column: str = "image"
    caption_column: str = "caption"
    streaming: bool = False
    subgroups: tuple[str, ...] = ()
    scenes: float = pydantic.Field(0.0, ge=0, le=1)
    lexicon: str | None = None

    @pydantic.model_validator(mode="after")
    def _composes_in_memory(self) -> "Data":
        if self.scenes and self.streaming:
            raise ValueError("scenes are composed of pictures held in memory: set streaming to false")
        if self.lexicon and self.streaming:
            raise ValueError("a lexicon needs pictures held in memory: set streaming to false")
        return self


class Fit(_Strict):
    """How one stage is optimised; every stage's table takes these keys.

    Attributes:
        steps: optimiser steps; 0 keeps what `start_from` names.
        batch_size: pictures a step, over all processes together.
        optimizer: AdamW, or Muon for kernels and matrices (and AdamW for the rest).
        learning_rate: peak; linear warm-up over `warmup` of the steps, then cosine to zero.
        weight_decay: on matrices and kernels, never on biases and norms.
        clip_norm: gradients are scaled down to this global norm.
        ema_power, ema_max: the average's decay at step s is min(ema_max, 1 - (1 + s) ** -ema_power).
        evaluate_every: steps between held-out losses; patience: how many without a new best end the stage
            (0: never).
        snapshot_every: steps between snapshots, from which `--resume` continues exactly.
        compile: torch.compile the trained network (minutes of warm-up, then faster).
        start_from: checkpoint folder whose weights the stage starts with.
        share: of a time budget (`--minutes`), in any unit: the stage has this much of the longest chain of stages that
            need one another. Then `steps` counts for nothing, but that 0 is still none.
    """

    steps: pydantic.NonNegativeInt = 1000
    batch_size: pydantic.PositiveInt = 64
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: pydantic.PositiveFloat = 3e-4
    warmup: float = pydantic.Field(0.05, ge=0, lt=1)
    weight_decay: pydantic.NonNegativeFloat = 0.01
    clip_norm: pydantic.PositiveFloat = 1.0
    ema_power: pydantic.PositiveFloat = 0.75
    ema_max: float = pydantic.Field(0.9999, gt=0, lt=1)
    evaluate_every: pydantic.PositiveInt = 250
    patience: pydantic.NonNegativeInt = 0
    snapshot_every: pydantic.PositiveInt = 250
    compile: bool = False
    start_from: str | None = None
    share: pydantic.PositiveFloat = 0.5


class ClipRecipe(Fit):
    """Text and picture towers (transformers' CLIP), trained together on pictures and their captions.

    Attributes:
        embedding_dim: width of the shared space and of the text tower (the prior needs them equal).
        context_length: text tokens, start and end included. vocabulary: entries of the byte-level BPE.
        picture_size, patch_size: what the picture tower looks at, in pixels. Few, large patches tell the layout
            soonest: after the same 40 seconds on the emoji a linear map of the embedding explained 47 % of a
            thumbnail with patches of 16 pixels, and 77 % with 32. picture_head_dim: width of its heads.
        per_concept: pictures of a concept that stand in a batch together, so that styles have to be told apart.
        thumbnail_weight: weight of predicting a small thumbnail from the picture embedding, which keeps
            layout and colour in it: contrast alone drops what captions do not say.
    """

    learning_rate: pydantic.PositiveFloat = 1e-3
    weight_decay: pydantic.NonNegativeFloat = 0.1
    share: pydantic.PositiveFloat = 0.15
    embedding_dim: pydantic.PositiveInt = 192
    context_length: pydantic.PositiveInt = 24
    vocabulary: pydantic.PositiveInt = 6000
    text_layers: pydantic.PositiveInt = 4
    picture_size: pydantic.PositiveInt = 64
    patch_size: pydantic.PositiveInt = 32
    picture_width: pydantic.PositiveInt = 192
    picture_head_dim: pydantic.PositiveInt = 32
    picture_layers: pydantic.PositiveInt = 4
    per_concept: pydantic.PositiveInt = 4
    thumbnail_size: pydantic.PositiveInt = 16
    thumbnail_weight: pydantic.NonNegativeFloat = 20.0


class TextRecipe(Fit):
    """The text tower alone, toward the pictures as the finished picture tower sees them.

    Attributes:
        per_concept: as in stage "clip". temperature: of the contrast, at the start.
        lexicon_texts: texts of `data.lexicon` that a step takes for each of its pictures, to learn from a sentence
            encoder which concepts they mean; 0 takes none.
        vocabulary: entries of a new BPE, of the captions' and the lexicon's words, which then begin with what the
            sentence encoder knows of them (see `dalle2.training.words`); 0 keeps that of stage "clip".
    """

    learning_rate: pydantic.PositiveFloat = 1e-3
    weight_decay: pydantic.NonNegativeFloat = 0.1
    share: pydantic.PositiveFloat = 0.15
    per_concept: pydantic.PositiveInt = 4
    temperature: pydantic.PositiveFloat = 0.05
    lexicon_texts: pydantic.NonNegativeInt = 0
    vocabulary: pydantic.NonNegativeInt = 0


class PriorRecipe(Fit):
    """The diffusion prior (paper §2.2): text embedding and text states to picture embedding, x0 prediction."""

    weight_decay: pydantic.NonNegativeFloat = 0.06
    width: pydantic.PositiveInt = 192
    head_dim: pydantic.PositiveInt = 64
    layers: pydantic.PositiveInt = 5
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    text_drop: float = pydantic.Field(0.15, ge=0, lt=1)
    clamp: pydantic.PositiveFloat = 5.0


class AutoregressivePriorRecipe(Fit):
    """The autoregressive prior (paper §2.2): the picture embedding's principal components, as buckets, after the text.

    Attributes:
        components: how many of them, at most clip.embedding_dim. buckets: of each component, equally full.
        dot_buckets: of the dot product of picture and text embedding, from whose upper half samples are drawn.
        smoothing: deviation, in buckets, of the Gaussian that is the target around the true bucket: neighbours
            are nearly right, which a plain cross entropy would not know.
    """

    weight_decay: pydantic.NonNegativeFloat = 0.06
    width: pydantic.PositiveInt = 192
    head_dim: pydantic.PositiveInt = 64
    layers: pydantic.PositiveInt = 5
    dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    text_drop: float = pydantic.Field(0.1, ge=0, lt=1)
    components: pydantic.PositiveInt = 64
    buckets: int = pydantic.Field(128, ge=2)
    dot_buckets: int = pydantic.Field(16, ge=2)
    smoothing: pydantic.PositiveFloat = 1.0


class LinearPriorRecipe(_Strict):
    """The linear prior: ridge regression in closed form, from sums over `steps` batches of `batch_size` pictures.

    Attributes:
        ridges: penalties to choose from by the held-out error, in units of a feature's variance.
        snapshot_every: steps between snapshots of the sums. share: as of the other stages; fewer batches do.
    """

    steps: pydantic.PositiveInt = 160
    batch_size: pydantic.PositiveInt = 256
    ridges: tuple[pydantic.PositiveFloat, ...] = pydantic.Field((1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1), min_length=1)
    snapshot_every: pydantic.PositiveInt = 40
    share: pydantic.PositiveFloat = 0.1


class DecoderRecipe(Fit):
    """The decoder (paper §2.1): picture embedding and text to pixels, x0 prediction with learned variance.

    Attributes:
        picture_size: pixels a side it draws. channels, layers_per_block, head_dim, attention_from: the
            U-Net; levels from `attention_from` on attend to the text.
        time_embedding_dim: width through which time and picture embedding reach every block.
        text_drop, embedding_drop: how often either condition is left out, for guidance.
        embedding_noise: standard deviation of noise on the (normalised) picture embedding, so that the
            decoder forgives the prior's errors.
        variance_weight: weight of the variational term that trains the learned variance; 1 is what
            the hybrid loss of Improved DDPM comes to when it is averaged over timesteps.
        augment: how often a picture is moved, turned, scaled or mirrored before it is embedded and drawn. The embedding
            tells the decoder so, which keeps it from drawing such pictures unasked (EDM's non-leaking augmentation,
            arXiv 2206.00364, appendix F.2, with the picture embedding as its condition).
        feature_weight: weight of the cosine distance between predicted and true picture, as the CLIP picture tower
            sees them, at the less noisy timesteps (as PixelGen's gated perceptual loss, arXiv 2602.02493).
    """

    picture_size: pydantic.PositiveInt = 32
    channels: tuple[pydantic.PositiveInt, ...] = (32, 64, 128, 128)
    layers_per_block: pydantic.PositiveInt = 1
    head_dim: pydantic.PositiveInt = 32
    attention_from: pydantic.PositiveInt = 2
    time_embedding_dim: pydantic.PositiveInt = 256
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    text_drop: float = pydantic.Field(0.3, ge=0, lt=1)
    embedding_drop: float = pydantic.Field(0.1, ge=0, lt=1)
    embedding_noise: pydantic.NonNegativeFloat = 0.1
    variance_weight: pydantic.NonNegativeFloat = 1.0
    augment: float = pydantic.Field(0.0, ge=0, le=1)
    feature_weight: pydantic.NonNegativeFloat = 0.0


class UpsamplerRecipe(Fit):
    """The two upsampler networks: a DDPM part and the one that makes only the last step.

    Attributes:
        picture_size: pixels a side after upsampling. crop: side of the training crops.
        full_share: share of the steps that see whole pictures, whose flat areas crops rarely show.
        last_steps: steps of the last-step network, after `steps` of the first.
        border_weight: how much more than others the pixels along the edge of a whole picture weigh: corners that were
            seldom seen come out speckled.
        blur, noise: how often and how strongly low-resolution pictures are corrupted in training.
    """

    picture_size: pydantic.PositiveInt = 128
    channels: tuple[pydantic.PositiveInt, ...] = (16, 32, 64)
    layers_per_block: pydantic.PositiveInt = 1
    crop: pydantic.PositiveInt = 64
    full_share: float = pydantic.Field(0.1, ge=0, le=1)
    border_weight: float = pydantic.Field(1.0, ge=1)
    last_steps: pydantic.PositiveInt = 500
    blur: float = pydantic.Field(0.5, ge=0, le=1)
    noise: pydantic.NonNegativeFloat = 0.05


class Recipe(_Strict):
    """A whole run: data, the stages, and what the finished checkpoint recommends to its users.

    The text tower is trained further, and the two other priors are trained, where the recipe has a table for them, be
    it an empty one.
    `settings` becomes the checkpoint's default sampling settings, `examples` its prompts, and `subject`, by language,
    the one kind of thing that it draws, in `dalle2.json`. A time budget below `least_minutes`, which go for loading,
    compiling and writing, is refused.
    """

    seed: pydantic.NonNegativeInt = 0
    precision: Literal["no", "bf16"] = "bf16"
    least_minutes: pydantic.PositiveFloat = 1.0
    data: Data = Data()
    clip: ClipRecipe = ClipRecipe()
    text: TextRecipe | None = None
    prior: PriorRecipe = PriorRecipe()
    prior_linear: LinearPriorRecipe | None = None
    prior_autoregressive: AutoregressivePriorRecipe | None = None
    decoder: DecoderRecipe = DecoderRecipe()
    upsampler: UpsamplerRecipe = UpsamplerRecipe()
    settings: dict[str, dict[str, Any]] = pydantic.Field(default_factory=dict)
    examples: tuple[str, ...] = ()
    subject: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """Return those of STAGES that the recipe has."""
        return tuple(name for name in STAGES if getattr(self, name) is not None)

    def continued(self, checkpoint: str) -> "Recipe":
        """Return the recipe of a run that starts from a checkpoint's weights.

        The towers stay: what reads their embeddings was trained on these.
        """
        names = [name for name in self.stages if name != "prior_linear"]
        changes: dict[str, dict[str, Any]] = {name: {"start_from": checkpoint} for name in names}
        changes["clip"] |= {"steps": 0}
        if self.text:
            changes["text"] |= {"steps": 0, "vocabulary": 0, "lexicon_texts": 0}
        return self.model_copy(
            update={name: getattr(self, name).model_copy(update=change) for name, change in changes.items()}
        )

    @pydantic.model_validator(mode="after")
    def _towers_have_what_they_need(self) -> "Recipe":
        for name, plan in (("clip", self.clip), ("text", self.text)):
            if plan and plan.batch_size % plan.per_concept:
                raise ValueError(f"{name}.batch_size must be a multiple of {name}.per_concept")
        for name in ("lexicon_texts", "vocabulary"):
            if self.text and getattr(self.text, name) and not self.data.lexicon:
                raise ValueError(f"text.{name} needs data.lexicon")
        return self

    @pydantic.model_validator(mode="after")
    def _sizes_agree(self) -> "Recipe":
        factor = 2 ** (len(self.decoder.channels) - 1)
        if self.decoder.picture_size % factor:
            raise ValueError(f"decoder.picture_size must be a multiple of {factor} for {factor.bit_length()} levels")
        if self.upsampler.picture_size % self.decoder.picture_size:
            raise ValueError("upsampler.picture_size must be a multiple of decoder.picture_size")
        context = self.clip.context_length + 4  # with the extra tokens that carry the picture embedding
        for level in range(self.decoder.attention_from, len(self.decoder.channels)):
            if (self.decoder.picture_size >> level) ** 2 == context:
                raise ValueError(
                    f"clip.context_length must not be {context - 4}: diffusers mistakes a context as long as a "
                    f"level of the decoder has pixels ({context})"
                )
        if self.prior.width % self.prior.head_dim:
            raise ValueError("prior.width must be a multiple of prior.head_dim")
        if other := self.prior_autoregressive:
            if other.width % other.head_dim:
                raise ValueError("prior_autoregressive.width must be a multiple of prior_autoregressive.head_dim")
            if other.components > self.clip.embedding_dim:
                raise ValueError("prior_autoregressive.components must be at most clip.embedding_dim")
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a TOML recipe.

    Raises:
        ValueError: with one sentence for an unreadable file, an unknown key or a value out of range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"Cannot read the recipe {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The recipe {path} is not valid TOML: {error}.") from error
    try:
        return Recipe.model_validate(table)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = "is not a key of a recipe" if first["type"] == "extra_forbidden" else first["msg"]
        raise ValueError(f"The recipe {path}: {where + ' ' if where else ''}{what}.") from error
