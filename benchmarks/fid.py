"""python -m benchmarks.fid: the time of a FID beside pytorch-fid, clean-fid and torch-fidelity, on the same weights.

All measure the same folder of drawn noise against the same reference statistics, which are made before and handed to
each in its own form, as in a run against a known data set: each peer by its own public functions, with its own
resizing; ours with each of the three. Batch size and threads are the same for all, and so are the processes that open
pictures, but for torch-fidelity, which takes two a core, at most four. The weights are random but well scaled, in the
published form, so nothing is downloaded.

`--deviation FOLDER` tells beside how far FID in bfloat16 is from that in float32, on pictures of one's own.

Peers come by `python -m benchmarks.peers` into a folder of their own, and one that is absent is left out. They ask
for torchvision: where it is not installed, a stand-in has the few names that they touch, and torch-fidelity's copies
of torchvision's blocks make the Inception that pytorch-fid builds on.
"""

import argparse
import contextlib
import importlib.util
import io
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks import fid_precision, peers
from benchmarks.fid_peers import (
    PICTURES,
    REFERENCE,
    WEIGHTS,
    by_clean_fid,
    by_pytorch_fid,
    by_torch_fidelity,
    fill_cache_of_torch_fidelity,
    read_reference,
    stand_in_for_torchvision,
    write_torchscript,
)
from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.networks.features import extract
from evaluation.networks.inception import Inception
from evaluation.networks.inception_trunk import BATCH_NORM_EPSILON, Trunk
from evaluation.networks.resizing import SIDE
from evaluation.pictures.image_folder import find_pictures

REFERENCES = 300  # pictures whose features the reference statistics are made of


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the folder, run every contestant in a process of its own, and print each, then a table of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fid", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=int, default=5000, help="in the folder that is measured (default 5000)")
    parser.add_argument("--size", type=int, default=256, help="pixels a side of the pictures (default 256)")
    parser.add_argument("--device", default="cpu", help="of every contestant (default cpu)")
    parser.add_argument("--batch-size", type=int, default=32, help="of every contestant (default 32)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="that open pictures; default: the cores")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every contestant; default: the cores")
    words = (
        "also, of --pictures a side of each of these: how far FID in bf16 is from that in float32 (a folder or hub:…)"
    )
    parser.add_argument("--deviation", nargs="+", default=[], metavar="SOURCE", help=words)
    options = parser.parse_args(arguments)
    if options.pictures < 2:
        parser.error(f"--pictures must be 2 or more, not {options.pictures}.")
    present = [peer for peer in PEERS if _is_present(peer)]
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read by numpy and torch in the contestants' processes
    torch.set_num_threads(options.threads)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        torch.save(random_weights(), place / WEIGHTS)
        draw(place / PICTURES, options.pictures, options.size, seed=0)
        draw(place / "others", REFERENCES, options.size, seed=1)
        mean, covariance = make_reference(place / "others", place / WEIGHTS, options.batch_size, options.device)
        np.savez(place / REFERENCE, mu=mean, sigma=covariance)
        for contestant in [*present, *OURS]:
            print(f"{contestant.name} ({contestant.resize}): ", end="", flush=True)
            found = _alone(contestant, place, options)
            if isinstance(found, str):
                print(f"failed, {found}", flush=True)
                continue
            results[contestant] = found
            seconds, distance, _ = found
            print(f"{seconds:.1f} s, {options.pictures / seconds:.2f} pictures/s, distance {distance:.6f}", flush=True)
        _report(results, options)
        if options.deviation:
            weights = place / WEIGHTS
            fid_precision.report(options.deviation, options.pictures, weights, options.batch_size, options.workers)


def random_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return a random state dict in the published form, whose batch norms let features vary as trained ones do.

    Without the fit, a hundred random layers would make all pictures alike.
    """
    generator = torch.Generator().manual_seed(seed)
    network = Trunk().eval()
    state = {}

    def fit(layer: str) -> Callable[[nn.Conv2d, object, torch.Tensor], torch.Tensor]:
        def normalise(conv: nn.Conv2d, _: object, output: torch.Tensor) -> torch.Tensor:
            channels = len(conv.weight)
            norm = {
                "weight": 0.5 + torch.rand(channels, generator=generator),
                "bias": 0.3 * torch.randn(channels, generator=generator),
                "running_mean": output.mean((0, 2, 3)),
                "running_var": output.var((0, 2, 3)),
            }
            state[f"{layer}.conv.weight"] = conv.weight.detach().clone()
            state.update({f"{layer}.bn.{part}": values for part, values in norm.items()})
            state[f"{layer}.bn.num_batches_tracked"] = torch.tensor(0)
            gain, bias, mean, variance = (values[:, None, None] for values in norm.values())
            return (output - mean) / (variance + BATCH_NORM_EPSILON).sqrt() * gain + bias

        return normalise

    with torch.inference_mode():
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                scale = module.weight[0].numel() ** -0.5
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * scale)
                module.bias.zero_()
                module.register_forward_hook(fit(name.removesuffix(".conv")))
        network(
            torch.randn(2, 3, SIDE // 4, SIDE // 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
        )
    state["fc.weight"] = torch.randn(1008, Inception.dim, generator=generator) * 0.1
    state["fc.bias"] = torch.randn(1008, generator=generator)
    return {name: values.clone() for name, values in state.items()}


def draw(folder: Path, count: int, size: int, seed: int) -> None:
    """Write `count` PNGs of soft colours with grain on them; another seed has another contrast."""
    folder.mkdir()
    with ProcessPoolExecutor() as processes:
        list(processes.map(partial(_draw, folder, size, seed), range(count), chunksize=64))


def _draw(folder: Path, size: int, seed: int, index: int) -> None:
    rng = np.random.default_rng([seed, index])
    colours = Image.fromarray(rng.integers(8 * seed, 256, (6, 6, 3), dtype=np.uint8))
    soft = np.asarray(colours.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    grain = rng.normal(0, 12, soft.shape)
    picture = Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))
    picture.save(folder / f"{index:06d}.png", compress_level=1)


def make_reference(folder: Path, weights: Path, batch_size: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and covariance (d, d) of the folder's features, of full rank like those of a large data set.

    A hundredth of the mean variance is added to every variance, which is where the few pictures leave it singular.
    """
    features = extract(find_pictures(folder), Inception(weights, device=device), None, batch_size, 0, progress=False)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    return features.mean(0, dtype=np.float64), covariance + np.eye(len(covariance)) * np.diag(covariance).mean() / 100


