"""What a folder is that no family opens, in a sentence."""

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.places import LORA, hub_name

LAYOUTS = (
    "decoder, text_proj, text_encoder, tokenizer, super_res_first and super_res_last (Karlo's layout), unet and movq "
    "(Kandinsky's), unet, vae and image_normalizer (Stable unCLIP's layout), or unet_1 (what dalle2.convert made of "
    "DALLE2-pytorch's files)"
)
DECODERS = {"decoder", "unet"}
CONVERT = "make a checkpoint of them first, python -m dalle2.convert FILES --out DIR."
INDEX = ("model_index.json", "dalle2.json")  # one of which a whole checkpoint has
MANY = 3  # folders that are named of those that hold checkpoints themselves


def describe(folder: CheckpointFolder, prior: str | None) -> str:
    """Return what is known of a folder; `prior` is the place that was named before it, if any."""
    parts = set(folder.parts())
    if ("prior" in parts and not parts & DECODERS) or _is_prior(folder):
        said = f"{folder.name} is a prior without a decoder: name both, PRIOR+DECODER"
        return f"{said}, as {folder.name}+{prior}." if prior else f"{said}."
    if said := _by_its_files(folder) or _lacking(folder, parts) or _around(folder):
        return said
    said = f" Its model_index.json is that of a {folder.pipeline}." if folder.pipeline else ""
    if {"unet", "vae"} <= parts:
        said = f" It draws from text alone, as Stable Diffusion does, with no image embedding between.{said}"
    return f"{folder.name} is not a checkpoint of a known family: expected the folders {LAYOUTS}.{said}"


def _by_its_files(folder: CheckpointFolder) -> str | None:
    """Return what files tell that lie in the folder itself."""
    if any(folder.path.glob("*.pth")) or any(folder.path.glob("*/prior_config.json")):  # laion/DALLE2-PyTorch
        return f"{folder.name} holds files of DALLE2-pytorch: {CONVERT}"
    if any(file.name.startswith(LORA) for file in folder.path.iterdir()):
        return f"{folder.name} is a LoRA, which changes another checkpoint and cannot draw by itself: name that one."
    if not folder.pipeline and any(folder.path.glob("*.ckpt")):  # as Karlo's and Kandinsky's authors keep theirs
        return (
            f"{folder.name} holds weights as the code that trained them keeps them (.ckpt): name the same checkpoint "
            "in diffusers' layout, as kakaobrain/karlo-v1-alpha."
        )
    if (folder.path / "config.json").is_file():
        said = folder.read_json("config.json")
        kind = said.get("_class_name") or ", ".join(map(str, said.get("architectures") or ()))
        return (
            f"{folder.name} is one network{f', a {kind}' if kind else ''}, and no whole checkpoint: name the folder in "
            "which it lies beside the others."
        )
    return None


def _lacking(folder: CheckpointFolder, parts: set[str]) -> str | None:
    """Return which parts are missing of those that the folder itself names."""
    index = folder.read_json("model_index.json") if folder.pipeline else {}
    named = {part for part, kind in index.items() if isinstance(kind, list) and any(kind)}
    missing = sorted(named - parts)
    if not missing:
        return None
    return (
        f"{folder.name} is not a whole checkpoint: its model_index.json names {', '.join(missing)}, which "
        f"{'is' if len(missing) == 1 else 'are'} not there: download it again."
    )


def _around(folder: CheckpointFolder) -> str | None:
    """Return which of its folders are checkpoints, as what was unpacked or downloaded lies in one more."""
    found = [
        str(path)
        for path in folder.parts().values()
        if any((path / name).is_file() for name in INDEX) or (hub_name(path) and (path / "snapshots").is_dir())
    ]
    if not found:
        return None
    listed = ", ".join(found[:MANY]) + (", …" if len(found) > MANY else "")
    return f"{folder.name} is no checkpoint itself, but holds {'one' if len(found) == 1 else 'some'}: name {listed}."


def _is_prior(folder: CheckpointFolder) -> bool:
    """Whether it is a prior itself, as ECLIPSE's are published."""
    return (folder.path / "config.json").is_file() and "Prior" in str(
        folder.read_json("config.json").get("_class_name")
    )
