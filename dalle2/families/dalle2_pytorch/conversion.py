"""DALLE2-pytorch's weights and configs -> ours: names, and what its versions did differently.

What cannot be carried over is refused with a sentence, for a network that is almost the same draws noise.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from packaging.version import InvalidVersion, Version

from dalle2.families.dalle2_pytorch.prior import PriorNetwork, rotary_frequencies
from dalle2.families.dalle2_pytorch.unet import CascadeUnet

Weights = Mapping[str, torch.Tensor]

NEWEST = Version("1.15.6")
# Before it all norms of a prior divided by their largest value first, and nobody knows of weights from then.
OLDEST = Version("0.23.3")
# What a file without a version is from if its networks have what only versions before 1.9.0 or 1.10.0 have: LAION's
# files are of July 2022, and were drawn with by 1.1.0 (LAION-AI/dalle2-laion, issue 20).
FORMER = Version("1.1.0")
DIVIDED, UNIT, COSINE, UNSHUFFLE = (Version(number) for number in ("1.2.0", "1.4.0", "1.4.3", "1.10.0"))
# By which versions without cosine similarities multiplied these, and with them, meant or not, the relative bias.
RELAXATION = 128

PRIOR_NAMES = (
    (r"to_(text|time|image)_embeds\.0\.(?=weight|bias)", r"to_\1_embeds."),
    (r"to_time_embeds\.0\.1\.net\.([01])\.0\.", r"to_time_embeds.layers.\1."),
    (r"to_time_embeds\.0\.1\.net\.2\.", r"to_time_embeds.layers.2."),
    (r"causal_transformer\.", ""),
    (r"rel_pos_bias\.relative_attention_bias\.", "rel_pos_bias."),
    (r"layers\.(\d+)\.0\.", r"layers.\1.attention."),
    (r"layers\.(\d+)\.1\.0\.", r"layers.\1.norm."),
    (r"layers\.(\d+)\.1\.1\.", r"layers.\1.widen."),
    (r"layers\.(\d+)\.1\.3\.", r"layers.\1.inner_norm."),
    (r"layers\.(\d+)\.1\.5\.", r"layers.\1.narrow."),
)
PLACES = {
    "downs": ("before", "first", "blocks", "attention", "after"),
    "ups": ("first", "blocks", "attention", "after"),
}
UNET_NAMES = (
    (r"to_time_hiddens\.1\.", "to_time_hiddens.linear."),
    (r"to_lowres_noise_cond\.1\.", "to_lowres_noise_cond.0.linear."),
    (r"to_lowres_noise_cond\.3\.", "to_lowres_noise_cond.1."),
    (r"(to_time_tokens|to_time_cond|image_to_tokens|to_image_hiddens)\.0\.", r"\1."),
    (r"time_mlp\.1\.", "time_mlp."),
    (r"cross_attn\.fn\.", "cross_attn."),
    (r"(attention|mid_attn)\.(fn\.)+", r"\1."),
    (r"(before|after)\.(net\.0|1)\.", r"\1.conv."),
)


@dataclass(frozen=True)
class ConvertedNetwork:
    """A network, how it is sampled from (the config of diffusers' DDPMScheduler), and what should be said about it."""

    network: Any
    scheduler: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def version_of(said: object, weights: Weights, chosen: str | None) -> tuple[Version, str]:
    """Return which version saved a file, and how that is known: by the user, the file, or what is in it."""
    for number, how in ((chosen, "as you say"), (said, "as it says")):
        if number is not None:
            try:
                version = Version(str(number))
            except InvalidVersion as error:
                raise ValueError(f"{number!r} is not a version of dalle2-pytorch, such as {FORMER}.") from error
            if not version >= OLDEST:
                raise ValueError(
                    f"It was saved by dalle2-pytorch {version}, and only files of {OLDEST} and later are understood."
                )
            return version, how
    if any(name.endswith(".gamma") for name in weights):
        raise ValueError(
            f"Its norms are those of dalle2-pytorch before 0.16.0, and only files of {OLDEST} and later are understood."
        )
    former = any(name.endswith("net.null_text_embed") for name in weights) or any(
        re.search(r"downs\.\d+\.[04]\.weight", name) and value.shape[-1] == 4 for name, value in weights.items()
    )
    return (FORMER if former else NEWEST), "judging by its networks, for it does not say"


def convert_prior(weights: Weights, config: Mapping[str, Any], version: Version) -> ConvertedNetwork:
    """Convert the "prior" table of a config, and a DiffusionPrior's weights; ValueError for what is not known."""
    net = dict(config["net"])
    _refuse(net, {"self_cond": False}, "The prior")
    own = {name.removeprefix("net."): value for name, value in weights.items() if name.startswith("net.")}
    if not own:
        raise ValueError("The file named for the prior holds no prior: its weights should be named net.…")
    notes = []
    if "null_text_embed" in own:  # one for what is padding; what it learned without a text was never told apart
        own["null_text_encodings"] = own.pop("null_text_embed")
        dim, embeds = net["dim"], net.get("num_text_embeds", 1)
        own |= {"null_text_embeds": torch.zeros(1, embeds, dim), "null_image_embed": torch.zeros(1, dim)}
        notes.append("The prior is of a version before 1.9.0, in which guidance had no effect: it draws without.")
    if version < COSINE:
        bias = "causal_transformer.rel_pos_bias.relative_attention_bias.weight"
        own[bias] = own[bias] * RELAXATION
    drops = [config.get(f"{kind}_cond_drop_prob") for kind in ("text", "image")]
    both = all((config.get("cond_drop_prob", 0) if drop is None else drop) > 0 for drop in drops)
    scale = config.get("image_embed_scale")
    dim = net["dim"]
    length = net.get("max_text_len") or own["null_text_encodings"].shape[1]
    clamps = ("sampling_clamp_l2norm", "sampling_final_clamp_l2norm", "init_image_embed_l2norm")
    kind = _prediction(config.get("predict_v", False), config.get("predict_x_start", True))
    settings = {
        **_known(PriorNetwork, net),
        **{name: bool(config.get(name, False)) for name in clamps},
        "max_text_len": length,
        "cosine_sim": version >= COSINE,
        "condition_on_text_encodings": config.get("condition_on_text_encodings", True),
        "guidable": both and not notes,
        "image_embed_scale": float(dim**0.5 if scale is None else scale),
    }
    frequencies = [value for name, value in own.items() if "rotary_emb.freqs" in name]
    if any(not torch.allclose(value.float(), rotary_frequencies(net.get("dim_head", 64))) for value in frequencies):
        raise ValueError("The prior turns its places by frequencies of its own, which cannot be carried over.")
    own = {name: value for name, value in own.items() if "rotary_emb." not in name}
    network = _filled(PriorNetwork(**settings), own, PRIOR_NAMES, "prior")
    betas = weights.get("noise_scheduler.betas")
    scheduler = _scheduler(config.get("beta_schedule", "cosine"), config.get("timesteps", 1000), betas, kind)
    # Of predictions of the embedding itself nothing is clamped.
    clamp = {"clip_sample": kind != "sample", "clip_sample_range": 1.0}
    return ConvertedNetwork(network, scheduler | clamp, tuple(notes))


def convert_unet(weights: Weights, config: Mapping[str, Any], index: int, version: Version) -> ConvertedNetwork:
    """Convert of the "decoder" table of a config, and the weights of a Decoder, the U-Net of this index, from 0."""
    what = f"U-Net {index + 1} of the decoder"
    count, said = len(config["unets"]), dict(config["unets"][index])
    refused = {"combine_upsample_fmaps": False, "self_cond": False}
    _refuse(said, refused, what)
    _refuse(config, {"unconditional": False, "auto_normalize_img": True}, "The decoder")
    if any(name.startswith(f"vaes.{index}.") for name in weights):
        raise ValueError(f"{what} draws latents of a VQGAN, which cannot be carried over.")
    own = {
        name.removeprefix(f"unets.{index}."): value
        for name, value in weights.items()
        if name.startswith(f"unets.{index}.")
    }
    if not own:
        raise ValueError(f"{what} is not in the file: its weights should be named unets.{index}.…")
    if index == 0 and said.get("image_embed_dim") == (said.get("cond_dim") or said["dim"]):
        raise ValueError(
            f"{what} has cond_dim equal to image_embed_dim: the package then mixes up the pictures of a batch, and "
            "what it learned so cannot be carried over."
        )
    learned = _padded(config.get("learned_variance", True), count, False)[index]
    settings = _unet_settings(said, config, index, learned, version)
    settings["max_text_len"] = own["null_text_embed"].shape[1]
    named = {_placed(name): value for name, value in own.items()}
    network = _filled(CascadeUnet(**settings), named, UNET_NAMES, what)
    return ConvertedNetwork(
        network, _unet_scheduler(config, index, learned, weights.get(f"noise_schedulers.{index}.betas"))
    )


def _unet_settings(
    said: Mapping[str, Any], config: Mapping[str, Any], index: int, learned: bool, version: Version
) -> dict[str, Any]:
    """Return our config of a U-Net, of which the package's Decoder changes some before it builds it."""
    noised = _lowres(config.get("use_noise_for_lowres_cond", False), len(config["unets"]))[index]
    levels, channels = len(said["dim_mults"]), config.get("channels", 3)
    per_level = {"self_attn": False, "resnet_groups": 8, "num_resnet_blocks": 2}
    return {
        **_known(CascadeUnet, said),
        **{name: list(_padded(said.get(name, usual), levels, None)) for name, usual in per_level.items()},
        "dim_mults": list(said["dim_mults"]),
        "image_size": unet_sizes(config)[index],
        "channels": channels,
        "channels_out": channels * (2 if learned else 1),
        "lowres_cond": index > 0,
        "lowres_noise_cond": noised,
        "lowres_noise_level": config.get("lowres_noise_sample_level", 0.2) if noised else None,
        "cond_on_image_embeds": index == 0,
        "cond_on_text_encodings": bool(said.get("cond_on_text_encodings")),
        "former_downsample": version < UNSHUFFLE,
        "former_self_attn": version < COSINE,
        "sparse_attn_values": "plain" if version < DIVIDED else "divided" if version < UNIT else "unit",
        "sigmoid_variance": bool(config.get("learned_variance_constrain_frac", False)),
        "guidable": config.get("image_cond_drop_prob", 0.1) > 0 or config.get("text_cond_drop_prob", 0.5) > 0,
    }


def _unet_scheduler(config: Mapping[str, Any], index: int, learned: bool, betas: torch.Tensor | None) -> dict[str, Any]:
    count, schedules = len(config["unets"]), config.get("beta_schedule")
    if schedules is None:
        schedules = ["cosine"] * max(count - 1, 1) + ["linear"] * (count > 1)
    kind = _prediction(*(_each(config.get(name, False), count)[index] for name in ("predict_v", "predict_x_start")))
    scheduler = _scheduler(_each(schedules, count)[index], config.get("timesteps", 1000), betas, kind)
    scheduler |= {"variance_type": "learned_range"} if learned else {}
    dynamic = bool(config.get("use_dynamic_thres"))
    if dynamic:
        ratio = config.get("dynamic_thres_percentile", 0.95)
        scheduler |= {"thresholding": True, "dynamic_thresholding_ratio": ratio, "sample_max_value": 1e6}
    return scheduler | {"clip_sample": not dynamic, "clip_sample_range": 1.0}


def unet_sizes(config: Mapping[str, Any]) -> list[int]:
    """Return the pixels a side of what each U-Net of a "decoder" table draws."""
    sizes: list[Any] = config.get("image_sizes") or [config.get("image_size")]
    if not all(isinstance(size, int) for size in sizes) or len(sizes) != len(config["unets"]):
        raise ValueError(f"The decoder has {len(config['unets'])} U-Nets, but its image_sizes are {sizes}.")
    return sorted(sizes)


def _prediction(velocity: bool, clean: bool) -> str:
    return "v_prediction" if velocity else "sample" if clean else "epsilon"


def _scheduler(schedule: str, steps: int, betas: torch.Tensor | None, prediction: str) -> dict[str, Any]:
    """Return the config of diffusers' DDPMScheduler for this noise schedule."""
    ends = {"beta_start": 0.1 / steps, "beta_end": 20 / steps}
    match schedule:
        case "cosine":
            levels: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2"}
        case "linear" | "sigmoid":
            levels = {"beta_schedule": schedule, **ends}
        case "quadratic":
            levels = {"beta_schedule": "scaled_linear", **ends}
        case _:  # "jsd", which diffusers does not know by name
            if betas is None:
                raise ValueError(f"The noise schedule {schedule!r} is unknown, and its betas are not in the file.")
            levels = {"trained_betas": betas.double().tolist()}
    return {"num_train_timesteps": steps, "prediction_type": prediction, **levels}


def _refuse(said: Mapping[str, Any], needed: Mapping[str, Any], what: str) -> None:
    for name, value in needed.items():
        if said.get(name, value) != value:
            raise ValueError(f"{what} was made with {name}={said[name]!r}, which cannot be carried over.")


def _known(kind: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a network of ours takes of a config; of the rest only what concerns training is left out."""
    names = set(inspect.signature(kind.__init__).parameters) - {"self"}
    return {name: value for name, value in said.items() if name in names and value is not None}


def _each(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * count


def _padded(value: Any, count: int, rest: Any) -> tuple[Any, ...]:
    """One value, or several: of one alone all have it where there is no `rest` for the others."""
    if not isinstance(value, list | tuple):
        value = (value,) * count if rest is None else (value,)
    return (*value, *(rest,) * (count - len(value)))


def _lowres(value: Any, count: int) -> tuple[bool, ...]:
    """Of the U-Nets that enlarge one or several values; the first does not enlarge."""
    values = _each(value, count - 1)
    return values if len(values) == count else (False, *values)


def _placed(name: str) -> str:
    """Name the parts of a level, which stand there by their number."""
    match = re.match(r"(downs|ups)\.(\d+)\.(\d+)\.", name)
    if match is None:
        return name
    way, level, place = match[1], match[2], PLACES[match[1]][int(match[3])]
    return f"{way}.{level}.{place}.{name[match.end() :]}"


def _filled(
    network: torch.nn.Module, weights: Weights, names: tuple[tuple[str, str], ...], what: str
) -> torch.nn.Module:
    """Return the network with these weights; ValueError unless they are just its own."""
    wanted, found = network.state_dict(), {}
    for name, value in weights.items():
        for pattern, ours in names:
            name = re.sub(pattern, ours, name)
        name = re.sub(r"\.g$", ".weight", name)
        found[name] = value.flatten() if name.endswith("norm.weight") or name.endswith("to_out.1.weight") else value
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unknown:
        said = "lacks " + missing[0] if missing else "has " + unknown[0]
        raise ValueError(
            f"The weights of the {what} are not those of its config: of {len(wanted)} parameters {len(missing)} are "
            f"missing and {len(unknown)} are unknown; it {said}. Is it the config of another file, or the file of "
            "another version (--saved-by)?"
        )
    for name, value in found.items():
        if value.shape != wanted[name].shape:
            raise ValueError(
                f"The weights of the {what} are not those of its config: {name} has the shape {tuple(value.shape)}, "
                f"expected {tuple(wanted[name].shape)}."
            )
    network.load_state_dict({name: value.float() for name, value in found.items()})
    return network.eval()
