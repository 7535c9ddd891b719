"""python -m benchmarks.gpu: what one CUDA GPU does, in three minutes: pictures, levers, training, FID.

    python -m benchmarks.gpu                all, what is wanted most first; what there is no time for is said
    python -m benchmarks.gpu --rehearse     the same code at tiny sizes on a CPU: shows that it runs, and nothing else
    python -m benchmarks.peers              before it, once: fetches the packages that FID is measured beside

Pictures are drawn by diffusers and by this project in one process, at the same steps, guidance and precision: of the
embedded checkpoint, and of random weights in Karlo's and Kandinsky 2.2's sizes. Levers are pulled one at a time on each
decoder's step of two rows, then together; its share is of the rate that this card reaches in a product of matrices of
that precision. No GPU has run this yet; `--rehearse` is a test.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import UNet2DConditionModel

from benchmarks.gpu_models import SIZES, Size, made_on, tiny
from dalle2.training.recipe import Recipe, read_recipe

PARTS = ("pictures", "levers", "fid", "training")
RECIPE = Path(__file__).parent.parent / "dalle2" / "training" / "recipes" / "emoji.toml"
LEAST_SECONDS = 12  # left, below which nothing new is begun
ROUNDS = 3
COMPILED = "the embedded checkpoint"  # the others' decoders compile for longer than all else takes
TINY_RECIPE = {
    "clip": {"embedding_dim": 32, "text_layers": 1, "picture_layers": 1, "picture_width": 32, "vocabulary": 600},
    "prior": {"width": 32, "head_dim": 16, "layers": 1},
    "decoder": {"picture_size": 16, "channels": (32, 32), "attention_from": 1, "time_embedding_dim": 32},
    "upsampler": {"picture_size": 64, "channels": (16, 16), "crop": 16, "full_share": 0.0},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure until the time is over, and print each number as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="in all (default 3)")
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--rehearse", action="store_true", help="at tiny sizes on a CPU; FID of 8 pictures")
    options = parser.parse_args(arguments)
    if not options.rehearse and not torch.cuda.is_available():
        parser.error("this machine has no CUDA device that PyTorch can use: --rehearse runs it at tiny sizes on a CPU.")
    diffusers.utils.logging.set_verbosity_error()
    end = time.monotonic() + 60 * options.minutes
    device = torch.device("cpu" if options.rehearse else "cuda")
    rates = _card(device)
    for what, work in _plan(options, device, rates, end):
        if end - time.monotonic() < LEAST_SECONDS:
            print(f"{what}: left out, for lack of time", flush=True)
            continue
        try:
            work()
        except torch.OutOfMemoryError:
            print(f"{what}: left out, for lack of memory", flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _plan(
    options: argparse.Namespace, device: torch.device, rates: dict[torch.dtype, float], end: float
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what is to be measured, by name, what is wanted most first."""
    parts, small = options.part or PARTS, options.rehearse
    for size in SIZES:
        if "pictures" in parts:
            yield f"{size.name}, pictures", lambda size=size: _pictures(size, device, small)
        if "levers" in parts:
            yield f"{size.name}, levers", lambda size=size: _levers(size, device, small, rates)
    if "training" in parts:
        yield "training", lambda: _training(small)
    if "fid" in parts:
        yield "FID", lambda: _fid(device, small, end - time.monotonic())


def _card(device: torch.device) -> dict[torch.dtype, float]:
    """Print what the device is, and return the operations a second of a product of matrices, by precision."""
    name, side = ("this CPU, rehearsing", 256) if device.type == "cpu" else (torch.cuda.get_device_name(), 8192)
    rates = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        left = torch.randn(side, side, device=device).to(dtype)
        rates[dtype] = 2 * side**3 / _seconds(lambda left=left: left @ left, device, rounds=10)
    told = ", ".join(f"{_named(dtype)} {rate / 1e12:.2f}" for dtype, rate in rates.items())
    print(f"{name}; products of matrices, TFLOP/s: {told}; torch {torch.__version__}", flush=True)
    return rates


@torch.no_grad()
def _pictures(size: Size, device: torch.device, small: bool) -> None:
    """Print seconds a picture by diffusers and by ours, in half precision."""
    dtype = torch.float32 if small else torch.float16
    theirs, ours = (_seconds(draw, device, 1 if small else ROUNDS) for draw in size.draws(device, dtype, small))
    told = f"diffusers {theirs:.3f} s, ours {ours:.3f} s, {theirs / ours:.2f} times faster"
    print(f"{size.name}, a picture at equal steps, {_named(dtype)}: {told}", flush=True)


