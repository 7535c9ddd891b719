"""python -m benchmarks.profile: where the time of a picture goes, by each engine, and how much of it has to be.

    python -m benchmarks.profile --checkpoint FOLDER            at diffusers' steps, and at the checkpoint's own
    python -m benchmarks.profile --settings own --pictures 8    a batch

The floating-point operations of convolutions and products of matrices are counted, and set beside the rates that torch
reaches here in a large one of each, in float32. Seconds by stage are of undisturbed pictures (medians); seconds by kind
of operation are those of the networks in the proportion that the engine's own profiler tells. Each engine has a
process of its own, and they run one after another.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.profile_kinds import CONVOLUTIONS, KINDS, PRODUCTS, kinds_of, watched
from benchmarks.text_to_image import OWN, PROMPT, SAME, diffusers_pipeline
from dalle2.model import generators

STAGES = {"prior": "prior", "decoder": "decoder", "super_res_first": "upsampler", "super_res_last": "upsampler"}
REST = "all else"
ENGINES = ("diffusers", "torch", "onnxruntime", "openvino")
SETTINGS = {"equal": SAME, "own": OWN}


@dataclass(frozen=True)
class Profile:
    """A picture's or a batch's time, in seconds.

    Attributes:
        seconds: by the clock, of all.
        processor: of all the processor's cores.
        stages: by the clock, of the networks of each stage, and of all else.
        kinds: shares of 1 of the networks' time, by kind of operation.
    """

    seconds: float
    processor: float
    stages: Mapping[str, float]
    kinds: Mapping[str, float]


Flop = Mapping[str, Mapping[str, float]]  # by stage, then by kind: CONVOLUTIONS or PRODUCTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the machine's rates, profile each engine, and print a table of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", help="folder in Karlo's layout; default: the embedded checkpoint")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeatable; default: all four")
    parser.add_argument("--settings", action="append", choices=SETTINGS, help="repeatable; default: both")
    parser.add_argument("--pictures", type=int, default=1, help="at a time (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="pictures or batches that are timed (default 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each; default: all cores")
    options = parser.parse_args(arguments)
    if min(options.pictures, options.rounds, options.threads) < 1:
        parser.error("--pictures, --rounds and --threads must be 1 or more.")
    rates = _alone(rates_of, options)
    told = ", ".join(f"{kind} {rate / 1e9:.0f} GFLOP/s" for kind, rate in rates.items())
    print(f"This machine in float32, {options.threads} threads: {told}.", flush=True)
    for name in options.settings or SETTINGS:
        flop = _alone(operations, options, SETTINGS[name])
        for engine in options.engine or ENGINES:
            if engine == "diffusers" and (name != "equal" or options.pictures > 1):
                continue  # it has neither our schedulers nor a seed for each picture
            profile = _alone(profiled, options, SETTINGS[name], engine)
            show(f"{engine}, {SETTINGS[name]}, {options.pictures} at a time", profile, flop, rates)


def show(title: str, profile: Profile, flop: Flop, rates: Mapping[str, float]) -> None:
    """Print a table, and what would be left if this machine did nothing but what was counted, at its rates."""
    least = sum(_least(of_stage, rates) for of_stage in flop.values())
    console = Console(width=110)
    console.print(_table(title, profile, flop, rates))
    console.print(
        f"At this machine's rates what was counted takes {least:.3f} s: {profile.seconds / least:.2f} times faster is "
        "the most that this processor could be, in float32 and without other arithmetic.\n"
    )


def _table(title: str, profile: Profile, flop: Flop, rates: Mapping[str, float]) -> Table:
    """Return a row a stage, then a row a kind of operation."""
    table = Table(title=f"{title}: {profile.seconds:.3f} s, {profile.processor:.3f} s of the processor")
    for column in ("", "seconds", "share", "GFLOP", "GFLOP/s", "of this machine's rate"):
        table.add_column(column, justify="right" if column else "left")

    def add(name: str, seconds: float, counted: Mapping[str, float]) -> None:
        cells = [f"{seconds:.3f}", f"{seconds / profile.seconds:.0%}"]
        if sum(counted.values()) and seconds:
            least = _least(counted, rates)
            cells += [f"{sum(counted.values()) / 1e9:.1f}", f"{sum(counted.values()) / seconds / 1e9:.0f}"]
            cells.append(f"{least / seconds:.0%}")
        table.add_row(name, *cells)

    for stage, seconds in profile.stages.items():
        add(stage, seconds, flop.get(stage, {}))
    table.add_section()
    networks = sum(seconds for stage, seconds in profile.stages.items() if stage != REST)
    for kind, share in profile.kinds.items():
        counted = sum(of_stage.get(kind, 0.0) for of_stage in flop.values())
        add(kind, share * networks, {kind: counted})
    return table


def _least(counted: Mapping[str, float], rates: Mapping[str, float]) -> float:
    return sum(flop / rates[kind] for kind, flop in counted.items())


def _alone(measure: Callable[..., Any], options: argparse.Namespace, *given: str) -> Any:
    """Return what a function measures in a fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, measure, options, *given))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError as error:
        raise SystemExit("A process was ended; why may stand above.") from error
    finally:
        process.join()


