"""DALLE2-pytorch's files, as its trainers save them and LAION published them -> a checkpoint's parts.

A file (.pth, .pt) holds weights alone, or beside them a trainer's state and perhaps the config; else the config is a
JSON file, which follows it. CLIP comes in transformers' layout from elsewhere: the decoder's files have none, and
what some priors' files have lacks a tokenizer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.dalle2_pytorch.conversion import (
    ConvertedNetwork,
    convert_prior,
    convert_unet,
    unet_sizes,
    version_of,
)
from dalle2.families.dalle2_pytorch.layout import CLIP, Parts, check
from dalle2.families.places import locate
from dalle2.families.weights import NotWeightsAlone, read_pickle

# OpenAI's names of its CLIPs -> where they are in transformers' layout.
OPENAI = {
    "ViT-L/14": "openai/clip-vit-large-patch14",
    "ViT-L/14@336px": "openai/clip-vit-large-patch14-336",
    "ViT-B/32": "openai/clip-vit-base-patch32",
    "ViT-B/16": "openai/clip-vit-base-patch16",
}
SAME = 1e-2  # up to which two copies of a CLIP may differ, one of them in half precision


@dataclass(frozen=True)
class Source:
    """A file of weights: of its config's tables "prior" or "decoder" the one that it has, and what else it says."""

    file: Path
    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]
    version: object = None


def read_sources(files: Sequence[Path], allow_pickle: bool = False, online: bool = False) -> list[Source]:
    """Return the files of weights with their configs, in the order given.

    Of weights that were averaged in training (EMA) those are taken, unless `online` asks for the others. ValueError
    says what is wrong with a file.
    """
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is not a file: give files of weights (.pth), each before its config (.json).")
    sources = []
    for place, file in enumerate(files):
        if file.suffix == ".json":
            if place == 0 or files[place - 1].suffix == ".json":
                raise ValueError(f"{file} is a config without weights: name the file of weights before it.")
            continue
        follows = files[place + 1] if place + 1 < len(files) and files[place + 1].suffix == ".json" else None
        sources.append(_source(file, follows, allow_pickle, online))
    return sources


def assemble(sources: Sequence[Source], clip: str | None, saved_by: str | None = None) -> tuple[Parts, list[str]]:
    """Return the parts of a checkpoint, and sentences on what was done; ValueError says what does not fit.

    Of several decoders each adds the U-Nets that the ones before it lack: LAION's upsamplers are published so.
    """
    said, priors, unets, sizes = [], [], [], []
    for source in sources:
        try:
            version, how = version_of(source.version, source.weights, saved_by)
            said.append(f"{source.file.name}: a {source.kind}, saved by dalle2-pytorch {version}, {how}.")
            if source.kind == "prior":
                priors.append(convert_prior(source.weights, source.config, version))
            else:
                own = unet_sizes(source.config)
                if own[: len(sizes)] != sizes or len(own) == len(sizes):
                    raise ValueError(f"it draws {own} pixels, which does not go on from the {sizes} of those before.")
                new = range(len(sizes), len(own))
                unets += [convert_unet(source.weights, source.config, index, version) for index in new]
                sizes = own
        except (KeyError, TypeError) as error:
            raise ValueError(f"{source.file}: the config lacks or misstates something: {error!r}.") from error
        except ValueError as error:
            raise ValueError(f"{source.file}: {error}") from error
    if len(priors) > 1 or not unets:
        raise ValueError("Give the files of one decoder at least, and of one prior at most.")
    place = clip or _clip_of(sources)
    parts = Parts(
        unets=tuple(one.network for one in unets),
        schedulers=tuple(DDPMScheduler(**one.scheduler) for one in unets),
        prior=priors[0].network if priors else None,
        prior_scheduler=DDPMScheduler(**priors[0].scheduler) if priors else None,
        **_read_clip(place),
    )
    check(parts, place)
    _compare_clips(sources, parts, place)
    said += [note for one in (*priors, *unets) for note in one.notes] + _left_out(sources, priors, place)
    return parts, said


def _left_out(sources: Sequence[Source], priors: Sequence[ConvertedNetwork], place: str) -> list[str]:
    said = [f"CLIP is that of {place}."]
    if not priors:
        said.append("There is no prior: it draws variations, and nothing from a prompt.")
    elif not priors[0].network.config.guidable and not priors[0].notes:
        said.append("The prior never learned to do without a text: it draws without guidance.")
    return said


