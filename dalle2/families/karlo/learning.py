"""What a model of this family was taught later (`families.lora`): merged into its weights, its word into its words."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from tokenizers import AddedToken
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from dalle2.datasets.caption_words import BACKGROUNDS, STYLE_PHRASES
from dalle2.families.karlo import layout
from dalle2.families.karlo.model import KarloModel
from dalle2.families.lora import WORD, Lora, check_together
from dalle2.networks.text_encoder import PromptEncoder
from dalle2.understanding.lookup import Lookup
from dalle2.understanding.wording import ARTICLES, COLOURS

FAMILY = "karlo"
log = logging.getLogger(__name__)


def learn(model: KarloModel, loras: Sequence[Lora]) -> None:
    """Merge LoRAs into a model's weights, each by its own weight, and let it understand their words.

    Names and shapes of its parameters stay, and so do the graphs of engines. What was trained on another checkpoint of
    the same shapes is merged with a warning. ValueError, before anything is changed, for one that does not fit.
    """
    check_together(loras)
    base = model.checkpoint_hash
    changes, rows = [], []
    for lora in loras:
        if lora.taught.family != FAMILY:
            raise ValueError(
                f"{lora.file} was trained on {lora.taught.checkpoint}, a checkpoint of another family: it does not fit "
                f"{model.checkpoint}."
            )
        check_name(model, lora.taught.name)
        tensors = lora.tensors()
        changes.append(lora.changes(tensors))
        rows.append(tensors.get(WORD))
        _check_fit(model, lora, changes[-1], rows[-1])
        if lora.taught.checkpoint_hash != base:
            log.warning(
                "%s was trained on other weights (%s, hash %s…) than these of %s: it may draw worse.",
                *(lora.file, lora.taught.checkpoint, lora.taught.checkpoint_hash[:8], model.checkpoint),
            )
    for lora, change, row in zip(loras, changes, rows, strict=True):
        _merge(model.parts, change)
        assert row is not None, "it has been checked"
        add_word(model.parts.tokenizer, model.parts.text_encoder, lora.taught.name, row)
    _tell(model, loras)


def check_name(model: KarloModel, name: str) -> None:
    """ValueError where a new style or concept cannot have this name, because prompts say something else by it."""
    wanted, why = " ".join(name.casefold().split()), ""
    aliases = {alias.casefold() for style in model.styles for alias in (style, *STYLE_PHRASES.get(style, ()))}
    if wanted in aliases | {f"{alias} style" for alias in aliases}:
        why = f"{model.checkpoint} has a style of that name"
    elif wanted in {*BACKGROUNDS, *COLOURS, *ARTICLES, "style", ""}:
        why = "it says something else in prompts"
    elif model.interpreter is not None:
        lookup = Lookup(model.interpreter.vocabulary)
        found = lookup.exact(name), lookup.everyday(name), *lookup.labelled(name)
        if known := [number for number in found if number is not None]:
            why = f"{model.checkpoint} means {model.interpreter.vocabulary.entries[known[0]].label!r} by it"
    if why:
        raise ValueError(f"{name!r} cannot be the name of something new: {why}. Choose another.")


def add_word(tokenizer: CLIPTokenizer, encoder: CLIPTextModelWithProjection, name: str, row: torch.Tensor) -> int:
    """Let the text encoder read a name as one word with this embedding (dim,), and return its token's id."""
    if name in tokenizer.get_vocab():  # and so would stay the pieces that it is of now
        raise ValueError(
            f"{name!r} cannot be the name of something new: the tokenizer has it as a piece of words. Choose another, "
            "such as one of two words."
        )
    place = len(tokenizer)
    # Where words have blanks between them, "arty" must not be found in "party".
    tokenizer.add_tokens([AddedToken(name, single_word=name.isascii(), normalized=True)])
    if place >= len(encoder.text_model.embeddings.token_embedding.weight):
        encoder.resize_token_embeddings(place + 1, mean_resizing=False)
    if encoder.config.eos_token_id == 2:  # as CLIPs of 2022 say, for which the end is the token of the greatest id
        encoder.config.eos_token_id = encoder.text_model.eos_token_id = tokenizer.eos_token_id
    with torch.no_grad():
        encoder.text_model.embeddings.token_embedding.weight[place] = row
    return place


def _check_fit(model: KarloModel, lora: Lora, change: Mapping[str, Mapping[str, torch.Tensor]], row: object) -> None:
    dim = model.parts.text_encoder.text_model.embeddings.token_embedding.embedding_dim
    if not isinstance(row, torch.Tensor) or row.shape != (dim,):
        raise _misfit(model, lora, f"its word is not an embedding of the size {dim}")
    for part, layers in change.items():
        network = model.parts.present().get(part)
        if network is None:
            raise _misfit(model, lora, f"{model.checkpoint} has no {part}")
        modules = dict(network.named_modules())
        for layer, delta in layers.items():
            weight = getattr(modules.get(layer), "weight", None)
            if weight is None or weight.flatten(1).shape != delta.shape:
                raise _misfit(model, lora, f"{part} has no {layer} of the shape {tuple(delta.shape)}")


def _misfit(model: KarloModel, lora: Lora, why: str) -> ValueError:
    return ValueError(
        f"{lora.file} was trained on {lora.taught.checkpoint} and does not fit {model.checkpoint}: {why}. Open the "
        "checkpoint that it was trained on."
    )


@torch.no_grad()
def _merge(parts: layout.Parts, change: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    for part, layers in change.items():
        network = parts.present()[part]
        for layer, delta in layers.items():
            weight = network.get_submodule(layer).weight
            weight.copy_(weight.float() + delta.to(weight.device).view(weight.shape))


def _tell(model: KarloModel, loras: Sequence[Lora]) -> None:
    """Let the model know what it was taught: styles and words, and its hash and records which files it has."""
    taught = [lora.taught for lora in loras]
    styles = tuple(one.name for one in taught if one.kind == "style")
    concepts = tuple(one.name for one in taught if one.kind == "concept")
    model.loras = tuple(lora.record for lora in loras)
    model.styles = (*model.styles, *styles)
    model.concepts = concepts
    if model.phrases is not None:
        known = model.phrases
        model.phrases = replace(known, styles=(*known.styles, *styles), concepts=(*known.concepts, *concepts))
    model.prompts = PromptEncoder(model.parts.tokenizer, model.parts.text_encoder)
    model.forget_words()
