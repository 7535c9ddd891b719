"""python -m benchmarks.text_to_image: our time for a picture beside diffusers' UnCLIPPipeline, on the same weights.

The contestants take turns, so that a slow minute of the machine hits them alike: diffusers at its own defaults (25 + 25
+ 7 steps), ours at the same steps, schedulers and guidance, by torch and by the engines, ours at the checkpoint's own
settings, eight pictures at a time, and a draft until its first preview. Each runs in a process of its own, whose peak
memory is its own too. Pictures at the same steps are compared with diffusers'.

With --source FOLDER, the code of another commit (git worktree add --detach FOLDER COMMIT) takes part: by torch, at the
checkpoint's own settings, one picture and eight at a time.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

PROMPT = "a cat face, twemoji style"
DIFFUSERS = "diffusers UnCLIPPipeline"
SAME, OWN, DRAFT = "same steps", "default settings", "draft, first preview"


@dataclass(frozen=True)
class Contestant:
    """Who draws, with which settings (SAME, OWN or DRAFT), how many pictures at a time, and by which commit's code."""

    engine: str
    settings: str
    pictures: int = 1
    dtype: str = "float32"
    source: str = ""  # the folder of another commit

    @property
    def name(self) -> str:
        if self.engine == DIFFUSERS:
            return DIFFUSERS
        half = f", {self.dtype}" if self.dtype != "float32" else ""
        many = f", {self.pictures} at a time" if self.pictures > 1 else ""
        return f"{Path(self.source).name or 'ours'} by {self.engine}{half}, {self.settings}{many}"


def contestants(engines: Sequence[str], source: str = "") -> list[Contestant]:
    """Return those of the engines that are asked for, and of another commit's code; bfloat16 is OpenVINO's alone."""
    found = [Contestant(DIFFUSERS, SAME)]
    for settings in (SAME, OWN, DRAFT):
        found += [Contestant(engine, settings) for engine in engines]
    found += [Contestant(engine, OWN, 8) for engine in engines]
    if "openvino" in engines:
        found.append(Contestant("openvino", OWN, 8, "bfloat16"))
    if source:
        found += [Contestant("torch", OWN, pictures, source=source) for pictures in (1, 8)]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rounds and print medians, ratios, differences and peak memory."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.text_to_image", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--checkpoint", help="folder; default: the embedded checkpoint")
    parser.add_argument(
        "--engine", action="append", help="torch, onnxruntime, openvino; repeatable; default: all three"
    )
    parser.add_argument("--source", default="", metavar="FOLDER", help="the code of another commit, which takes part")
    parser.add_argument("--rounds", type=int, default=5, help="timed pictures of each contestant (default 5)")
    parser.add_argument("--threads", type=int, help="CPU threads of each contestant; default: all")
    options = parser.parse_args(arguments)
    context, pipes = multiprocessing.get_context("spawn"), {}
    pictures = {}
    if options.source and not (Path(options.source) / "dalle2").is_dir():
        parser.error(f"--source {options.source}: there is no code of this project (no folder dalle2).")
    for contestant in contestants(options.engine or ["torch", "onnxruntime", "openvino"], options.source):
        ours, theirs = context.Pipe()
        given = (contestant, options.checkpoint, options.threads, theirs)
        context.Process(target=_serve, args=given, daemon=True).start()
        pictures[contestant] = ours.recv()  # loaded, and warmed up by this one
        pipes[contestant] = ours
    times: dict[Contestant, list[float]] = {one: [] for one in pipes}
    for _ in range(options.rounds):
        for contestant, pipe in pipes.items():
            pipe.send("draw")
            times[contestant].append(pipe.recv())
    memory = {}
    for contestant, pipe in pipes.items():
        pipe.send("stop")
        memory[contestant] = pipe.recv()
    _report(times, memory, pictures)


