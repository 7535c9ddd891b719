#!/usr/bin/env bash
# diffusers 0.42.1: a scheduler made from Karlo's prior scheduler, as the documentation of Stable unCLIP makes it, has
# another noise schedule than the prior was trained with, and nothing says so.
#
# The file kakaobrain/karlo-v1-alpha/prior_scheduler/scheduler_config.json, written out below, names no beta_schedule:
# an UnCLIPScheduler's is the cosine unless told otherwise. `DDPMScheduler.from_config(unclip.config)` shows the cosine in
# the config it is given, yet takes its own default, linear: values that were never named are marked
# `_use_default_values` and left out. One might expect that the config which one sees is the config which is passed on.
#
# Seen: alpha-bar halfway through training 0.492 (UnCLIPScheduler, cosine) and 0.078 (DDPMScheduler, linear); with
# beta_schedule="squaredcos_cap_v2" named, 0.492 again. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 numpy
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

import diffusers
from diffusers import DDPMScheduler, UnCLIPScheduler

published = {
    "_class_name": "UnCLIPScheduler",
    "_diffusers_version": "0.10.0.dev0",
    "clip_sample": True,
    "clip_sample_range": 5.0,
    "num_train_timesteps": 1000,
    "prediction_type": "sample",
    "variance_type": "fixed_small_log",
}
folder = Path(sys.argv[1])
(folder / "scheduler_config.json").write_text(json.dumps(published))
unclip = UnCLIPScheduler.from_pretrained(folder)
ddpm = DDPMScheduler.from_config(unclip.config)
named = DDPMScheduler.from_config(unclip.config, beta_schedule="squaredcos_cap_v2")
rows = {"UnCLIPScheduler": unclip, "DDPMScheduler": ddpm, "DDPMScheduler, named": named}
print("diffusers", diffusers.__version__)
for name, one in rows.items():
    print(f"{name:22} {one.config.beta_schedule:18} alpha-bar at 500: {one.alphas_cumprod[500]:.3f}")
assert unclip.config.beta_schedule == "squaredcos_cap_v2"
assert ddpm.config.beta_schedule == "linear"
assert abs(unclip.alphas_cumprod[500] - ddpm.alphas_cumprod[500]) > 0.3
assert abs(unclip.alphas_cumprod[500] - named.alphas_cumprod[500]) < 1e-6
PYTHON
