#!/usr/bin/env bash
# ray 2.60.0: a batch of `@serve.batch` that streams is computed to its end although all who asked for it have left.
#
# Ray Serve cancels a request whose caller cancels it: the caller's own generator in the replica gets CancelledError at
# once. One might expect that the batch's generator ends when nobody waits for any part of it. It is not told, and goes
# on with the replica's cores or GPU; who computes long batches has to look by themselves whether anybody is there.
#
# Seen: two callers stop after the first of twenty values, and both of their generators are cancelled; the batch still
# makes all twenty. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "ray[serve]==2.60.0"
cat >"$folder/leaving.py" <<'PYTHON'
import asyncio
import time

import ray
from ray import serve


@serve.deployment(max_ongoing_requests=10, ray_actor_options={"num_cpus": 1})
class Counter:
    def __init__(self) -> None:
        self.made = self.cancelled = 0

    async def count(self, number: int):
        try:
            async for value in self.together(number):
                yield value
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    @serve.batch(max_batch_size=2, batch_wait_timeout_s=5.0)
    async def together(self, numbers: list[int]):
        for _ in range(20):
            await asyncio.sleep(0.1)
            self.made += 1
            yield numbers

    async def told(self) -> tuple[int, int]:
        return self.cancelled, self.made


ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
try:
    handle = serve.run(Counter.bind(), route_prefix=None)
    streams = [handle.options(stream=True).count.remote(number) for number in range(2)]
    for stream in streams:
        next(stream)
    for stream in streams:
        stream.cancel()
    time.sleep(4)
    cancelled, made = handle.told.remote().result()
finally:
    serve.shutdown()
    ray.shutdown()
print(f"ray {ray.__version__}: {cancelled} of 2 callers cancelled, {made} of 20 values made")
assert (cancelled, made) == (2, 20)
PYTHON
HOME="$folder" RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" "$folder/leaving.py" 2>&1 | tail -n 3