def _report(
    times: dict[Contestant, list[float]], memory: dict[Contestant, float], pictures: dict[Contestant, np.ndarray]
) -> None:
    table = Table(title=f"Pictures of {PROMPT!r}, {torch.get_num_threads()} CPU threads")
    table.add_column("contestant")
    for column in ("median s a picture", "min", "max", "times faster", "difference", "peak MB"):
        table.add_column(column, justify="right")
    theirs = next(one for one in times if one.engine == DIFFUSERS)
    base = statistics.median(times[theirs])
    for one, seconds in times.items():
        each = [value / one.pictures for value in seconds]
        middle = statistics.median(each)
        same = one.settings == SAME
        apart = f"{np.abs(pictures[one] - pictures[theirs]).max():.0e}" if same else ""
        figures = (f"{middle:.3f}", f"{min(each):.3f}", f"{max(each):.3f}", f"{base / middle:.2f}", apart)
        table.add_row(one.name, *figures, f"{memory[one]:.0f}")
    Console(width=130).print(table)


def _serve(contestant: Contestant, checkpoint: str | None, threads: int | None, pipe: Connection) -> None:
    """Be a contestant's process: load, warm up, then a timed picture whenever asked."""
    if threads:
        torch.set_num_threads(threads)
    if contestant.source:
        sys.path.insert(0, contestant.source)  # before anything of the project is imported
    draw = _diffusers(checkpoint) if contestant.engine == DIFFUSERS else _ours(contestant, checkpoint)
    pipe.send(draw(0))
    seed = 0
    while pipe.recv() == "draw":
        seed += contestant.pictures
        start = time.perf_counter()
        draw(seed)
        pipe.send(time.perf_counter() - start)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _ours(contestant: Contestant, checkpoint: str | None) -> Callable[[int], np.ndarray]:
    """Return what draws from a seed -> pixels (n, size, size, 3) in 0..1."""
    from dalle2.families import EMBEDDED, load
    from dalle2.model import generators

    dtype = getattr(torch, contestant.dtype)
    # Other commits may know torch alone.
    engine: dict[str, Any] = {} if contestant.source else {"engine": contestant.engine}
    model = load(checkpoint or EMBEDDED, dtype=dtype, **engine)
    settings = model.settings
    if contestant.settings == SAME:
        from dalle2.families.karlo.abilities import KARLO_SETTINGS as settings
    elif contestant.settings == DRAFT:
        settings = model.settings.for_draft()
    prompts, first = [PROMPT] * contestant.pictures, contestant.settings == DRAFT

    def draw(seed: int) -> np.ndarray:
        noise = generators(range(seed, seed + contestant.pictures))
        embeddings = model.embed_prompt(prompts, noise, settings)
        try:
            drawn = model.decode_pixels(embeddings, noise, prompts, settings, _see if first else None)
        except _Seen:
            return np.zeros(())
        assert contestant.source or model.engine == contestant.engine, f"{contestant.engine} could not draw"
        return (drawn * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()

    return draw


class _Seen(Exception):
    """The first preview is there."""


def _see(step: Any) -> None:
    if step.pictures():
        raise _Seen


def diffusers_pipeline(checkpoint: str | None) -> Any:
    """Assemble diffusers' own pipeline from a folder in Karlo's layout: since 0.38 it cannot open one by itself."""
    from diffusers import PriorTransformer, UnCLIPPipeline, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    from dalle2.families import EMBEDDED

    folder = checkpoint or EMBEDDED
    networks = {
        "prior": PriorTransformer,
        "decoder": UNet2DConditionModel,
        "text_proj": UnCLIPTextProjModel,
        "super_res_first": UNet2DModel,
        "super_res_last": UNet2DModel,
        "text_encoder": CLIPTextModelWithProjection,
    }
    others = {
        "tokenizer": CLIPTokenizer,
        "prior_scheduler": UnCLIPScheduler,
        "decoder_scheduler": UnCLIPScheduler,
        "super_res_scheduler": UnCLIPScheduler,
    }
    parts = {name: kind.from_pretrained(folder, subfolder=name).float().eval() for name, kind in networks.items()}
    parts |= {name: kind.from_pretrained(folder, subfolder=name) for name, kind in others.items()}
    pipeline = UnCLIPPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _diffusers(checkpoint: str | None) -> Callable[[int], np.ndarray]:
    pipeline = diffusers_pipeline(checkpoint)
    return lambda seed: pipeline(PROMPT, generator=torch.Generator().manual_seed(seed), output_type="np").images


if __name__ == "__main__":
    main()
