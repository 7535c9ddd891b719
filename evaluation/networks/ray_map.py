"""Work mapped over a Ray cluster by Ray Data: numbers go out, what workers make of them comes back as it is done.

What came back is written by the caller at once, so a run that was stopped goes on with the numbers that are missing.
Workers that are lost are replaced, and their numbers given to others.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

MISSING = 'Ray is not installed: pip install "open-dalle2[ray]", or leave out --ray.'


def require() -> None:
    """Raise ValueError where Ray is not installed."""
    if find_spec("ray") is None:
        raise ValueError(MISSING)


def received(state: Any) -> Any:
    """Return in a worker what `over_ray` sent to all of them."""
    import ray

    return ray.get(state)


def over_ray(
    numbers: Sequence[int], worker: type, state: object, address: str = "", gpus: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield what workers return for {"number": …}, in the order in which they are done.

    Each worker is made of `received(state)` on a core, and on so many GPUs, of the cluster at `address`; "" for the one
    that the environment names, else of this machine. ValueError with the sentence of a worker that could not go on.
    """
    require()
    if not numbers:
        return
    import ray
    import ray.data

    began = not ray.is_initialized()
    if began:
        ray.init(address=address or None, log_to_driver=False, logging_level="warning")
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        resources = ray.cluster_resources()
        room = int(resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1))
        if room < 1:
            raise ValueError("The cluster has no GPU: leave out --device cuda.")
        most = min(room, len(numbers))
        rows = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        done = rows.map(
            worker,
            fn_constructor_args=(ray.put(state),),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            num_cpus=1,
            num_gpus=gpus or None,
        )
        yield from done.iter_rows()
    except ray.exceptions.RayError as error:
        raise ValueError(_sentence(error)) from error
    finally:
        if began:
            ray.shutdown()


def _sentence(error: BaseException) -> str:
    """Return what a worker's own error says, however Ray wrapped it."""
    causes = [error]
    while following := getattr(causes[-1], "cause", None) or causes[-1].__cause__:
        if following in causes:
            break
        causes.append(following)
    own = next((one for one in causes if isinstance(one, ValueError | OSError)), causes[-1])
    return str(own).strip().split("\n")[-1]
