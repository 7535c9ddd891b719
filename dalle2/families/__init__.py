"""Checkpoint folder or hub id -> `UnclipModel`. A family of checkpoints is a folder here; families are strangers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalle2.model import UnclipModel
from dalle2.requests import ANY_PICTURE

if TYPE_CHECKING:
    import torch

    from dalle2.families.checkpoint_folder import CheckpointFolder
    from dalle2.families.lora import Lora

TOKENIZERS = ("2022",)  # other than today's
EMBEDDED = Path(__file__).parent.parent / "checkpoints" / "emoji"


def load(  # noqa: PLR0913, all but the first have defaults
    source: str | Path = EMBEDDED,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    compile: bool = False,
    *,
    allow_pickle: bool = False,
    tokenizer: str | None = None,
    offload: bool | str | None = None,
    engine: str = "auto",
    loras: Sequence[str | Path] = (),
) -> UnclipModel:
    """Open a checkpoint: "emoji" (the embedded one), a folder, or a hub id, as "kakaobrain/karlo-v1-alpha".

    The id may have a revision: id@revision. Where prior and decoder are published apart, or another prior is wanted,
    both are named: PRIOR+DECODER.

    Args:
        source: the checkpoint.
        device: where its networks compute, as torch names it.
        dtype: in what they compute: float32 (also for None), bfloat16, or on CUDA also float16.
        compile: whether the networks are compiled, which takes a minute and then draws faster.
        allow_pickle: whether weights may be read from files that could run as programs.
        tokenizer: "2022" gives prompts the token ids of that year.
        offload: lets the networks wait on the CPU and visit the GPU one at a time ("model", or True) or layer by layer
            ("sequential").
        engine: what computes the networks on a CPU: "torch", "onnxruntime" or "openvino", for which graphs are exported
            once, or "auto": ONNX Runtime where it is installed and has the graphs already.
        loras: files of `python -m dalle2.finetune`, each FILE or FILE=WEIGHT, whose styles and concepts the checkpoint
            then knows as well.

    Raises:
        ValueError: says what is wrong and what was expected, before anything is downloaded where that can be known.
    """
    import torch

    from dalle2.engines.hosting import choose, host
    from dalle2.families.checkpoint_folder import CheckpointFolder
    from dalle2.families.lora import Lora
    from dalle2.families.offload import offload as take_turns

    dtype = dtype or torch.float32
    device = _check_device(device, dtype)
    if tokenizer not in (None, *TOKENIZERS):
        raise ValueError(f"There is no tokenizer {tokenizer!r}: leave it out, or take one of {', '.join(TOKENIZERS)}.")
    way = _check_offload(offload, compile, device)
    chosen = choose(engine, device, dtype, others=compile or bool(way))
    wanted = [Lora.read(lora) for lora in loras]
    prior, place, path = _located(source, dtype)
    folder = CheckpointFolder(path, dtype, place, allow_pickle, tokenizer is not None)
    model = _read(folder, prior, torch.device("cpu") if way else device, compile, wanted)
    model.tokenizer = tokenizer
    if chosen is not None:
        model.host = host(model.parts.present(), engine, chosen, dtype, path)
        if model.host is not None and model.host.exports:
            warm(model)
    if way:
        take_turns(model.parts.present(), device, way)
    return model


def _located(source: str | Path, dtype: torch.dtype) -> tuple[str | None, str, Path]:
    """Return the prior that is named (None: the folder's own), what the checkpoint is called, and its folder."""
    from dalle2.families.places import locate, split_name

    if source != EMBEDDED.name and Path(source) != EMBEDDED:
        prior, place = split_name(source)
        return prior, place, locate(place, dtype)
    if not EMBEDDED.is_dir():
        raise ValueError(
            f"The embedded checkpoint is not there: {EMBEDDED} does not exist. "
            "Train it with `python -m dalle2.training`, or name another checkpoint."
        )
    # A record names the embedded checkpoint by name, whose folder is elsewhere on another machine.
    return None, EMBEDDED.name, EMBEDDED


def _check_offload(offload: bool | str | None, compile: bool, device: torch.device) -> str | None:
    """Return how networks take turns on the GPU, None for not at all; ValueError where they cannot."""
    from dalle2.families.offload import WAYS

    way = "model" if offload is True else str(offload) if offload else None
    if way and way not in WAYS:
        raise ValueError(f"There is no offload {way!r}: leave it out, or take one of {', '.join(WAYS)}.")
    if way and (compile or device.type == "cpu"):
        clash = "compiled networks cannot be moved" if compile else "there is no GPU to spare: the device is cpu"
        raise ValueError(f"Leave out offload: {clash}.")
    return way


def warm(model: UnclipModel) -> None:
    """Draw with as few steps as go through all networks: what is made when a network is first asked is made now."""
    few = model.settings.changed({stage: {"num_inference_steps": 2} for stage in model.stages})
    if "text_to_image" in model.capabilities:
        embeddings = model.embed_prompt(["a"], [0], few)
    else:
        embeddings = model.embed_image([ANY_PICTURE])
    model.decode_pixels(embeddings, [0], ["a"], few)


def _read(
    folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool, loras: Sequence[Lora]
) -> Any:
    """Read the networks, and merge what the checkpoint was taught later."""
    family = _family(folder, prior)
    if loras and not hasattr(family, "learn"):
        raise ValueError(
            f"{loras[0].file} was trained on {loras[0].taught.checkpoint}, a checkpoint of another family: it does "
            f"not fit {folder.name}."
        )
    model = family.load(folder, prior, device, compile)
    if loras:
        family.learn(model, loras)
    return model


def _family(folder: CheckpointFolder, prior: str | None) -> Any:
    """Return the module that opens a folder, told by its parts; ValueError says what else it is."""
    match folder.parts():
        case {"decoder": _, "super_res_first": _, "super_res_last": _}:
            from dalle2.families.karlo import load as karlo

            return karlo
        case {"unet": _, "movq": _} if not folder.pipeline.startswith("Kandinsky3"):  # which sees no image embedding
            from dalle2.families.kandinsky import load as kandinsky

            return kandinsky
        case {"unet": _, "vae": _, "image_normalizer": _}:
            from dalle2.families.stable_unclip import load as stable_unclip

            return stable_unclip
        case {"unet_1": _}:
            from dalle2.families.dalle2_pytorch import load as dalle2_pytorch

            return dalle2_pytorch
    from dalle2.families.unknown_folder import describe

    raise ValueError(describe(folder, prior))


def _check_device(device: str | torch.device, dtype: torch.dtype) -> torch.device:
    import torch

    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"There is no device {device!r}: use cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("This machine has no CUDA device that PyTorch can use: use the device cpu.")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:  # each kind of device has its own
        raise ValueError(f"This machine has no device {device} that PyTorch can use: use the device cpu.") from error
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"The networks run in float32, bfloat16 or float16, not in {dtype}.")
    if dtype == torch.float16 and device.type != "cuda":
        raise ValueError("float16 needs a CUDA device: use float32 or bfloat16 here.")
    return device
