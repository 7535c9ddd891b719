"""Checkpoint folder or hub id -> `UnclipModel`. A family of checkpoints is a folder here; families are strangers."""

from pathlib import Path

import torch

from dalle2.model import UnclipModel

EMBEDDED = Path(__file__).parent.parent / "checkpoints" / "emoji"


def load(
    source: str | Path = EMBEDDED,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    compile: bool = False,
) -> UnclipModel:
    """Open a checkpoint: "emoji" (the embedded one), a folder, or a hub id, as "kakaobrain/karlo-v1-alpha".

    The id may have a revision: id@revision. `dtype` is float32, bfloat16, or on CUDA also float16; `compile` compiles
    the networks, which takes a minute and then draws faster. ValueError says what is wrong and what was expected.
    """
    from dalle2.families.checkpoint_folder import CheckpointFolder, locate

    device = _check_device(device, dtype)
    embedded = source == EMBEDDED.name or Path(source) == EMBEDDED
    if embedded and not EMBEDDED.is_dir():
        raise ValueError(
            f"The embedded checkpoint is not there: {EMBEDDED} does not exist. "
            "Train it with `python -m dalle2.training`, or name another checkpoint."
        )
    folder = CheckpointFolder(EMBEDDED if embedded else locate(source, dtype), dtype)
    # A record names the embedded checkpoint by name, whose folder is elsewhere on another machine.
    name = EMBEDDED.name if embedded else str(source)
    match folder.parts():
        case {"decoder": _, "super_res_first": _, "super_res_last": _}:
            from dalle2.families.karlo import load as karlo

            return karlo.load(folder, name, device, compile)
    said = f" Its model_index.json is that of a {folder.pipeline}." if folder.pipeline else ""
    raise ValueError(
        f"{source} is not a checkpoint of a known family: expected the folders decoder, text_proj, "
        f"text_encoder, tokenizer, super_res_first and super_res_last (Karlo's layout).{said}"
    )


def _check_device(device: str | torch.device, dtype: torch.dtype) -> torch.device:
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
