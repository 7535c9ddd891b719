"""The arguments by which a command line chooses a checkpoint and its settings; shared by all that draw."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dalle2.engines import ENGINES
from dalle2.settings import QUALITIES, Settings
from dalle2.stage_settings import PRIORS, SCHEDULERS, DecoderSettings

if TYPE_CHECKING:
    from dalle2.model import UnclipModel

Options = Any  # an argparse.Namespace, or a value with the same names, such as those of evaluation's commands
# The setting of a stage -> the option that changes it.
OPTIONS = {
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "scheduler": "--scheduler",
    "noise_level": "--noise-level",
}
SOURCE = "folder, hub id or id@revision, or two as PRIOR+DECODER; default: the embedded checkpoint"
DTYPES = ("float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add checkpoint, settings of the stages, and how it is opened; all are None or False unless given."""
    parser.add_argument("--checkpoint", help=SOURCE)
    add_loras(parser)
    each = "one for all stages, or one for each with commas between them (prior, decoder, upsampler)"
    parser.add_argument("--draft", action="store_true", help="four network steps in all: fastest")
    times = "half the checkpoint's own numbers of steps, just these, or two and a half times as many"
    parser.add_argument("--quality", choices=[*QUALITIES], help=times)
    parser.add_argument("--steps", help=f"denoising steps: {each}, such as 25,25,7")
    parser.add_argument("--guidance", help="guidance scale: one value, or two for prior and decoder, such as 4,8")
    against = "what the pictures should not show; needs guidance"
    parser.add_argument("--negative", dest="negative_prompt", metavar="TEXT", help=against)
    known = ", ".join(SCHEDULERS)
    parser.add_argument("--scheduler", help=f"{known}: {each}, such as ddim,dpm++,unclip")
    noise = "noise that the decoder sees the image embedding in, 0 to 999: the more, the freer (Stable unCLIP)"
    parser.add_argument("--noise-level", help=noise)
    parser.add_argument("--prior", choices=PRIORS, help="kind of prior; default: the checkpoint's own")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if available")
    parser.add_argument("--dtype", choices=DTYPES, help="precision of the networks; default float32")
    parser.add_argument("--compile", action="store_true", help="compile the networks: slow to start, then faster")
    computes = "what computes the networks on a CPU; default: auto, ONNX Runtime where it is there with the graphs"
    parser.add_argument("--engine", choices=ENGINES, help=computes)
    trusted = "read weights from pickled files too, which could run as programs: only what you trust"
    parser.add_argument("--allow-pickle", action="store_true", help=trusted)
    turns = (
        "let networks wait in the machine's memory and visit the GPU one at a time (model, for small GPUs), or layer "
    )
    turns += "by layer (sequential, for the smallest: far slower); alone it means model"
    parser.add_argument("--offload", nargs="?", const="model", choices=("model", "sequential"), help=turns)
    old = "token ids as most programs made them in 2022, for redrawing a picture of that time"
    parser.add_argument("--tokenizer", choices=["2022"], help=old)


def add_loras(parser: argparse.ArgumentParser) -> None:
    """Add what a checkpoint was taught later."""
    taught = "a style or concept of python -m dalle2.finetune, and how strongly, default 1; several times: mixed"
    parser.add_argument("--lora", dest="loras", action="append", default=[], metavar="FILE[=WEIGHT]", help=taught)


def open_checkpoint(options: Options, checkpoint: str, dtype: str) -> "UnclipModel":
    """Return the model on the device that the arguments name; ValueError says what is wrong with it."""
    import diffusers  # each takes seconds, which --help need not wait for
    import torch
    from transformers.utils import logging

    from dalle2.families import load

    if dtype not in DTYPES:
        raise ValueError(f"There is no dtype {dtype!r}: use one of {', '.join(DTYPES)}.")
    # The libraries' own bars and warnings would stand between the visitor and ours.
    diffusers.utils.logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    own = {name: getattr(options, name) for name in ("allow_pickle", "tokenizer", "offload", "loras")}
    engine = options.engine or "auto"
    return load(checkpoint, device, getattr(torch, dtype), options.compile, engine=engine, **own)


def chosen_settings(options: Options, model: "UnclipModel", default: Settings | None = None) -> Settings:
    """Return `default`, or the checkpoint's own settings, with what the arguments change; ValueError out of range."""
    default = default or model.settings
    if options.draft:
        default = default.for_draft()
    if options.quality is not None:
        default = default.with_steps(QUALITIES[options.quality])
    if options.negative_prompt is not None:
        default = dataclasses.replace(default, negative_prompt=options.negative_prompt)
    return default.changed(_stage_changes(options, default)).check_negative()


def check_stage_values(options: Options) -> None:
    """Raise ValueError for a value that no stage takes, before there is a checkpoint whose stages are known."""
    said = {"--draft": options.draft, "--quality": options.quality, "--steps": options.steps}
    if len(given := [name for name, value in said.items() if value]) > 1:
        raise ValueError(f"{given[0]} and {given[1]} both say how many steps are taken: give one of the two.")
    for key, values in _given(options).items():
        for value in values:
            try:
                row: dict[str, Any] = {"num_inference_steps": 1, key: value}
                DecoderSettings(**row)
            except ValueError as error:  # names the setting, not the option
                raise ValueError(str(error).replace(key, OPTIONS[key], 1)) from error


def _stage_changes(options: Options, settings: Settings) -> dict[str, dict[str, object]]:
    """Return what the arguments change in the settings of each stage; ValueError for too many or too few values."""
    check_stage_values(options)
    changes: dict[str, dict[str, object]] = {name: {} for name in settings.stages}
    for key, values in _given(options).items():
        names = [name for name, stage in settings.stages.items() if hasattr(stage, key)]
        if len(values) not in (1, len(names)):
            said = ",".join(map(str, values))
            raise ValueError(f"{OPTIONS[key]} takes one value or {len(names)} with commas between them, not {said!r}.")
        for name, value in zip(names, values * len(names) if len(values) == 1 else values, strict=True):
            changes[name][key] = value
    if options.prior:
        if settings.prior is None:
            raise ValueError("This checkpoint has no prior: leave out --prior.")
        changes["prior"]["kind"] = options.prior
    return changes


def _given(options: Options) -> Mapping[str, list]:
    """Return the values of the options that were given, by the name of the setting: "25,25,7" -> [25, 25, 7]."""
    kinds = {"num_inference_steps": int, "guidance_scale": float, "scheduler": str, "noise_level": int}
    texts = {key: getattr(options, option[2:].replace("-", "_")) for key, option in OPTIONS.items()}
    return {key: _values(OPTIONS[key], text, kinds[key]) for key, text in texts.items() if text is not None}


def _values(option: str, text: str, kind: type) -> list:
    try:
        return [kind(value.strip()) for value in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} takes numbers, not {text!r}.") from error