def _source(file: Path, config: Path | None, allow_pickle: bool, online: bool) -> Source:
    content = _content(file, allow_pickle)
    inside = content.get("config") if isinstance(content.get("config"), Mapping) else None
    if config is None and inside is None:
        raise ValueError(f"{file} says nothing of its networks: name its config (.json) after it.")
    table = _table(config) if config else inside
    assert table is not None, "one of the two"
    kind = next((kind for kind in ("prior", "decoder") if isinstance(table.get(kind), Mapping)), None)
    if kind:
        table = table[kind]
    else:
        kind = "prior" if "net" in table else "decoder" if "unets" in table else None
    if kind is None:
        raise ValueError(
            f"{config or file} is not a config of a prior or a decoder: expected a table of that name in it."
        )
    weights = _weights(content, kind, online)
    if not weights:
        raise ValueError(f"{file} holds no weights of a {kind}.")
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{file} holds no weights of a {kind}: {name!r} is a {type(value).__name__}.")
    return Source(file, kind, table, weights, content.get("version"))


def _content(file: Path, allow_pickle: bool) -> Mapping[str, Any]:
    try:
        content = read_pickle(file)
    except NotWeightsAlone:
        if not allow_pickle:
            raise
        try:
            content = torch.load(file, map_location="cpu", weights_only=False)
        except ModuleNotFoundError as error:
            raise ValueError(f"{file} needs the package {error.name} to be read: install it first.") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} holds a {type(content).__name__}, not weights by name.")
    return content


def _weights(content: Mapping[str, Any], kind: str, online: bool) -> Mapping[str, torch.Tensor]:
    """Return the weights in a file that holds them alone, or among what a trainer saved."""
    model = content.get("model")
    if not isinstance(model, Mapping):
        return content
    averaged = {}
    if kind == "prior" and isinstance(content.get("ema_model"), Mapping):
        averaged = dict(content["ema_model"])
    elif kind == "decoder" and isinstance(content.get("ema"), Mapping):
        names = [(name, name.split(".ema_model.", 1)) for name in content["ema"] if ".ema_model." in name]
        averaged = {f"unets.{index}.{rest}": content["ema"][name] for name, (index, rest) in names}
    return dict(model) if online else {**model, **averaged}


def _table(config: Path) -> Mapping[str, Any]:
    try:
        table = json.loads(config.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{config} is damaged, it is not JSON: {error}.") from error
    if not isinstance(table, dict):
        raise ValueError(f"{config} should hold a JSON table.")
    return table


def _clip_of(sources: Sequence[Source]) -> str:
    """Return the place of the CLIP that the configs name."""
    named = [source.config["clip"] for source in sources if isinstance(source.config.get("clip"), Mapping)]
    for clip in named:
        if clip.get("make", "openai") == "openai" and clip.get("model", "ViT-L/14") in OPENAI:
            return OPENAI[clip.get("model", "ViT-L/14")]
    said = f"the configs name {named[0]}" if named else "the configs name none"
    raise ValueError(
        f"Which CLIP do the embeddings come from? {said}: say --clip FOLDER_OR_ID, in transformers' layout, "
        f"such as {OPENAI['ViT-L/14']}, with which LAION's were made."
    )


def _read_clip(place: str) -> dict[str, Any]:
    """Return both encoders, tokenizer and image processor, which all lie in one folder."""
    path = locate(place, torch.float32)
    folder = CheckpointFolder(path.parent, name=place)
    return {
        name: folder.read_network(path.name, kind) if name.endswith("encoder") else folder.read_part(path.name, kind)
        for name, kind in CLIP.items()
    }


def _compare_clips(sources: Sequence[Source], parts: Parts, place: str) -> None:
    """ValueError where a file has a CLIP in it, in OpenAI's layout, and it is another one."""
    for source in sources:
        theirs = source.weights.get("clip.clip.text_projection")
        if theirs is None:
            continue
        ours = parts.text_encoder.text_projection.weight.T
        if theirs.shape != ours.shape or (theirs.float() - ours).abs().max() > SAME:
            raise ValueError(f"{source.file} was made with another CLIP than {place}, for it has that one in it.")
