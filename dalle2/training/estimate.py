"""`--dry-run`: builds every stage of a recipe, takes a few steps of each on invented pictures, and tells the time."""

import itertools
import time

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table

from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.training.autoregressive_prior import AutoregressivePriorStage
from dalle2.training.clip import ClipStage, ClipTowers
from dalle2.training.decoder import DecoderStage
from dalle2.training.linear_prior import LinearPriorStage
from dalle2.training.prior import PriorStage
from dalle2.training.recipe import Fit, LinearPriorRecipe, Recipe
from dalle2.training.stage import TrainingStage
from dalle2.training.text import LexiconTargets, TextStage
from dalle2.training.tokenizer import train_tokenizer
from dalle2.training.upsampler import FirstUpsamplerStage, LastUpsamplerStage

_STEPS = 3
_PICTURES = 512
_CONCEPTS = 2000  # that a lexicon may mean


def estimate(recipe: Recipe, accelerator: Accelerator) -> None:
    """Print parameters, pictures a second and hours of each stage on this machine, without any data.

    The steps are real ones at the recipe's batch size, batches included, so memory that does not suffice shows here.
    On a GPU a run is somewhat faster: it makes the next batch meanwhile.
    """
    table = Table(title="Dry run on invented pictures")
    for column in ("stage", "parameters", "pictures/s", "steps", "hours"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    total, pictures = 0.0, _invented(max(recipe.upsampler.picture_size, recipe.clip.picture_size))
    pictures.move(accelerator.device)
    for stage, plan in invented_stages(recipe):
        seconds = _seconds_a_step(stage.to(accelerator.device), plan, pictures, recipe.seed, accelerator)
        share = plan.batch_size // accelerator.num_processes
        hours = plan.steps * seconds / 3600
        total += hours
        millions = sum(parameter.numel() for parameter in stage.trained().values()) / 1e6
        table.add_row(stage.name, f"{millions:.2f} M", f"{share / seconds:.1f}", f"{plan.steps:,}", f"{hours:.2f}")
    table.add_row("all", "", "", "", f"{total:.2f}")
    if accelerator.is_main_process:
        Console().print(table)


def rehearse(recipe: Recipe, stage: str, accelerator: Accelerator) -> None:
    """Run one step of a stage of the recipe, on invented pictures: what it compiles is then compiled.

    A network's code does not depend on its weights: the stage itself, made afterwards, finds the code.
    """
    found, plan = next((found, plan) for found, plan in invented_stages(recipe) if found.name == stage)
    found.to(accelerator.device).compiled()
    pictures = _invented(recipe.clip.picture_size)
    pictures.move(accelerator.device)
    _seconds_a_step(found, plan, pictures, recipe.seed, accelerator, steps=1)


def invented_stages(recipe: Recipe) -> list[tuple[TrainingStage, Fit | LinearPriorRecipe]]:
    """Return all stages of a recipe with fresh weights and invented words and statistics, each with its plan."""
    alphabet = ["".join(letters) for letters in itertools.product("abcdefghijklmnopqrstuvwxyz", repeat=2)]
    tokenizer = train_tokenizer(alphabet, recipe.clip.vocabulary, recipe.clip.context_length)
    towers = ClipTowers.build(recipe.clip, tokenizer)
    frozen = ClipTowers.build(recipe.clip, tokenizer).eval().requires_grad_(False)
    ones = torch.ones(recipe.clip.embedding_dim)
    small, upsampler = recipe.decoder.picture_size, recipe.upsampler
    first = FirstUpsamplerStage(upsampler, small)
    last = LastUpsamplerStage(upsampler, small, FirstUpsamplerStage(upsampler, small).network)
    priors: list[tuple[TrainingStage, Fit | LinearPriorRecipe]] = [
        (PriorStage(recipe.prior, frozen, 0 * ones, ones), recipe.prior)
    ]
    if recipe.prior_linear:
        priors.append((LinearPriorStage(recipe.prior_linear, frozen), recipe.prior_linear))
    if plan := recipe.prior_autoregressive:
        invented = torch.randn(2, 2 * max(plan.buckets, recipe.clip.embedding_dim), recipe.clip.embedding_dim)
        priors.append((AutoregressivePriorStage(plan, frozen, *invented), plan))
    texts: list[tuple[TrainingStage, Fit | LinearPriorRecipe]] = []
    if plan := recipe.text:
        means = F.normalize(torch.randn(_CONCEPTS, 2, recipe.clip.embedding_dim), dim=-1)
        row = torch.zeros(1, 1, dtype=torch.long)
        lessons = LexiconTargets(["a dry run"], ["noto"], means, row, row + 1.0) if plan.lexicon_texts else None
        texts.append((TextStage(plan, ClipTowers.build(recipe.clip, tokenizer), lessons), plan))
    return [
        (ClipStage(recipe.clip, towers), recipe.clip),
        *texts,
        *priors,
        (DecoderStage(recipe.decoder, frozen, ones), recipe.decoder),
        (first, upsampler),
        (last, upsampler.model_copy(update={"steps": upsampler.last_steps})),
    ]


def _invented(size: int) -> PicturesInMemory:
    noise = torch.randint(256, (_PICTURES, 4, size, size), dtype=torch.uint8)
    return PicturesInMemory([{}] * _PICTURES, noise, [["a dry run"]] * _PICTURES)


def _seconds_a_step(
    stage: TrainingStage,
    plan: Fit | LinearPriorRecipe,
    pictures: PicturesInMemory,
    seed: int,
    accelerator: Accelerator,
    steps: int = _STEPS,
) -> float:
    """Median seconds of a batch, its forward and backward pass, and its optimiser step."""
    share = plan.batch_size // accelerator.num_processes
    optimizer = torch.optim.AdamW(stage.trained().values(), fused=True)
    times = []
    for step in range(steps):
        start = time.perf_counter()
        randomness = Randomness(seed, stage.name, step, share, device=accelerator.device)
        batch = pictures.batch(randomness, stage.per_concept)
        with accelerator.autocast():
            losses = stage(batch, randomness)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]
