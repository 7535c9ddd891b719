#!/usr/bin/env bash
# ray 2.60.0: `ray.init()` without any options turns token authentication on and writes a token into the home folder.
#
# For years a Ray cluster trusted whoever reached its ports, and authentication had to be asked for. One might expect that
# a program which only calls `ray.init()`, starts nothing else and sets no variable has no token, and leaves none behind.
#
# Seen: before, RAY_AUTH_MODE is not set and ~/.ray/auth_token does not exist; after, the process has
# RAY_AUTH_MODE=token and the file holds 64 characters. With RAY_AUTH_MODE=disabled no file appears. Fails when
# that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "ray==2.60.0"
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH
cat >"$folder/begin.py" <<'PYTHON'
import os
from pathlib import Path

import ray

token = Path.home() / ".ray" / "auth_token"
assert not token.exists()
ray.init(num_cpus=1, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
ray.shutdown()
there = token.exists()
shape = f"{len(token.read_text())} characters" if there else "not there"
print(f"ray {ray.__version__}: RAY_AUTH_MODE={os.environ.get('RAY_AUTH_MODE')}, ~/.ray/auth_token: {shape}")
raise SystemExit(0 if there == (os.environ.get("RAY_AUTH_MODE") == "token") == (os.environ["EXPECTED"] == "token") else 1)
PYTHON
export RAY_USAGE_STATS_ENABLED=0
mkdir "$folder/first" "$folder/second"
HOME="$folder/first" EXPECTED=token "$folder/venv/bin/python" "$folder/begin.py"
HOME="$folder/second" EXPECTED=none RAY_AUTH_MODE=disabled "$folder/venv/bin/python" "$folder/begin.py"
