"""The arguments by which a command line chooses a checkpoint and its settings; shared by all that draw."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

from dalle2.settings import PRIORS, SCHEDULERS, STAGES, Settings, StageSettings

if TYPE_CHECKING:
    from dalle2.model import UnclipModel

# The option behind each setting.
OPTIONS = {"num_inference_steps": "--steps", "guidance_scale": "--guidance", "scheduler": "--scheduler"}
DTYPES = ("float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Checkpoint, settings of the stages, device, dtype, compile; all None or False unless given."""
    parser.add_argument("--checkpoint", help="folder, hub id or id@revision; default: the embedded checkpoint")
    three = "one for all stages, or three with commas between them, for prior, decoder and upsampler"
    parser.add_argument("--draft", action="store_true", help="four network steps in all: fastest")
    parser.add_argument("--steps", help=f"denoising steps: {three}, as 25,25,7")
    parser.add_argument("--guidance", help="guidance scale: one value, or two, as 4,8, for prior and decoder")
    against = "what the pictures should not show, wherever a stage is guided"
    parser.add_argument("--negative", dest="negative_prompt", metavar="TEXT", help=against)
    known = ", ".join(SCHEDULERS)
    parser.add_argument("--scheduler", help=f"{known}: {three}, as ddim,dpm++,unclip")
    parser.add_argument("--prior", choices=PRIORS, help="which kind of prior; default: the checkpoint's own choice")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is one")
    parser.add_argument("--dtype", choices=DTYPES, help="what the networks compute in; default float32")
    parser.add_argument("--compile", action="store_true", help="compile the networks: slow to start, then faster")


def open_checkpoint(options: argparse.Namespace, checkpoint: str, dtype: str) -> "UnclipModel":
    """The model on the device that the arguments name; ValueError says what is wrong with it."""
    import diffusers  # each takes seconds, which --help need not wait for
    import torch
    import transformers

    from dalle2.families import load

    if dtype not in DTYPES:
        raise ValueError(f"There is no dtype {dtype!r}: use one of {', '.join(DTYPES)}.")
    # The libraries' own bars and warnings would stand between the visitor and ours.
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load(checkpoint, device, getattr(torch, dtype), options.compile)


def chosen_settings(options: argparse.Namespace, model: "UnclipModel", default: Settings | None = None) -> Settings:
    """`default`, or the checkpoint's own settings, with what the arguments change; ValueError if out of range."""
    default = default or model.settings
    if options.draft:
        default = default.drafting()
    changes = stage_changes(options)
    stages = {name: dataclasses.replace(getattr(default, name), **changes[name]) for name in STAGES}
    if options.negative_prompt is not None:
        default = dataclasses.replace(default, negative_prompt=options.negative_prompt)
    return dataclasses.replace(default, **stages).negated()


def stage_changes(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """What the arguments change in each stage's settings; ValueError for a value out of any stage's range."""
    steps = _values("steps", options.steps, int, 3)
    guidance = _values("guidance", options.guidance, float, 2)
    schedulers = _values("scheduler", options.scheduler, str, 3)
    changes: dict[str, dict[str, object]] = {name: {} for name in STAGES}
    for index, name in enumerate(STAGES):
        if steps:
            changes[name]["num_inference_steps"] = steps[index]
        if guidance and index < 2:
            changes[name]["guidance_scale"] = guidance[index]
        if schedulers:
            changes[name]["scheduler"] = schedulers[index]
        try:
            dataclasses.replace(StageSettings(num_inference_steps=1), **changes[name])
        except ValueError as error:  # names the setting, not the option
            setting, _, fault = str(error).partition(" ")
            raise ValueError(f"{OPTIONS.get(setting, setting)} {fault}") from error
    if options.prior:
        changes["prior"]["kind"] = options.prior
    return changes


def _values(name: str, text: str | None, kind: type, count: int) -> list | None:
    """ "25,25,7" -> [25, 25, 7]; one value stands for all."""
    if text is None:
        return None
    try:
        values = [kind(value.strip()) for value in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--{name} takes numbers, not {text!r}.") from error
    if len(values) not in (1, count):
        raise ValueError(f"--{name} takes one value or {count} with commas between them, not {text!r}.")
    return values * count if len(values) == 1 else values