@torch.no_grad()
def _levers(size: Size, device: torch.device, small: bool, rates: dict[torch.dtype, float]) -> None:
    """Print seconds of the decoder's step by each lever alone, then by all, and their share of the matrix rate."""
    config = tiny(size.decoder, small)
    flop = _operations(size, config)
    with made_on(device, torch.float32):
        network = UNet2DConditionModel(**config).eval()
    usual = torch.contiguous_format
    plain = None

    def told(name: str, dtype: torch.dtype, layout: torch.memory_format, by: str = "") -> None:
        nonlocal plain
        network.to(device, dtype, memory_format=layout)
        try:
            if small and dtype == torch.float16:
                raise _NotHere("a CPU takes too long with it")
            seconds = _seconds(_way(by)(_step(network, size, config, device, dtype, layout)), device, 1 if small else 5)
        except _NotHere as reason:
            print(f"{size.name}, a step, {name}: left out, {reason}", flush=True)
            return
        plain = plain or seconds
        share = f"{flop / seconds / rates[dtype]:.0%} of the matrix rate"
        print(f"{size.name}, a step, {name}: {1e3 * seconds:.2f} ms, {plain / seconds:.2f} x, {share}", flush=True)

    told("float32", torch.float32, usual)
    told("channels_last", torch.float32, torch.channels_last)
    told("CUDA graph", torch.float32, usual, "graph")
    told("bfloat16", torch.bfloat16, usual)
    told("float16, channels_last and CUDA graph", torch.float16, torch.channels_last, "graph")
    told("float16 and channels_last", torch.float16, torch.channels_last)
    told("float16", torch.float16, usual)
    if size.name == COMPILED:
        told("float16, compiled", torch.float16, usual, "compile")


class _NotHere(Exception):
    """This device has no such lever."""


def _way(by: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Return what makes of a call the same by a CUDA graph, compiled, or as it is."""
    return {"graph": _captured, "compile": _compiled, "": lambda call: call}[by]


def _compiled(call: Callable[[], Any]) -> Callable[[], Any]:
    if not torch.cuda.is_available():
        raise _NotHere("it takes a minute on a CPU")
    return torch.compile(call)


def _captured(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return what replays a call on the same memory, whose kernels are then launched as one."""
    if not torch.cuda.is_available():
        raise _NotHere("there is no CUDA device")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def _step(
    network: Any,
    size: Size,
    config: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format = torch.contiguous_format,
) -> Callable[[], Any]:
    """Return a call of a decoder with two rows, as guidance takes for a picture."""
    side, channels = config["sample_size"], config["in_channels"]
    x = torch.randn(2, channels, side, side, device=device, dtype=dtype).contiguous(memory_format=layout)
    t, conditions = torch.tensor(500, device=device), size.conditions(config, device, dtype)
    return lambda: network(x, t, **conditions)


def _operations(size: Size, config: dict[str, Any]) -> float:
    """Count the operations of such a step, by a network that has sizes and no numbers."""
    from torch.utils.flop_counter import FlopCounterMode

    meta = torch.device("meta")
    with made_on(meta, torch.float32), FlopCounterMode(display=False) as counter:
        _step(UNet2DConditionModel(**config), size, config, meta, torch.float32)()
    return counter.get_total_flops()


def _training(small: bool) -> None:
    """Print pictures a second of each stage of the GPU's recipe, on invented pictures, not compiled."""
    from dalle2.training.estimate import estimate
    from dalle2.training.processes import start

    recipe = Recipe.model_validate(TINY_RECIPE) if small else read_recipe(RECIPE)
    estimate(recipe, start(recipe.precision))


def _fid(device: torch.device, small: bool, seconds: float) -> None:
    """Run `benchmarks.fid` on the device, for as long as there is time; it prints each of its numbers at once."""
    sizes = ["--pictures", "8", "--size", "64", "--batch-size", "4"] if small else ["--batch-size", "128"]
    command = [sys.executable, "-m", "benchmarks.fid", "--device", device.type, *sizes]
    workers = ["--workers", str(min(len(os.sched_getaffinity(0)), 16))]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run([*command, *workers], check=False, timeout=None if small else seconds)
        return
    print("FID: ended, for lack of time", flush=True)


def _seconds(call: Callable[[], object], device: torch.device, rounds: int = ROUNDS) -> float:
    """Return the median time of a call, which is made once before."""
    spent = []
    for turn in range(rounds + 1):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if turn:
            spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main()
