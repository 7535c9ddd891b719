"""Prompt sets: which captions of a source are drawn, by a fixed seed, and the checksum by which lists are compared."""

import dataclasses
import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.prompts import SAMPLINGS, Sampling
from evaluation.prompts.protocol import protocol_named
from evaluation.prompts.sources import Prompt, read_source, settle_references


@dataclass(frozen=True)
class PromptSet:
    """Prompts in the order in which they are drawn, how they were sampled, as plain values, and what is to be said."""

    name: str
    prompts: tuple[Prompt, ...]
    sampling: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Return the hash of ids and captions in order, hexadecimal: the same wherever the pictures lie."""
        digest = hashlib.sha256()
        for prompt in self.prompts:
            digest.update(json.dumps([prompt.id, prompt.caption]).encode() + b"\n")
        return digest.hexdigest()

    def repeated(self, times: int) -> "PromptSet":
        """Return every prompt `times` times in a row, as for the diversity of its pictures; ValueError below 1."""
        if times < 1:
            raise ValueError(f"Each prompt is drawn at least once, not {times} times.")
        if times == 1:
            return self
        prompts = tuple(prompt for prompt in self.prompts for _ in range(times))
        return dataclasses.replace(self, prompts=prompts, sampling={**self.sampling, "pictures_per_prompt": times})


def read_prompts(source: str, num: int | None = None, seed: int = 0, sampling: Sampling = "captions") -> PromptSet:
    """Read all prompts of a source, or `num` of them: see `sources.read_source` and `SAMPLINGS`.

    The sample is a function of the seed and the ids alone, and a smaller one is the beginning of a larger one.
    ValueError when the source is malformed or has too few prompts.
    """
    if num is not None and num < 1:
        raise ValueError(f"--num must be 1 or more, not {num}.")
    name, found, notes = read_source(source)
    if not found:
        raise ValueError(f"{source} has no prompts.")
    if repeated := next((id for id, count in Counter(prompt.id for prompt in found).items() if count > 1), None):
        raise ValueError(f"{source} has two prompts with the id {repeated!r}: name a column of distinct ids, or none.")
    chosen = found if sampling == "captions" else _one_a_picture(found, seed, source)
    if num is not None and num > len(chosen):
        raise ValueError(f"{source} has {len(chosen):,} {sampling} to draw from, not {num:,}: lower --num.")
    if num is not None:
        chosen = heapq.nsmallest(num, chosen, key=lambda prompt: _lot(seed, sampling, prompt))
    chosen, note = settle_references(chosen)
    facts = {"of": sampling, "meaning": SAMPLINGS[sampling], "seed": seed, "captions_in_source": len(found)}
    return PromptSet(name, tuple(chosen), facts, (*notes, *filter(None, (note,))))


def read_chosen(source: str, num: int | None, seed: int, sampling: Sampling, protocol: str | None) -> PromptSet:
    """Read as `read_prompts`, with the number and seed of a protocol, if any; ValueError for others beside it."""
    if protocol is None:
        return read_prompts(source, num, seed, sampling)
    fixed = protocol_named(protocol).pictures
    if num not in (None, fixed) or seed != 0:
        raise ValueError(f"{protocol} fixes {fixed:,} prompts of seed 0: leave out --num and --sampling-seed.")
    prompts = read_prompts(source, fixed, 0, sampling)
    return dataclasses.replace(prompts, sampling={**prompts.sampling, "protocol": protocol})


def _one_a_picture(prompts: list[Prompt], seed: int, source: str) -> list[Prompt]:
    """One prompt of each picture, in the order of the pictures."""
    by_picture: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        if not (prompt.picture or prompt.row):
            raise ValueError(
                f"{source} does not say which picture the prompt {prompt.id!r} describes: use --sampling captions, or "
                "name a column of pictures."
            )
        by_picture.setdefault(prompt.picture or prompt.row, []).append(prompt)
    return [min(captions, key=lambda prompt: _lot(seed, "captions", prompt)) for captions in by_picture.values()]


def _lot(seed: int, sampling: Sampling, prompt: Prompt) -> bytes:
    """Return what decides who is drawn. By checksum, since the streams of random generators change with versions."""
    name = (prompt.picture or prompt.row) if sampling == "pictures" else prompt.id
    return hashlib.sha256(f"{seed} {sampling} {name}".encode(errors="surrogatepass")).digest()
