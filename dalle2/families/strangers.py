"""What a folder is that no family opens, in a sentence."""

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.places import LORA

LAYOUTS = (
    "decoder, text_proj, text_encoder, tokenizer, super_res_first and super_res_last (Karlo's layout), unet and movq "
    "(Kandinsky's), unet, vae and image_normalizer (Stable unCLIP's layout), or unet_1 (what dalle2.convert made of "
    "DALLE2-pytorch's files)"
)
DECODERS = {"decoder", "unet"}
CONVERT = "make a checkpoint of them first, python -m dalle2.convert FILES --out DIR."


def describe(folder: CheckpointFolder, prior: str | None) -> str:
    """Return what is known of a folder; `prior` is the place that was named before it, if any."""
    parts = set(folder.parts())
    if ("prior" in parts and not parts & DECODERS) or _is_prior(folder):
        said = f"{folder.name} is a prior without a decoder: name both, PRIOR+DECODER"
        return f"{said}, as {folder.name}+{prior}." if prior else f"{said}."
    if any(folder.path.glob("*.pth")) or any(folder.path.glob("*/prior_config.json")):  # laion/DALLE2-PyTorch
        return f"{folder.name} holds files of DALLE2-pytorch: {CONVERT}"
    if any(file.name.startswith(LORA) for file in folder.path.iterdir()):
        return f"{folder.name} is a LoRA, which changes another checkpoint and cannot draw by itself: name that one."
    index = folder.read_json("model_index.json") if folder.pipeline else {}
    named = {part for part, kind in index.items() if isinstance(kind, list) and kind[0] is not None}
    if missing := sorted(named - parts):
        return (
            f"{folder.name} is not a whole checkpoint: its model_index.json names {', '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not there: download it again."
        )
    said = f" Its model_index.json is that of a {folder.pipeline}." if folder.pipeline else ""
    if {"unet", "vae"} <= parts:
        said = f" It draws from text alone, as Stable Diffusion does, with no image embedding between.{said}"
    return f"{folder.name} is not a checkpoint of a known family: expected the folders {LAYOUTS}.{said}"


def _is_prior(folder: CheckpointFolder) -> bool:
    """Whether it is a prior itself, as ECLIPSE's are published."""
    return (folder.path / "config.json").is_file() and "Prior" in str(
        folder.read_json("config.json").get("_class_name")
    )