def _serve(pipe: Connection, measure: Callable[..., Any], options: argparse.Namespace, *given: str) -> None:
    torch.set_num_threads(options.threads)
    with torch.no_grad():
        pipe.send(measure(options, *given))


def rates_of(_: argparse.Namespace) -> dict[str, float]:
    """Return operations a second of a large product of matrices and of a large convolution, the best of some."""
    side, rows, channels, pixels = 1536, 4, 128, 64
    left, right = torch.randn(2, side, side)
    layer: Any = torch.nn.Conv2d(channels, channels, 3, padding=1)
    layer.to(memory_format=torch.channels_last)
    x = torch.randn(rows, channels, pixels, pixels).contiguous(memory_format=torch.channels_last)
    product = 2.0 * side**3 / _fastest(lambda: left @ right)
    convolution = 2.0 * rows * 9 * channels**2 * pixels**2 / _fastest(lambda: layer(x))
    return {CONVOLUTIONS: convolution, PRODUCTS: product}


def _fastest(call: Callable[[], object], times: int = 12) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return min(spent)


def operations(options: argparse.Namespace, settings: str) -> dict[str, dict[str, float]]:
    """Return the operations of a batch by stage and kind; torch says of each call what it takes."""
    from torch.utils.flop_counter import FlopCounterMode

    draw, networks = _drawer("torch", options, settings)
    found: dict[str, dict[str, float]] = {stage: {} for stage in STAGES.values()}
    with FlopCounterMode(display=False) as counter:
        counted = lambda: dict(counter.get_flop_counts().get("Global", {}))  # noqa: E731

        def add(stage: str, before: Mapping[Any, int]) -> None:
            for operator, flop in counted().items():
                kind = CONVOLUTIONS if "conv" in str(operator) else PRODUCTS
                found[stage][kind] = found[stage].get(kind, 0) + flop - before.get(operator, 0)

        with _hooked(networks, counted, add):
            draw(0)
    return found


def profiled(options: argparse.Namespace, settings: str, engine: str) -> Profile:
    """Return where the time of a batch goes; drawn undisturbed first, then once more under the engine's profiler."""
    draw, networks = _drawer(engine, options, settings)
    draw(0)
    rounds: list[tuple[float, float, dict[str, float]]] = []
    for number in range(options.rounds):
        stages = dict.fromkeys(STAGES.values(), 0.0)

        def add(stage: str, before: float, stages: dict[str, float] = stages) -> None:
            stages[stage] += time.perf_counter() - before

        with _hooked(networks, time.perf_counter, add):
            start, worked = time.perf_counter(), time.process_time()
            draw(1 + number)
            rounds.append((time.perf_counter() - start, time.process_time() - worked, stages))
    seconds, processor = (statistics.median(one[place] for one in rounds) for place in (0, 1))
    stages = {stage: statistics.median(one[2][stage] for one in rounds) for stage in rounds[0][2]}
    with watched(engine) as told:
        draw, _ = _drawer(engine, options, settings) if engine in ("onnxruntime", "openvino") else (draw, networks)
        draw(0)
    found = kinds_of(told)
    kinds = {kind: found.get(kind, 0.0) / sum(found.values()) for kind in KINDS}
    return Profile(seconds, processor, stages | {REST: seconds - sum(stages.values())}, kinds)


class _hooked:
    """While it lasts, `add(stage, what begin() gave before)` is called after each call of a network."""

    def __init__(self, networks: Mapping[str, Any], begin: Callable[[], Any], add: Callable[[str, Any], None]) -> None:
        self._networks, self._begin, self._add = networks, begin, add
        self._began: Any = None
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        def before(*_: object) -> None:
            self._began = self._begin()

        for name, network in self._networks.items():
            after = lambda *_, stage=STAGES[name]: self._add(stage, self._began)  # noqa: E731
            self._hooks += [network.register_forward_pre_hook(before), network.register_forward_hook(after)]

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


def _drawer(engine: str, options: argparse.Namespace, settings: str) -> tuple[Callable[[int], object], dict[str, Any]]:
    """Return what draws a batch from its first seed on, and the networks by name."""
    if engine == "diffusers":
        pipeline = diffusers_pipeline(options.checkpoint)
        networks = {name: getattr(pipeline, name) for name in STAGES}
        draw = lambda seed: pipeline(PROMPT, generator=torch.Generator().manual_seed(seed), output_type="np")  # noqa: E731
        return draw, networks
    from dalle2.families import EMBEDDED, load
    from dalle2.families.karlo.abilities import KARLO_SETTINGS

    model: Any = load(options.checkpoint or EMBEDDED, engine=engine)
    chosen = KARLO_SETTINGS if settings == SAME else model.settings
    prompts = [PROMPT] * options.pictures

    def draw(seed: int) -> object:
        noise = generators(range(seed, seed + options.pictures))
        drawn = model.decode_pixels(model.embed_prompt(prompts, noise, chosen), noise, prompts, chosen)
        assert model.engine == engine, f"{engine} could not draw"
        return drawn

    return draw, {name: getattr(model.parts, name) for name in STAGES}


if __name__ == "__main__":
    main()
