"""A whole run: the stages of a recipe in order, then the checkpoint folder."""

import itertools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from diffusers import PriorTransformer, UNet2DConditionModel
from tqdm.auto import tqdm

from dalle2 import atomic
from dalle2.datasets.batch import WHITE, Batch, composite
from dalle2.datasets.captions import all_texts
from dalle2.datasets.lexicon import Lexicon
from dalle2.datasets.paraphrases import embed
from dalle2.datasets.phrases import NAME, Phrases
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.scenes import scene_texts
from dalle2.datasets.sources import NoSuchSplit, load_pictures
from dalle2.networks.autoregressive_prior import AutoregressivePrior
from dalle2.networks.text_projection import TextProjection
from dalle2.training import assembly, resuming
from dalle2.training.autoregressive_prior import AutoregressivePriorStage
from dalle2.training.batches import Pictures
from dalle2.training.clip import ClipStage, ClipTowers
from dalle2.training.decoder import DecoderStage
from dalle2.training.linear_prior import LinearPriorStage
from dalle2.training.loop import Run, fit
from dalle2.training.prior import PriorStage, embedding_statistics
from dalle2.training.recipe import Fit, Recipe
from dalle2.training.schedule import Schedule
from dalle2.training.stage import TrainingStage
from dalle2.training.text import LexiconTargets, TextStage
from dalle2.training.tokenizer import train_tokenizer
from dalle2.training.upsampler import FirstUpsamplerStage, LastUpsamplerStage, read_weights
from dalle2.training.words import widened

_STATISTICS_PICTURES = 20_000


