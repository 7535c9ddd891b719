#!/usr/bin/env bash
# ray 2.60.0: a function decorated with `@serve.batch` cannot be called outside of a replica, so that it has no unit test.
#
# The documentation says that "the function can be a standalone function or a class method", and it needs nothing but an
# event loop to collect calls. One might expect to await it in a test, as a coroutine. The batch's queue asks for the
# replica's context when it is made, only to warn where max_batch_size is above max_ongoing_requests.
#
# Seen: RayServeException, "`serve.get_replica_context()` may only be called from within a Ray Serve deployment.". Fails
# when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "ray[serve]==2.60.0"
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import ray
from ray import serve
from ray.serve.exceptions import RayServeException


@serve.batch(max_batch_size=4, batch_wait_timeout_s=0.01)
async def doubled(numbers: list[int]) -> list[int]:
    return [2 * number for number in numbers]


async def three() -> list[int]:
    return await asyncio.gather(*(doubled(number) for number in range(3)))


print("ray", ray.__version__)
try:
    print("returned", asyncio.run(three()))
except RayServeException as error:
    print(type(error).__name__, error)
    assert "get_replica_context" in str(error)
else:
    raise SystemExit("It can be called now.")
PYTHON
