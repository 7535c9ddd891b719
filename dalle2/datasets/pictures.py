"""Captioned pictures held in memory as training batches: the emoji set, or another source with captions."""

import copy
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from dalle2.datasets.batch import WHITE, Batch, BatchPlan, composite, pack
from dalle2.datasets.captions import draw_caption
from dalle2.datasets.lexicon import Lexicon
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.scenes import Scene, caption, countable, draw_scene, paint

_ROWS = 256  # at a time
_MEMORY_SHARE = 0.25  # of what is free on a device, that a set may take


class PicturesInMemory:
    """A split held in memory as one uint8 tensor, its captions drawn afresh each time.

    Args:
        records: rows without their pictures. pictures: uint8 (n, 4, size, size), straight alpha.
        image_captions: the captions of a source that the emoji builder did not write, one list a picture.
        fingerprint: of what was read, wherever it lay; "" where it is not known.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        pictures: torch.Tensor,
        image_captions: list[list[str]] | None,
        fingerprint: str = "",
    ) -> None:
        self.fingerprint = fingerprint
        self.records, self.rgba, self.image_captions = records, pictures, image_captions
        concepts = [row["concept"] if image_captions is None else index for index, row in enumerate(records)]
        styles = [row["style"] if image_captions is None else "" for row in records]
        self.styles = sorted(set(styles))
        numbers = {concept: number for number, concept in enumerate(dict.fromkeys(concepts))}
        self.concepts = [numbers[concept] for concept in concepts]
        self.style_numbers = [self.styles.index(style) for style in styles]
        self.members = [[] for _ in numbers]
        for index, concept in enumerate(concepts):
            self.members[numbers[concept]].append(index)
        self.scenes = 0.0
        self.partners: dict[int, list[int]] = {}

    def compose(self, share: float) -> None:
        """Turn this share of the pictures of countable things into scenes with others of their style, from now on.

        Raises:
            ValueError: the source is no emoji set, or holds nothing that can be counted.
        """
        if share and self.image_captions is not None:
            raise ValueError("Scenes are composed of the emoji set only: set scenes to 0 for another source.")
        things = [index for index, row in enumerate(self.records) if share and countable(row)]
        if share and not things:
            raise ValueError("Nothing in this source can be counted: set scenes to 0.")
        self.partners = {}
        for index in things:
            self.partners.setdefault(self.style_numbers[index], []).append(index)
        self.scenes = share

    def learn(self, lexicon: Lexicon) -> None:
        """Let captions say the lexicon's texts of their concept too, as paraphrases, from now on.

        Raises:
            ValueError: the source is no emoji set.
        """
        if self.image_captions is not None:
            raise ValueError("A lexicon is of the emoji set's concepts only: leave it out for another source.")
        said = lexicon.said_of()
        self.records = [
            {
                **row,
                "paraphrases": list(dict.fromkeys([*(row.get("paraphrases") or ()), *said.get(row["concept"], ())])),
            }
            for row in self.records
        ]

    def __len__(self) -> int:
        return len(self.records)

    def resize(self, size: int) -> None:
        """Shrink all pictures to `size` pixels a side, by area averaging; colours weigh as much as they cover."""
        if size < self.rgba.shape[-1]:
            self.rgba = torch.cat([_smaller(rows, size) for rows in self.rgba.split(_ROWS)])

    def write(self, folder: Path) -> None:
        """Write the pictures for `read`, which decodes nothing, and shares the memory of other processes."""
        folder.mkdir(parents=True)
        np.save(folder / "rgba.npy", self.rgba.cpu().numpy())
        words = {"records": self.records, "image_captions": self.image_captions, "fingerprint": self.fingerprint}
        (folder / "words.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "PicturesInMemory":
        """Read what `write` wrote."""
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        pictures = torch.from_numpy(np.load(folder / "rgba.npy", mmap_mode="c"))
        return cls(words["records"], pictures, words["image_captions"], words["fingerprint"])

    def move(self, device: torch.device) -> None:
        """Move the pictures to the device that trains, if it has room: batch by batch costs more than the training."""
        if device.type == "cuda" and self.rgba.nbytes < _MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.rgba = self.rgba.to(device)

    def batch(self, randomness: Randomness, per_concept: int = 1) -> Batch:
        """Return a step's batch: consecutive pictures of a shuffled epoch, or `per_concept` of each drawn concept."""
        return self.render(self.draw(randomness, per_concept))

    def draw(self, randomness: Randomness, per_concept: int = 1) -> BatchPlan:
        """Draw what `batch` shows, without its pixels."""
        indices = self._grouped(randomness, per_concept) if per_concept > 1 else self._shuffled(randomness)
        draws = [randomness.text(slot) for slot in range(randomness.batch_size)]
        scenes = self._scenes(indices, draws)
        slots = randomness.slots
        return self._plan(indices[slots], draws[slots], scenes[slots])

    def words(self) -> "PicturesInMemory":
        """Return the same without pictures, for another process to `draw` from."""
        others = copy.copy(self)
        others.rgba = self.rgba.new_empty(0, *self.rgba.shape[1:], device="cpu")
        return others

    def captioned(
        self, indices: Sequence[int], draws: Sequence[random.Random], scenes: Sequence[Scene | None]
    ) -> Batch:
        """Return the pictures of these rows, each on the background and with the caption that its own draw decides.

        Args:
            scenes: what a row shows in place of its picture, None for the picture.
        """
        return self.render(self._plan(indices, draws, scenes))

    def render(self, drawn: BatchPlan) -> Batch:
        """Return the batch in pixels, made where the pictures are."""
        device = self.rgba.device
        rgba = self.rgba[torch.tensor(drawn.indices).to(device, non_blocking=True)]
        for slot, scene in enumerate(drawn.scenes):
            if scene is not None:
                rgba[slot] = paint(scene, self.rgba)
        grounds = torch.tensor(drawn.grounds).to(device, non_blocking=True)
        return Batch(composite(rgba, grounds), drawn.captions, torch.tensor(drawn.facts))

    def _plan(
        self, indices: Sequence[int], draws: Sequence[random.Random], scenes: Sequence[Scene | None]
    ) -> BatchPlan:
        captions, facts, grounds = [], [], []
        for index, draw, scene in zip(indices, draws, scenes, strict=True):
            concept, style = self.concepts[index], self.style_numbers[index]
            if self.image_captions is not None:
                captions.append(draw.choice(self.image_captions[index]))
                grounds.append(WHITE)
                facts.append((concept, style, pack(WHITE), -1, -1))
                continue
            if scene is not None:
                concept = self._number(scene)
            said = draw_caption(self.records[index], draw) if scene is None else caption(scene, self.records, draw)
            ground = said.background or WHITE
            captions.append(said.text)
            grounds.append(ground)
            named_ground = -1 if said.background is None else pack(ground)
            facts.append((concept, style, pack(ground), style if said.style_named else -1, named_ground))
        return BatchPlan(list(indices), list(scenes), grounds, captions, facts)

    def _scenes(self, indices: Sequence[int], draws: Sequence[random.Random]) -> list[Scene | None]:
        """Return the global batch's scenes. Two things meet in one arrangement: "a cat and a dog" is true of any."""
        scenes: list[Scene | None] = [None] * len(indices)
        if not self.scenes:
            return scenes
        met: dict[tuple[int, ...], int] = {}
        for slot, (index, draw) in enumerate(zip(indices, draws, strict=True)):
            things = self.partners.get(self.style_numbers[index], [])
            if not countable(self.records[index]) or draw.random() >= self.scenes:
                continue
            others = [other for other in things if self.concepts[other] != self.concepts[index]]
            scene = draw_scene(index, others, draw)
            number = self._number(scene)
            pair = tuple(sorted({self.concepts[thing] for thing in scene.things}))
            if len(pair) == 1 or met.setdefault(pair, number) == number:
                scenes[slot] = scene
        return scenes

    def _number(self, scene: Scene) -> int:
        return scene.number([self.concepts[thing] for thing in scene.things], len(self.members))

    def _shuffled(self, randomness: Randomness) -> list[int]:
        first = randomness.step * randomness.batch_size
        indices = []
        while len(indices) < randomness.batch_size:
            epoch, offset = divmod(first + len(indices), len(self))
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(randomness.seed + epoch))
            indices += order[offset : offset + randomness.batch_size - len(indices)].tolist()
        return indices

    def _grouped(self, randomness: Randomness, per_concept: int) -> list[int]:
        """Half of the concepts at random, half as runs of neighbours, which are the hard negatives."""
        draw = randomness.text(-1)
        wanted = randomness.batch_size // per_concept
        concepts: list[int] = []
        while len(concepts) < wanted // 2:
            start = draw.randrange(len(self.members))
            concepts += [(start + step) % len(self.members) for step in range(8)]
        concepts = list(dict.fromkeys(concepts))[:wanted]
        taken = set(concepts)
        rest = [concept for concept in range(len(self.members)) if concept not in taken]
        concepts += draw.sample(rest, min(wanted - len(concepts), len(rest)))
        while len(concepts) < wanted:
            concepts.append(draw.randrange(len(self.members)))
        chosen = []
        for concept in concepts:
            members = self.members[concept]
            chosen += (
                draw.sample(members, per_concept)
                if len(members) >= per_concept
                else draw.choices(members, k=per_concept)
            )
        return chosen


def _smaller(rgba: torch.Tensor, size: int) -> torch.Tensor:
    small = rgba.float()
    small[:, :3] *= small[:, 3:] / 255
    small = F.interpolate(small, (size, size), mode="area")
    small[:, :3] *= 255 / small[:, 3:].clamp(min=1)
    return small.round().clamp(0, 255).byte()
