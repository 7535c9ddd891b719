"""python tests/families/dalle2_pytorch_files.py OUT: tiny files of dalle2-pytorch's own making, and what it draws.

Beside each file of weights there is its config, and inputs with the package's outputs for them (.outputs.pt). It needs
a folder of `bash .ci/peers` in PYTHONPATH. What the package asks for and its networks do not need is stood in for,
since torchvision and a dozen others would not go with our torch. `tests/families/dalle2_pytorch/` is what it wrote.
"""

import importlib
import importlib.metadata
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version

DIM, TOKENS, STEPS, SEED = 32, 24, 64, 7
UNNEEDED = (
    *("torchvision", "torchvision.transforms", "torchvision.models", "torchvision.utils"),
    *("kornia", "kornia.filters", "kornia.augmentation", "x_clip", "coca_pytorch", "vector_quantize_pytorch"),
    "dalle2_pytorch.tokenizer",
)
NET = {"dim": DIM, "depth": 2, "heads": 2, "dim_head": 16, "max_text_len": 30}
UNET = {
    **{"dim": 8, "image_embed_dim": DIM, "cond_dim": 12, "dim_mults": [1, 2], "attn_heads": 2, "attn_dim_head": 8},
    "num_resnet_blocks": 1,
}
READING = {**UNET, "text_embed_dim": DIM, "cond_on_text_encodings": True}
PRIORS = {
    "prior": {"net": NET, "cond_drop_prob": 0.1, "timesteps": STEPS},
    "prior-other": {
        "net": {
            **NET,
            **{"normformer": True, "norm_in": True, "num_timesteps": STEPS, "num_time_embeds": 2, "max_text_len": 9},
            **{"num_image_embeds": 2, "num_text_embeds": 2, "rotary_emb": False, "final_proj": False},
        },
        **{"timesteps": STEPS, "predict_x_start": False, "sampling_clamp_l2norm": True, "beta_schedule": "quadratic"},
    },
}
DECODERS = {
    # As LAION's: arXiv 2205.11487's efficient U-Net, with attention from the second level on, linear before.
    "decoder": {
        "unets": [
            {**READING, "memory_efficient": True, "sparse_attn": True, "self_attn": [False, True]},
            {**UNET, "memory_efficient": True, "lowres_noise_cond": True, "dim_mults": [1]},
        ],
        **{"image_sizes": [8, 16], "timesteps": STEPS, "learned_variance": True},
        **{"use_noise_for_lowres_cond": True, "use_blur_for_lowres_cond": False},
    },
    "decoder-other": {
        "unets": [
            {
                **UNET,
                **{"init_cross_embed": False, "cross_embed_downsample": True, "pixel_shuffle_upsample": False},
                **{"scale_skip_connection": True, "final_conv_kernel_size": 3, "add_image_embeds_to_time": False},
                **{"resnet_weight_standardization": True, "cosine_sim_cross_attn": True, "cosine_sim_self_attn": True},
                **{"self_attn": True},
            }
        ],
        **{"image_sizes": [8], "timesteps": STEPS, "learned_variance": False, "beta_schedule": ["sigmoid"]},
        **{"predict_v": True, "use_dynamic_thres": True},
    },
}


def main(out: Path) -> None:
    """Write all of them; of a version before 1.9.0 the first of each, as "former-…"."""
    package, former = _package(), _version() < Version("1.9.0")
    out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for name, config in list(PRIORS.items())[: 1 if former else None]:
            _write_prior(package, out / f"{'former-' if former else ''}{name}", config)
        for name, config in list(DECODERS.items())[: 1 if former else None]:
            if former:
                config = {**config, "unets": config["unets"][:1], "image_sizes": config["image_sizes"][:1]}
            _write_decoder(package, out / f"{'former-' if former else ''}{name}", config)


def _package() -> Any:
    """Return the module with the networks; the package's own __init__ would import its trainers."""
    for name in UNNEEDED:
        sys.modules[name] = _StandIn(name)
        sys.modules[name].__path__ = []
    folder = importlib.metadata.distribution("dalle2-pytorch").locate_file("dalle2_pytorch")
    sys.modules["dalle2_pytorch"] = types.ModuleType("dalle2_pytorch")
    sys.modules["dalle2_pytorch"].__path__ = [str(folder)]
    return importlib.import_module("dalle2_pytorch.dalle2_pytorch")


