"""A checkpoint of Karlo's family -> pictures of prompts."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from dalle2_runner.networks import Text, Weights, enlarge, finite, layer_norm, linear, read_weights
from dalle2_runner.noise import Noise
from dalle2_runner.steps import Denoise, Schedule

Array = np.ndarray
OnStep = Callable[[str, int, int], None]


PAIRS = ("prior", "decoder")  # guided: a picture is two rows, one with its prompt and one without


class Turns:
    """The networks of an exported folder, of which the last that was asked for is in memory."""

    def __init__(self, folder: Path, description: Mapping[str, Any], threads: int) -> None:
        self.folder, self.graphs, self.threads = folder, description["networks"], threads
        self.kind = import_module(f"dalle2_runner.by_{description['record']['engine']}").Network
        self._name, self._network = "", None

    def __getitem__(self, name: str) -> Any:
        if name != self._name:
            self._name, self._network = name, None  # it goes before the next one comes
            self._network = self.read(name)
        return self._network

    def read(self, name: str) -> Any:
        """Return the network, ready to be computed."""
        graph, file = self.graphs[name], self.folder / f"{name}.safetensors"
        model, weights = (self.folder / graph["file"]).read_bytes(), read_weights(file)
        try:
            return self.kind(model, graph["weights"], weights, self.threads, usual_rows(name))
        except Exception as error:  # each engine has its own
            said = str(error).splitlines()[0]
            raise ValueError(f"{self.folder / graph['file']} and {file} cannot be opened: {said}") from error


def usual_rows(name: str) -> int:
    """Return how many rows a network is asked for where one picture is drawn."""
    return 2 if name in PAIRS else 1


class Drawer:
    """A checkpoint of Karlo's family, ready to draw from prompts.

    `description` is `draw.json` of an exported folder; `weights` has those of each part by name.
    """

    def __init__(self, description: Mapping[str, Any], tokenizer: str, weights: Mapping[str, Weights], networks: Any):
        self.description, self.weights, self.networks = description, weights, networks
        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer)
        except Exception as error:  # of no kind that has a name
            raise ValueError(f"The tokenizer is damaged: {error}") from error
        self._on_step: OnStep = lambda *_: None
        self.text = Text(description["text_encoder"], weights["text_encoder"])

    @classmethod
    def open(cls, folder: Path, threads: int = 0, low_memory: bool = False) -> "Drawer":
        """Open an exported folder; ValueError where it is none, or is damaged, and OSError where a file is missing.

        In `low_memory` each network is read when its turn comes, once more for each picture, and then let go.
        """
        if not (folder / "draw.json").is_file():
            raise ValueError(f"{folder} is no exported checkpoint: it lacks draw.json.")
        try:
            description = json.loads((folder / "draw.json").read_text(encoding="utf-8"))
            graphs, names = description["networks"], description["parts"]
            turns = Turns(folder, description, threads)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / 'draw.json'} is damaged: export the checkpoint again.") from error
        parts = {}
        for name in names:
            known = graphs[name]["weights"] if name in graphs else ()
            parts[name] = read_weights(folder / f"{name}.safetensors", known)
        networks = turns if low_memory else {name: turns.read(name) for name in graphs}
        return cls(description, (folder / "tokenizer.json").read_text(encoding="utf-8"), parts, networks)

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        settings: Mapping[str, Any] | None = None,
        on_step: OnStep = lambda *_: None,
    ) -> Array:
        """Return pixels (n, 3, size, size) in about -1..1 of each prompt and seed.

        `on_step(stage, number, of how many)` hears of each step.
        """
        self._on_step = on_step
        settings = settings or self.description["settings"]
        noise = [Noise(seed) for seed in seeds]
        embeddings = self._embed(prompts, noise, settings["prior"], settings.get("negative_prompt"))
        small = self._decode(embeddings, prompts, noise, settings["decoder"], settings.get("negative_prompt"))
        return self._upsample(small.clip(-1, 1), noise, settings["upsampler"])

    def _embed(self, prompts: Sequence[str], noise: Sequence[Noise], settings: Any, negative: str | None) -> Array:
        """Prompts -> image embeddings, of some candidates the one that is nearest to the text."""
        many, weights = settings.get("candidates", 1), self.weights["prior"]
        embeddings, tokens, mask = (np.repeat(rows, many, 0) for rows in self._read(prompts, settings, negative))
        conditions = {"proj_embedding": embeddings, "encoder_hidden_states": tokens, "attention_mask": mask}
        schedule = Schedule(self.description["prior_scheduler"], settings)
        denoise = self._guided("prior", conditions, settings, schedule)
        each = [generator for generator in noise for _ in range(many)]
        normed = schedule.sample(denoise, each, (embeddings.shape[1],), partial(self._on_step, "prior"))
        drawn = finite(normed * weights["clip_std"] + weights["clip_mean"], "prior").reshape(len(prompts), many, -1)
        texts = embeddings[-len(prompts) * many :: many]
        nearness = (drawn * texts[:, None]).sum(-1) / np.linalg.norm(drawn, axis=-1)
        return drawn[np.arange(len(prompts)), nearness.argmax(1)]

    def _decode(
        self, embeddings: Array, prompts: Sequence[str], noise: Sequence[Noise], settings: Any, negative: str | None
    ) -> Array:
        project, (size, count) = self.weights["text_proj"], self.description["decoder"]
        texts, tokens, mask = self._read(prompts, settings, negative)
        if len(texts) > len(embeddings):
            nothing = project["learned_classifier_free_guidance_embeddings"]
            embeddings = np.concatenate([np.broadcast_to(nothing, embeddings.shape), embeddings])
        added = linear(project, "embedding_proj", texts)
        added = added + linear(project, "clip_image_embeddings_project_to_time_embeddings", embeddings)
        added = finite(added, "text projection")
        extra = linear(project, "clip_extra_context_tokens_proj", embeddings)
        extra = extra.reshape(len(embeddings), -1, count).transpose(0, 2, 1)
        read = linear(project, "encoder_hidden_states_proj", tokens)
        read = layer_norm(project, "text_encoder_hidden_states_norm", read)
        seen = np.concatenate([np.ones((len(mask), count), bool), mask], axis=1)
        context = finite(np.concatenate([extra, read], axis=1), "text projection")
        conditions = {
            "encoder_hidden_states": context,
            "class_labels": finite(added, "text projection"),
            "attention_mask": seen,
        }
        schedule = Schedule(self.description["decoder_scheduler"], settings)
        denoise, on_step = self._guided("decoder", conditions, settings, schedule), partial(self._on_step, "decoder")
        return schedule.sample(denoise, noise, (3, size, size), on_step)

    def _upsample(self, small: Array, noise: Sequence[Noise], settings: Any) -> Array:
        size, schedule = self.description["size"], Schedule(self.description["super_res_scheduler"], settings, True)
        large = enlarge(small, size)

        def denoise(x: Array, t: int) -> Array:
            network = self.networks["super_res_first" if t > 0 else "super_res_last"]
            return finite(network(np.concatenate([x, large], axis=1), t), "upsampler")

        return schedule.sample(denoise, noise, (3, size, size), partial(self._on_step, "upsampler"))

    def _read(self, prompts: Sequence[str], settings: Any, negative: str | None) -> tuple[Array, Array, Array]:
        """Prompts -> text embeddings, tokens' states, and which tokens are text; guided, the negative ones first."""
        texts = [*([negative or ""] * len(prompts) if settings["guidance_scale"] != 1 else []), *prompts]
        start, end, pad, length = self.description["tokens"]
        different = list(dict.fromkeys(texts))  # pictures of one prompt need it read but once
        rows = [[start, *one.ids[: length - 2], end] for one in self.tokenizer.encode_batch(different)]
        mask = np.array([[place < len(row) for place in range(length)] for row in rows])
        states = self.text(np.array([row + [pad] * (length - len(row)) for row in rows]))
        embeddings = self.text.embed(states[np.arange(len(rows)), mask.sum(1) - 1])
        each = [different.index(text) for text in texts]
        return finite(embeddings, "text encoder")[each], finite(states, "text encoder")[each], mask[each]

    def _guided(self, name: str, conditions: Mapping[str, Array], settings: Any, schedule: Schedule) -> Denoise:
        """Return the network under classifier-free guidance; each condition is (2n, ...), or (n, ...) without."""
        scale = settings["guidance_scale"]
        inputs = {key: value if value.dtype == bool else value.astype(np.float32) for key, value in conditions.items()}

        def network(x: Array, t: int, **inputs: Array) -> Array:
            return finite(self.networks[name](x, t, **inputs), name)

        def denoise(x: Array, t: int) -> Array:
            if scale == 1:
                return network(x, t, **inputs)
            if t not in schedule.guided:
                return network(x, t, **{key: value[len(x) :] for key, value in inputs.items()})
            without, with_ = np.split(network(np.concatenate([x, x]), t, **inputs), 2)
            without, clean = without[:, : x.shape[1]], with_[:, : x.shape[1]]
            return np.concatenate([without + np.float32(scale) * (clean - without), with_[:, x.shape[1] :]], axis=1)

        return denoise
