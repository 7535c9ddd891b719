"""Prompts: where they are read from, which are drawn, and whose picture is whose."""

from typing import Literal

KINDS = (
    "coco:FOLDER, karpathy:FILE.json[:SPLIT], hub:ID[:SPLIT], emoji[:PICTURES], "
    "a .csv, .tsv, .jsonl, .json or .parquet list, a .txt file with a prompt a line, or a folder of pictures"
)
# "COCO-30k" has been published in both meanings, and the first gives the better FID.
SAMPLINGS = {
    "pictures": "one caption for each of N pictures",
    "captions": "N captions of all, so that pictures may be described twice",
}

Sampling = Literal["pictures", "captions"]