class _StandIn(types.ModuleType):
    """Has a class of each name that is asked for."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _version() -> Version:
    return Version(importlib.metadata.version("dalle2-pytorch"))


def _write_prior(package: Any, out: Path, config: dict[str, Any]) -> None:
    torch.manual_seed(1)
    options = {name: value for name, value in config.items() if name != "net"}
    prior = package.DiffusionPrior(net=package.DiffusionPriorNetwork(**config["net"]), image_embed_dim=DIM, **options)
    _shuffle(prior.net)
    given = _given()
    text = {"text_embed": given["text_embeds"], "text_encodings": given["tokens"]}
    drop = (
        {"cond_drop_prob": 1.0} if "former" in out.name else {"text_cond_drop_prob": 1.0, "image_cond_drop_prob": 1.0}
    )
    made = {
        "seen": prior.net(given["x"], given["t"], **text),
        "unseen": prior.net(given["x"], given["t"], **text, **drop),
    }
    one = {name: rows[:1] for name, rows in text.items()}
    for scale in (1.0, 2.5) if config.get("cond_drop_prob") and "former" not in out.name else (1.0,):
        torch.manual_seed(SEED)
        drawn = prior.p_sample_loop((1, DIM), text_cond=one, cond_scale=scale)
        made[f"drawn at {scale}"] = drawn / prior.image_embed_scale if "former" in out.name else drawn
    _save(out, {"prior": config}, prior, given, made)


def _write_decoder(package: Any, out: Path, config: dict[str, Any]) -> None:
    torch.manual_seed(2)
    options = {name: value for name, value in config.items() if name != "unets"}
    decoder = package.Decoder(tuple(package.Unet(**unet) for unet in config["unets"]), **options).eval()
    given, made = _given(), {}
    for index, unet in enumerate(decoder.unets):
        _shuffle(unet)
        unet.to_out.weight.div_(16)  # a wilder network would make of the rounding of many steps another picture
        side = config["image_sizes"][index]
        told = {"image_embed": given["text_embeds"], "text_encodings": given["tokens"]}
        given[f"pixels {index}"], given[f"small {index}"] = torch.randn(2, 3, side, side), None
        if index:
            told |= {"lowres_cond_img": torch.randn(2, 3, side, side), "lowres_noise_level": torch.tensor([2, 9])}
            given[f"small {index}"] = told["lowres_cond_img"]
        for name, drop in (("seen", 0.0), ("unseen", 1.0)):
            drops = {"image_cond_drop_prob": drop, "text_cond_drop_prob": drop}
            made[f"{name} {index}"] = unet(given[f"pixels {index}"], given["t"], **told, **drops)
    reads = config["unets"][0].get("cond_on_text_encodings")
    one = {"image_embed": given["text_embeds"][:1]} | ({"text_encodings": given["tokens"][:1]} if reads else {})
    torch.manual_seed(SEED)
    # Under guidance the package guides the learned variance too, which the schedulers here and in diffusers do not.
    scale = 1.0 if config["learned_variance"] else 2.0
    made["drawn"] = small = decoder.sample(**one, cond_scale=scale, stop_at_unet_number=1)
    if len(decoder.unets) > 1:
        torch.manual_seed(SEED)
        made["enlarged"] = decoder.sample(**one, image=small, start_at_unet_number=2)
    _save(out, {"decoder": config}, decoder, given, made)


def _given() -> dict[str, Any]:
    """Return random inputs: a short text and a full one."""
    mask = torch.arange(TOKENS) < torch.tensor([[5], [TOKENS]])
    embeds = torch.nn.functional.normalize(torch.randn(2, DIM), dim=-1)
    tokens = torch.randn(2, TOKENS, DIM) * mask[..., None]
    return {
        "x": 3 * torch.randn(2, DIM),
        "t": torch.tensor([3, 17]),
        "text_embeds": embeds,
        "tokens": tokens,
        "mask": mask,
    }


def _shuffle(network: torch.nn.Module) -> None:
    """Give it weights of which none is 0 or 1, in few bits, so that the files are small."""
    for name, weight in network.named_parameters():
        if "rotary_emb" not in name:
            weight.copy_(((weight + 0.1 * torch.randn_like(weight)) * 32).round() / 32)


def _save(out: Path, config: dict[str, Any], model: Any, given: dict[str, Any], made: dict[str, Any]) -> None:
    short = {
        name: value.half() if "unets." in name or "net." in name else value
        for name, value in model.state_dict().items()
    }
    short = {name: model.state_dict()[name] if "rotary_emb" in name else value for name, value in short.items()}
    torch.save({"model": short, "version": str(_version())}, out.with_name(f"{out.name}.pth"))
    out.with_name(f"{out.name}.json").write_text(json.dumps(config, indent=1) + "\n")
    torch.save({"given": given, "made": made}, out.with_name(f"{out.name}.outputs.pt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