class Training:
    """The stages of one recipe over one folder; each finished stage is a sub-folder named after it.

    Args:
        recipe: what to train. run: where, with which processes. schedule: of a run against the clock.
    """

    def __init__(self, recipe: Recipe, run: Run, schedule: Schedule | None = None) -> None:
        self.recipe, self.run, self.schedule = recipe, run, schedule
        self._pictures: dict[str, Pictures | None] = {}

    def train(self, stages: Iterable[str] | None = None) -> Path | None:
        """Train what is not finished; return the checkpoint's folder once all stages are.

        `stages` are some of the recipe's, all unless given; each needs the towers' folder. ValueError when the folder
        holds stages of another recipe or of other data.
        """
        resuming.check(self.run.folder, self.recipe)
        for name in self.recipe.stages:
            if (stages is None or name in stages) and not (self.run.folder / name).exists():
                self.train_stage(name)
        return self.checkpoint()

    def train_stage(self, name: str) -> None:
        """Train one stage, which needs the folders of those before it; ValueError as `train`."""
        self._begin(name)
        match name:
            case "clip":
                self._clip()
            case "text":
                self._text()
            case "prior":
                self._prior()
            case "prior_linear":
                self._prior_linear()
            case "prior_autoregressive":
                self._prior_autoregressive()
            case "decoder":
                self._decoder()
            case "upsampler":
                self._upsampler()
            case _:
                raise ValueError(f"There is no stage {name!r}.")

    def checkpoint(self) -> Path | None:
        """Return the checkpoint's folder, written unless it is there; None as long as a stage is not finished."""
        if not all((self.run.folder / name).exists() for name in self.recipe.stages):
            return None
        checkpoint = self.run.folder / "checkpoint"
        if self.run.accelerator.is_main_process:
            if not checkpoint.exists():
                atomic.remove_partials(self.run.folder, checkpoint.name)
                styles = getattr(self.training_pictures, "styles", [])
                assembly.assemble(self.run.folder, self.recipe, checkpoint, styles, self._phrases())
            assembly.add_priors(self.run.folder, self.recipe, checkpoint)
            self._add_phrases(checkpoint)
        self.run.accelerator.wait_for_everyone()
        return checkpoint

    def _begin(self, stage: str) -> None:
        """Nothing is trained before it is clear that it goes with what was trained before."""
        data = self.recipe.data
        splits = {"pictures": data.split, "held_out": data.held_out_split}
        fingerprints = {key: getattr(self.pictures(split), "fingerprint", "") for key, split in splits.items()}
        resuming.check(self.run.folder, self.recipe, fingerprints)
        self.run.accelerator.wait_for_everyone()
        if self.run.accelerator.is_main_process:
            resuming.keep(self.run.folder, stage, self.recipe, fingerprints)

    def pictures(self, split: str) -> Pictures | None:
        """Return a split at the largest size that any stage wants; None where the held-out split is missing."""
        data = self.recipe.data
        if split not in self._pictures:
            try:
                pictures = self._read(split)
                if isinstance(pictures, PicturesInMemory):  # a recipe refuses scenes of a stream
                    if data.scenes and split == data.split:
                        pictures.compose(data.scenes)
                    pictures.move(self.run.accelerator.device)
            except NoSuchSplit:
                if split == data.split:
                    raise
                if self.run.accelerator.is_main_process:
                    tqdm.write(f"{data.source} has no split {split!r}: nothing watches for overfitting.")
                pictures = None
            self._pictures[split] = pictures
        return self._pictures[split]

    @property
    def training_pictures(self) -> Pictures:
        """Return the split that trains; NoSuchSplit where it is missing."""
        pictures = self.pictures(self.recipe.data.split)
        assert pictures is not None, "`pictures` lets only the held-out split be missing"
        return pictures

    def _read(self, split: str) -> Pictures:
        data, shared = self.recipe.data, self.shared / split
        if self.schedule and shared.exists():
            return PicturesInMemory.read(shared)
        size = max(self.recipe.upsampler.picture_size, self.recipe.clip.picture_size)
        columns = (data.image_column, data.caption_column)
        pictures = load_pictures(data.source, split, size, columns, data.streaming, self.recipe.seed, data.subgroups)
        if data.lexicon and isinstance(pictures, PicturesInMemory):  # a recipe refuses a lexicon for a stream
            pictures.learn(self._lexicon())
        return pictures

    @property
    def shared(self) -> Path:
        """Return where the processes of a run against the clock find the pictures, once they are there."""
        return self.run.folder / "pictures"

    def share_pictures(self) -> None:
        """Decode the pictures for all processes of a run; those that wait for them see all of them or none."""
        shutil.rmtree(self.shared, ignore_errors=True)
        atomic.remove_partials(self.run.folder, self.shared.name)
        with atomic.folder(self.shared) as partial:
            for split in {self.recipe.data.split, self.recipe.data.held_out_split}:
                if isinstance(pictures := self.pictures(split), PicturesInMemory):
                    pictures.write(partial / split)

    def shrink_pictures(self, stage: str) -> None:
        """Shrink to the size that this stage looks at: a GPU then moves a sixteenth of the bytes in each step."""
        recipe = self.recipe
        sizes = {"upsampler": recipe.upsampler.picture_size, "decoder": recipe.decoder.picture_size}
        for split in (recipe.data.split, recipe.data.held_out_split):
            if isinstance(pictures := self.pictures(split), PicturesInMemory):
                pictures.resize(max(sizes.get(stage, 0), recipe.clip.picture_size))

    def _fit(self, stage: TrainingStage, plan: Fit, until: float | None) -> TrainingStage:
        held_out = self.pictures(self.recipe.data.held_out_split)
        return fit(stage, self.training_pictures, held_out, plan, self.run, until)

    def _until(self, stage: str, part: str | None = None) -> float | None:
        """When this stage has to be done, asked before anything of it is made; None where only steps count."""
        return None if self.schedule is None else self.schedule.until(stage, part)

    def _clip(self) -> None:
        plan, until = self.recipe.clip, self._until("clip")
        torch.manual_seed(self.recipe.seed)
        if plan.start_from:
            towers = ClipTowers.load(Path(plan.start_from)).requires_grad_(True)
        else:
            tokenizer = train_tokenizer(_texts(self.training_pictures), plan.vocabulary, plan.context_length)
            towers = ClipTowers.build(plan, tokenizer)
        self._finish("clip", [self._fit(ClipStage(plan, towers), plan, until)])

    def _text(self) -> None:
        until, plan, towers = self._until("text"), self.recipe.text, self._towers("clip")
        assert plan is not None, "only stages of the recipe are trained"
        if plan.start_from:
            start = ClipTowers.load(Path(plan.start_from))
            towers.text, towers.tokenizer = start.text.to(towers.mean.device), start.tokenizer
        if plan.vocabulary:
            told = itertools.chain(_texts(self.training_pictures), self._lexicon().texts)
            tokenizer = train_tokenizer(told, plan.vocabulary, towers.tokenizer.model_max_length)
            towers.text, towers.tokenizer = widened(towers, tokenizer, embed), tokenizer
        lessons = self._lessons(towers) if plan.lexicon_texts else None
        torch.manual_seed(self.recipe.seed)
        self._finish("text", [self._fit(TextStage(plan, towers, lessons), plan, until)])

    def _lessons(self, towers: ClipTowers) -> LexiconTargets:
        """Return what the lexicon teaches, about the training pictures as the picture tower sees them."""
        pictures = self.training_pictures
        assert isinstance(pictures, PicturesInMemory), "a recipe refuses a lexicon for a stream"
        whites = torch.tensor([WHITE] * len(pictures), device=pictures.rgba.device)
        batches = zip(pictures.rgba.split(256), whites.split(256), strict=True)
        device = self.run.accelerator.device
        with torch.no_grad():
            rows = [towers.embed_pictures(composite(*batch).to(device)).cpu() for batch in batches]
        return LexiconTargets.of(self._lexicon(), pictures, torch.cat(rows))

    def _lexicon(self) -> Lexicon:
        assert self.recipe.data.lexicon is not None, "a recipe refuses lessons without a lexicon"
        return Lexicon.read(Path(self.recipe.data.lexicon))

    def _prior(self) -> None:
        until, plan, towers = self._until("prior"), self.recipe.prior, self._towers()
        mean, std = embedding_statistics(torch.cat([self._embed(towers, batch) for batch in self._sample()]))
        torch.manual_seed(self.recipe.seed)
        stage = PriorStage(plan, towers, mean, std)
        if plan.start_from:
            start = PriorTransformer.from_pretrained(plan.start_from, subfolder="prior", dtype=torch.float32)
            kept = {"clip_mean": mean[None], "clip_std": std[None]}
            stage.network.load_state_dict(start.state_dict() | kept)
        self._finish("prior", [self._fit(stage, plan, until)])

    def _prior_linear(self) -> None:
        until, plan = self._until("prior_linear"), self.recipe.prior_linear
        assert plan is not None, "only stages of the recipe are trained"
        stage = LinearPriorStage(plan, self._towers())
        held_out = self.pictures(self.recipe.data.held_out_split)
        self._finish("prior_linear", [stage.fit(self.training_pictures, held_out, self.run, until)])

    def _prior_autoregressive(self) -> None:
        until, plan, towers = self._until("prior_autoregressive"), self.recipe.prior_autoregressive, self._towers()
        assert plan is not None, "only stages of the recipe are trained"
        with torch.no_grad():
            rows = [(self._embed(towers, batch), towers.embed_texts(batch.captions).cpu()) for batch in self._sample()]
        embeddings, texts = (torch.cat(parts) for parts in zip(*rows, strict=True))
        torch.manual_seed(self.recipe.seed)
        stage = AutoregressivePriorStage(plan, towers, embeddings, texts)
        if plan.start_from:
            start = AutoregressivePrior.from_pretrained(
                plan.start_from, subfolder="prior_autoregressive", dtype=torch.float32
            )
            # Buckets keep the meaning that the weights know.
            stage.network.load_state_dict(start.state_dict())
        self._finish("prior_autoregressive", [self._fit(stage, plan, until)])

    def _decoder(self) -> None:
        until, plan, towers = self._until("decoder"), self.recipe.decoder, self._towers()
        std = embedding_statistics(torch.cat([self._embed(towers, batch) for batch in self._sample()]))[1]
        torch.manual_seed(self.recipe.seed)
        stage = DecoderStage(plan, towers, std)
        if plan.start_from:
            for module, kind, part in (
                (stage.network, UNet2DConditionModel, "decoder"),
                (stage.text_projection, TextProjection, "text_proj"),
            ):
                start = kind.from_pretrained(plan.start_from, subfolder=part, torch_dtype=torch.float32)
                module.load_state_dict(start.state_dict())
        self._finish("decoder", [self._fit(stage, plan, until)])

    def _upsampler(self) -> None:
        plan, small = self.recipe.upsampler, self.recipe.decoder.picture_size
        middle, until = self._until("upsampler", "super_res_first"), self._until("upsampler")
        torch.manual_seed(self.recipe.seed)
        first = FirstUpsamplerStage(plan, small)
        if plan.start_from:
            first.network.load_state_dict(read_weights(plan.start_from, "super_res_first"))
        first = self._fit(first, plan, middle)
        last = LastUpsamplerStage(plan, small, first.network)
        if plan.start_from:
            last.network.load_state_dict(read_weights(plan.start_from, "super_res_last"))
        last = self._fit(last, plan.model_copy(update={"steps": plan.last_steps}), until)
        first.network.requires_grad_(True)
        self._finish("upsampler", [first, last])

    def _add_phrases(self, checkpoint: Path) -> None:
        """Put the words of the captions into a checkpoint that was made before this was done."""
        if not (checkpoint / NAME).exists() and (phrases := self._phrases()):
            phrases.write(checkpoint)

    def _phrases(self) -> Phrases | None:
        """Return the words of the captions, of held-out concepts too; None where they are no emoji set's."""
        data, records = self.recipe.data, []
        for split in (data.split, data.held_out_split):
            pictures = self.pictures(split)
            if isinstance(pictures, PicturesInMemory) and pictures.image_captions is None:
                records += pictures.records
        return Phrases.of(records) if records else None

    def _towers(self, stage: str | None = None) -> ClipTowers:
        """Open the towers of this stage; unless given, of the last one that trains them."""
        stage = stage or ("text" if self.recipe.text else "clip")
        folder = self.run.folder / stage
        if not folder.exists():
            raise ValueError(f"{folder} does not exist: train the {stage} stage first.")
        return ClipTowers.load(folder).to(self.run.accelerator.device)

    def _sample(self) -> Iterator[Batch]:
        """Training pictures, with their captions' backgrounds, from which statistics are taken."""
        pictures, size = self.training_pictures, 256
        count = len(pictures) if isinstance(pictures, PicturesInMemory) else _STATISTICS_PICTURES
        steps = max(1, min(count, _STATISTICS_PICTURES) // size)
        for step in range(steps):  # each process takes the same
            yield pictures.batch(Randomness(self.recipe.seed, "statistics", step, size))

    @torch.no_grad()
    def _embed(self, towers: ClipTowers, batch: Batch) -> torch.Tensor:
        return towers.embed_pictures(batch.pictures.to(self.run.accelerator.device)).float().cpu()

    def _finish(self, name: str, stages: list[TrainingStage]) -> None:
        """Write a stage's folder, whole or not at all, then drop its snapshots."""
        accelerator, final = self.run.accelerator, self.run.folder / name
        if accelerator.is_main_process:
            atomic.remove_partials(self.run.folder, name)
            try:
                with atomic.folder(final) as partial:
                    for stage in stages:
                        stage.save(partial)
            except Exception as error:  # the libraries that write have exceptions of their own
                raise OSError(f"{final} could not be written (is the disk full?): {error}") from error
            for stage in stages:
                resuming.drop_snapshot(self.run.folder / "snapshots" / f"{stage.name}.pt")
        accelerator.wait_for_everyone()


def _texts(pictures: Pictures) -> Iterable[str]:
    """Return what the tokenizer learns from."""
    if not isinstance(pictures, PicturesInMemory):
        raise ValueError("A streamed source cannot train a tokenizer: start the clip stage from a checkpoint.")
    if pictures.image_captions is not None:
        return (caption for captions in pictures.image_captions for caption in captions)
    return itertools.chain(all_texts(pictures.records), scene_texts() if pictures.scenes else ())