def _ours(place: Path, options: argparse.Namespace, resize: str, precision: str = "float32") -> float:
    network = Inception(place / WEIGHTS, resize, options.device, precision=precision)
    paths = find_pictures(place / PICTURES)
    features = extract(paths, network, None, options.batch_size, options.workers, progress=False)
    mean, covariance = (torch.from_numpy(values) for values in read_reference(place))
    reference = Moments(REFERENCES, mean, scatter=covariance * (REFERENCES - 1))
    return frechet_distance(Moments.of(features), reference)


Result = tuple[float, float, float]  # seconds, distance, peak memory in MB


@dataclass(frozen=True)
class Contestant:
    """Who measures, how pictures come to 299 pixels there, and the packages that it needs."""

    name: str
    resize: str
    measure: Callable[[Path, argparse.Namespace], float]
    packages: tuple[str, ...] = ()


PEERS = (
    Contestant("pytorch-fid", "legacy-torch", by_pytorch_fid, ("pytorch_fid", "torch_fidelity")),
    # torch-fidelity also gives the blocks of the TorchScript that clean-fid opens.
    Contestant("clean-fid", "clean", by_clean_fid, ("cleanfid", "torch_fidelity")),
    Contestant("torch-fidelity", "legacy-tf", by_torch_fidelity, ("torch_fidelity",)),
)
OURS = (
    *(Contestant("ours", peer.resize, partial(_ours, resize=peer.resize)) for peer in PEERS),
    Contestant("ours, bf16", "legacy-torch", partial(_ours, resize="legacy-torch", precision="bf16")),
)


def _is_present(peer: Contestant) -> bool:
    absent = peers.missing(peer.packages)
    if absent:
        print(f"{peer.name} is left out, since {absent[0]} is not there: {peers.COMMAND} fetches it.")
    return not absent


def _alone(contestant: Contestant, place: Path, options: argparse.Namespace) -> Result | str:
    """Return the contestant's result, in a fresh process, or why there is none."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(contestant, place, options, there))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return "its process was ended"
    finally:
        process.join()


def _serve(contestant: Contestant, place: Path, options: argparse.Namespace, pipe: Connection) -> None:
    """Be a contestant's process: what peers need is made ready, then the clock runs."""
    torch.set_num_threads(options.threads)
    # As in a run from the command line on Linux; a spawned process would spawn its workers too.
    multiprocessing.set_start_method("fork", force=True)
    if contestant in PEERS:
        peers.enter()
        if importlib.util.find_spec("torchvision") is None:
            stand_in_for_torchvision(place)
        if contestant.measure is by_clean_fid:
            write_torchscript(place)
        if contestant.measure is by_torch_fidelity:
            fill_cache_of_torch_fidelity(place)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            distance = contestant.measure(place, options)
            seconds = time.perf_counter() - start
    except Exception as error:  # a peer's own fault ends its turn only: pytorch-fid has some with few pictures
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send((seconds, float(distance), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _report(results: dict[Contestant, Result], options: argparse.Namespace) -> None:
    """Each peer, then ours; how much faster ours is than the fastest of them, and how equal to its like."""
    pictures = options.pictures
    others = {contestant: result for contestant, result in results.items() if contestant in PEERS}
    fastest = min((seconds for seconds, _, _ in others.values()), default=None)
    distances = {peer.resize: distance for peer, (_, distance, _) in others.items()}
    threads = f"{options.threads} CPU threads, {options.workers} workers"
    table = Table(title=f"FID of {pictures:,} pictures of {options.size} pixels, {threads}, random weights")
    for column in ("contestant", "resize"):
        table.add_column(column)
    for column in ("seconds", "pictures/s", "times the fastest peer", "distance", "relative difference", "peak MB"):
        table.add_column(column, justify="right")
    for contestant, (seconds, distance, memory) in results.items():
        like = distances.get(contestant.resize) if contestant in OURS else None
        table.add_row(
            contestant.name,
            contestant.resize,
            f"{seconds:.1f}",
            f"{pictures / seconds:.2f}",
            f"{fastest / seconds:.2f}" if fastest else "",
            f"{distance:.6f}",
            f"{abs(distance - like) / like:.1e}" if like else "",
            f"{memory:.0f}",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
