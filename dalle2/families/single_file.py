"""What a single file is that was named where a checkpoint's folder is wanted; of its weights nothing is read."""

from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open

HEADER = "open_dalle2_lora"  # in the metadata of what `python -m dalle2.finetune` writes
CHANGES = (".lora_", "lora_down.", "lora_up.", ".hada_", ".lokr_")  # in the names of a LoRA's tensors
LONE = "model.diffusion_model."  # which begins the names in the files of Stable Diffusion's own code
DIFFUSERS = "give it in diffusers' layout, in a folder for each of its parts, as kakaobrain/karlo-v1-alpha is."


def describe_file(file: Path) -> str:
    """Return a sentence with a blank before it on what the file is, or "" where that is not known."""
    if file.suffix == ".safetensors":
        said = _of_tensors(file)
    else:
        said = {
            ".pth": "Of DALLE2-pytorch's files `python -m dalle2.convert` makes one.",
            ".pt": "Of DALLE2-pytorch's files `python -m dalle2.convert` makes one.",
            ".ckpt": f"It holds weights as the code that trained them keeps them: {DIFFUSERS}",
            ".bin": "It holds the weights of one network: its folder is that of a part of a checkpoint.",
            ".gguf": f"Its weights are quantised, which is not known here: {DIFFUSERS}",
            ".zip": "Unpack it first.",
            ".json": "It is a config without the weights.",
        }.get(file.suffix, "")
    return f" {said}" if said else ""


def _of_tensors(file: Path) -> str:
    try:
        with safe_open(file, framework="np") as opened:
            header, names = opened.metadata() or {}, list(opened.keys())
    except (SafetensorError, OSError):
        return "It is damaged, or no safetensors file."
    if HEADER in header:
        return "It is a LoRA of `python -m dalle2.finetune`: name the checkpoint here, and the file with --lora."
    if _any_has(names, CHANGES):
        return "It is a LoRA, which changes another checkpoint and cannot draw by itself."
    if any(name.startswith(LONE) for name in names):
        return f"It is a whole checkpoint in one file, as Stable Diffusion's own code keeps them: {DIFFUSERS}"
    return "It holds the weights of one network: its folder is that of a part of a checkpoint."


def _any_has(names: Collection[str], pieces: Collection[str]) -> bool:
    return any(piece in name for name in names for piece in pieces)
