#!/usr/bin/env bash
# huggingface_hub 2.4.0: a card whose `model-index` has two entries is read as one model, the last, with the results of both.
#
# The specification of a card calls `model-index` a list, each entry with a name and its results. One might expect that a
# reader keeps them apart, or refuses a second one. `ModelCard.load` keeps one name, that of the last entry, and puts all
# results under it, so that a card which is loaded and saved again gives one model the numbers of another.
#
# Seen: of entries A (FID 1) and B (FID 2) the card that is written again has B alone, with FID 1 and 2. Fails when that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "huggingface_hub==2.4.0"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import huggingface_hub
import yaml
from huggingface_hub import ModelCard


def entry(name: str, value: float) -> dict:
    result = {"task": {"type": "text-to-image"}, "dataset": {"type": "coco", "name": "COCO"}}
    return {"name": name, "results": [result | {"metrics": [{"type": "fid", "value": value}]}]}


front = yaml.safe_dump({"license": "mit", "model-index": [entry("A", 1.0), entry("B", 2.0)]})
index = ModelCard(f"---\n{front}---\n\n# Two\n").data.to_dict()["model-index"]
names = [one["name"] for one in index]
values = [metric["value"] for one in index for result in one["results"] for metric in result["metrics"]]
print(f"huggingface_hub {huggingface_hub.__version__}: names {names}, values {values}")
assert names == ["B"] and values == [1.0, 2.0]
PYTHON
