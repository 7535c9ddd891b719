"""Low-rank changes of a network while it is trained: peft's LoRA layers, put in and taken out (arXiv 2106.09685)."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

ADAPTER = "new"
# Attention and feed-forward layers of the prior; of the decoder also its convolutions, which are what style is made of.
LAYERS = {
    "prior": r".*\.(to_q|to_k|to_v|to_out\.0|ff\.net\.0\.proj|ff\.net\.2)",
    "decoder": r".*\.(to_q|to_k|to_v|add_k_proj|add_v_proj|to_out\.0|conv1|conv2)",
}


def check_installed() -> None:
    """ValueError where peft is missing."""
    try:
        import peft  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(f"Finetuning needs {error.name}: pip install 'open-dalle2[finetune]'.") from error


def put_in(network: nn.Module, part: str, rank: int) -> None:
    """Freeze a network and put trainable changes into it, which are zero at first."""
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=LAYERS[part]), network, ADAPTER)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)


@contextmanager
def unchanged(network: nn.Module) -> Generator[None]:
    """Let the network compute what it did before it was changed."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer._disable_adapters = True  # `enable_adapters` would also freeze and unfreeze the weights
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


def changes(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the trained matrices by peft's names, without that of the adapter."""
    found = {name: parameter for name, parameter in network.named_parameters() if "lora_" in name}
    return {name.replace(f".{ADAPTER}.", "."): parameter.detach().clone() for name, parameter in found.items()}


def restore(network: nn.Module, saved: Mapping[str, torch.Tensor]) -> None:
    """Put what `changes` returned back into the same network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.copy_(saved[name.replace(f".{ADAPTER}.", ".")])
