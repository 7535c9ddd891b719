"""python -m benchmarks.text_to_image: our time for a picture beside diffusers' UnCLIPPipeline, on the same weights.

Three contestants take turns, so that a slow minute of the machine hits them alike: diffusers at its own
defaults (25 + 25 + 7 steps), ours at the same steps, schedulers and guidance, and ours at the checkpoint's
defaults. Each runs in a process of its own, whose peak memory is its own too.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import torch
from rich.console import Console
from rich.table import Table

PROMPT = "a cat face, twemoji style"
DIFFUSERS, SAME_STEPS, DEFAULTS = "diffusers UnCLIPPipeline", "ours, same steps", "ours, default settings"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rounds and print medians, ratios to diffusers and peak memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_to_image", description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", help="folder; default: the embedded checkpoint")
    parser.add_argument("--rounds", type=int, default=5, help="timed pictures of each contestant (default 5)")
    parser.add_argument("--threads", type=int, help="CPU threads of each contestant; default: all")
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    contestants = {}
    for name in (DIFFUSERS, SAME_STEPS, DEFAULTS):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(name, options.checkpoint, options.threads, theirs), daemon=True)
        process.start()
        ours.recv()  # loaded and warmed up
        contestants[name] = ours
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, pipe in contestants.items():
            pipe.send("draw")
            times[name].append(pipe.recv())
    memory = {}
    for name, pipe in contestants.items():
        pipe.send("stop")
        memory[name] = pipe.recv()
    _report(times, memory)


def _report(times: dict[str, list[float]], memory: dict[str, float]) -> None:
    table = Table(title=f"One picture of {PROMPT!r}, {torch.get_num_threads()} CPU threads, float32")
    table.add_column("contestant")
    for column in ("median s", "min s", "max s", "times faster", "peak MB"):
        table.add_column(column, justify="right")
    base = statistics.median(times[DIFFUSERS])
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        figures = (f"{middle:.3f}", f"{min(seconds):.3f}", f"{max(seconds):.3f}", f"{base / middle:.2f}")
        table.add_row(name, *figures, f"{memory[name]:.0f}")
    Console(width=110).print(table)


def _serve(name: str, checkpoint: str | None, threads: int | None, pipe: Connection) -> None:
    """Be a contestant's process: load, warm up, then a timed picture whenever asked."""
    if threads:
        torch.set_num_threads(threads)
    draw = _diffusers(checkpoint) if name == DIFFUSERS else _ours(checkpoint, same_steps=name == SAME_STEPS)
    draw(0)
    pipe.send("ready")
    seed = 0
    while pipe.recv() == "draw":
        seed += 1
        start = time.perf_counter()
        draw(seed)
        pipe.send(time.perf_counter() - start)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _ours(checkpoint: str | None, same_steps: bool) -> Callable[[int], object]:
    from dalle2.families import EMBEDDED, load
    from dalle2.families.karlo.model import KARLO_SETTINGS

    model = load(checkpoint or EMBEDDED)
    settings = KARLO_SETTINGS if same_steps else model.settings
    return lambda seed: model.text_to_image([PROMPT], seeds=[seed], settings=settings, literal=True)


def _diffusers(checkpoint: str | None) -> Callable[[int], object]:
    """Assemble diffusers' own pipeline from the folder: since 0.38 it cannot open one by itself."""
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
    return lambda seed: pipeline(PROMPT, generator=torch.Generator().manual_seed(seed))


if __name__ == "__main__":
    main()
