"""The autoregressive and the linear prior: their maths, their training, and how a checkpoint chooses one."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from test_training import RECIPE, source  # noqa: F401, a fixture
from tiny_priors import (
    BUCKETS,
    COMPONENTS,
    DIM,
    DOTS,
    TRAINED,
    autoregressive,
    embeddings,
    linear,
    numbers,
    texts,
    with_prior,
)

from dalle2 import images
from dalle2.__main__ import main
from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.families import load
from dalle2.families.karlo import layout
from dalle2.families.karlo.load import save
from dalle2.model import UnclipModel
from dalle2.networks.autoregressive_prior import AutoregressivePrior, Codebook, draw
from dalle2.networks.linear_prior import LinearPrior, features
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import Settings, Step
from dalle2.stage_settings import DecoderSettings, PriorSettings
from dalle2.training.autoregressive_prior import fit_codebook, inner_edges
from dalle2.training.clip import ClipTowers
from dalle2.training.linear_prior import LinearPriorStage, NormalEquations
from dalle2.training.loop import Run
from dalle2.training.recipe import LinearPriorRecipe, Recipe, read_recipe
from dalle2.training.run import Training
from evaluation import compare, generation
from evaluation import prior as prior_quality
from evaluation.drawing import turns

# Codes


def test_components_fall_and_all_of_them_bring_an_embedding_back() -> None:
    rows = embeddings()
    codebook = Codebook(DIM, DIM, BUCKETS)
    fit_codebook(codebook, rows)
    coordinates = codebook.project(rows)
    torch.testing.assert_close(coordinates @ codebook.axes + codebook.mean, rows, rtol=0, atol=1e-4)
    spread = coordinates.var(0, correction=0)
    assert spread.tolist() == sorted(spread.tolist(), reverse=True)
    expected = np.linalg.eigvalsh(np.cov(rows.numpy().T, bias=True))[::-1]
    np.testing.assert_allclose(spread.numpy(), expected, rtol=1e-3)


def test_what_few_components_lose_is_the_rest_of_the_variance() -> None:
    rows = embeddings()
    codebook = Codebook(DIM, COMPONENTS, BUCKETS)
    fit_codebook(codebook, rows)
    back = codebook.project(rows) @ codebook.axes + codebook.mean
    lost = ((rows - back) ** 2).sum(1).mean()
    assert float(lost) == pytest.approx(
        np.linalg.eigvalsh(np.cov(rows.numpy().T, bias=True))[:-COMPONENTS].sum(), rel=1e-3
    )


def test_buckets_are_equally_full_and_stand_for_their_mean() -> None:
    rows = embeddings()
    codebook = Codebook(DIM, COMPONENTS, BUCKETS)
    fit_codebook(codebook, rows)
    codes, coordinates = codebook.encode(rows), codebook.project(rows)
    for component in range(COMPONENTS):
        assert codes[:, component].bincount(minlength=BUCKETS).tolist() == [len(rows) // BUCKETS] * BUCKETS
        inside = coordinates[codes[:, component] == 3, component]
        assert float(codebook.centres[component, 3]) == pytest.approx(float(inside.mean()), abs=1e-5)
    decoded = codebook.decode(codes)
    assert torch.equal(codebook.encode(decoded), codes)
    # Between two edges the error is at most what lies between them.
    edges = codebook.edges
    error = (codebook.project(decoded) - coordinates).abs()
    for component in range(COMPONENTS):
        inner = (codes[:, component] > 0) & (codes[:, component] < BUCKETS - 1)
        chosen = codes[inner, component]
        width = edges[component, chosen] - edges[component, chosen - 1]
        assert (error[inner, component] <= width + 1e-5).all()


def test_equal_values_leave_buckets_empty_but_harmless() -> None:
    codebook = Codebook(4, 2, 8)
    fit_codebook(codebook, torch.ones(20, 4))
    assert codebook.centres.isfinite().all()
    torch.testing.assert_close(codebook.decode(codebook.encode(torch.ones(2, 4))), torch.ones(2, 4))
    with pytest.raises(ValueError, match="7 pictures are too few"):
        fit_codebook(codebook, torch.ones(7, 4))


def test_dot_products_fill_their_buckets_equally() -> None:
    prior, pictures, captions = autoregressive(), embeddings(), numbers(400, DIM, seed=9)
    cosines = torch.cosine_similarity(pictures, captions)
    prior.dot_edges.copy_(inner_edges(cosines, DOTS))
    codes = prior.dot_codes(pictures, captions)
    assert codes.bincount().tolist() == [100] * DOTS
    assert cosines[codes >= DOTS // 2].min() >= cosines.median()


def test_a_draw_follows_the_chances() -> None:
    chances = torch.tensor([0.1, 0.0, 0.6, 0.3])
    uniforms = (torch.arange(1000) + 0.5) / 1000
    drawn = draw(chances.log().expand(1000, -1), uniforms)
    assert drawn.bincount(minlength=4).tolist() == [100, 0, 600, 300]
    edges = draw(chances.flip(0).log().expand(2, -1), torch.tensor([0.0, 1 - 2**-24]))
    assert edges.tolist() == [0, 3]


# The causal transformer


def test_a_later_code_changes_no_earlier_logits() -> None:
    prior, text = autoregressive(), texts(2)
    dots = torch.tensor([2, 3])
    codes = torch.randint(BUCKETS, (2, COMPONENTS - 1), generator=torch.Generator().manual_seed(0))
    changed = codes.clone()
    changed[:, 2] = (changed[:, 2] + 1) % BUCKETS
    with torch.no_grad():
        before, after = prior(text, dots, codes), prior(text, dots, changed)
        other_dot = prior(text, dots - 1, codes)
    assert before.shape == (2, COMPONENTS, BUCKETS)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-5)
    assert ((before[:, 3:] - after[:, 3:]).abs().amax((0, 2)) > 1e-3).all()
    assert (before[:, 0] - other_dot[:, 0]).abs().max() > 1e-3


def test_padding_is_not_read_and_text_is() -> None:
    prior, (text, states, mask) = autoregressive(), texts(2)
    dots, codes = torch.tensor([2, 3]), torch.zeros(2, COMPONENTS - 1, dtype=torch.long)
    noise = numbers(*states.shape, seed=11)
    with torch.no_grad():
        plain = prior(EncodedText(text, states, mask), dots, codes)
        padded = prior(EncodedText(text, torch.where(mask[..., None], states, noise), mask), dots, codes)
        read = prior(EncodedText(text, torch.where(mask[..., None], noise, states), mask), dots, codes)
        other = prior(EncodedText(-text, states, mask), dots, codes)
    torch.testing.assert_close(plain, padded, rtol=0, atol=1e-5)
    for changed in (read, other):
        assert (plain - changed).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_cached_codes_are_those_of_the_whole_sequence(scale: float) -> None:
    prior, (text, states, mask) = autoregressive(), texts(6)
    both = EncodedText(text, states, mask) if scale != 1 else EncodedText(text[3:], states[3:], mask[3:])
    uniforms = torch.rand(3, 1 + COMPONENTS, generator=torch.Generator().manual_seed(3))
    uniforms[:, 0] = torch.tensor([0.0, 0.49, 0.99])
    heard: list[tuple[int, int]] = []
    drawn = prior.sample(both, uniforms, scale, range(2, 5), lambda *step: heard.append(step))
    assert heard == [(index, COMPONENTS) for index in range(1, COMPONENTS + 1)]
    dots = torch.tensor([2, 2, 3])  # the upper half of four buckets
    codes = torch.zeros(3, 0, dtype=torch.long)
    with torch.no_grad():
        for index in range(COMPONENTS):
            conditional = prior(EncodedText(text[3:], states[3:], mask[3:]), dots, codes)[:, -1]
            if scale != 1 and 2 <= index < 5:
                unconditional = prior(EncodedText(text[:3], states[:3], mask[:3]), dots, codes)[:, -1]
                conditional = unconditional + scale * (conditional - unconditional)
            codes = torch.cat([codes, draw(conditional, uniforms[:, index + 1])[:, None]], dim=1)
    assert torch.equal(drawn, codes)
    assert len({tuple(row) for row in drawn.tolist()}) > 1


def test_guidance_of_nothing_is_blind() -> None:
    prior, text = autoregressive(), texts(4)
    uniforms = torch.rand(2, 1 + COMPONENTS, generator=torch.Generator().manual_seed(4))
    unconditional = prior.sample(EncodedText(*(rows[:2] for rows in text)), uniforms, 1.0, (), lambda *_: None)
    assert torch.equal(prior.sample(text, uniforms, 0.0, range(COMPONENTS), lambda *_: None), unconditional)


# Ridge regression


def rows_of(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = numbers(count, 5, seed=seed) * torch.tensor([1.0, 10.0, 0.1, 2.0, 1.0]) + torch.arange(5)
    return x, x @ numbers(5, 3, seed=7) + 0.1 * numbers(count, 3, seed=seed + 1) + 4


def test_the_solution_is_the_closed_form() -> None:
    x, y = rows_of(300, 20)
    equations = NormalEquations(5, 3)
    for part in range(3):
        equations.add(x[part::3], y[part::3])
    left, right = x.double().numpy(), y.double().numpy()
    # Without a penalty to speak of: least squares with an intercept.
    weight, bias = equations.solve(1e-12)
    plain, *_ = np.linalg.lstsq(np.c_[left, np.ones(300)], right, rcond=None)
    np.testing.assert_allclose(np.c_[weight.numpy(), bias.numpy()], plain.T, rtol=1e-6, atol=1e-8)
    # With one: ridge regression of centred values on standardised ones.
    weight, bias = equations.solve(0.3)
    means, deviation = left.mean(0), left.std(0)
    standard = (left - means) / deviation
    ridge = np.linalg.solve(standard.T @ standard + 300 * 0.3 * np.eye(5), standard.T @ (right - right.mean(0)))
    np.testing.assert_allclose(weight.numpy(), (ridge / deviation[:, None]).T, rtol=1e-6)
    np.testing.assert_allclose(bias.numpy(), right.mean(0) - weight.numpy() @ means, rtol=1e-6)
    errors = ((right - left @ weight.numpy().T - bias.numpy()) ** 2).mean(0)
    np.testing.assert_allclose(equations.errors(weight, bias).numpy(), errors, rtol=1e-6)
    share = 1 - errors.sum() / right.var(0).sum()
    assert equations.explained(weight, bias) == pytest.approx(share, rel=1e-6)


def test_tables_of_portions_add_up_exactly() -> None:
    """Whole numbers are summed without rounding, so the order cannot hide behind a tolerance."""
    x, y = (10 * rows for rows in rows_of(64, 30))
    x, y = x.round(), y.round()
    whole, first, second = (NormalEquations(5, 3) for _ in range(3))
    whole.add(x, y)
    first.add(x[:40], y[:40])
    second.add(x[40:], y[40:])
    assert torch.equal(first.sums + second.sums, whole.sums)


def test_an_input_that_never_varies_does_no_harm() -> None:
    x, y = rows_of(100, 40)
    x[:, 1] = 3.0
    equations = NormalEquations(5, 3)
    equations.add(x, y)
    weight, bias = equations.solve(1e-3)
    assert weight.isfinite().all() and bias.isfinite().all() and weight[:, 1].abs().max() < 1e-6


def test_the_linear_prior_reads_live_tokens_only() -> None:
    text, states, mask = texts(3)
    read = features(EncodedText(text, states, mask))
    torch.testing.assert_close(read[1], torch.cat([text[1], states[1, :4].mean(0)]))
    padded = features(EncodedText(text, torch.where(mask[..., None], states, 100.0), mask))
    torch.testing.assert_close(read, padded)
    assert linear()(EncodedText(text, states, mask)).shape == (3, DIM)


# Training

TABLES = """
[prior_linear]
steps = 6
batch_size = 8
snapshot_every = 2
[prior_autoregressive]
steps = 200
batch_size = 8
width = 32
head_dim = 16
layers = 2
components = 6
buckets = 8
dot_buckets = 2
dropout = 0.0
text_drop = 0.0
smoothing = 0.1
learning_rate = 1e-2
optimizer = "muon"
evaluate_every = 100
snapshot_every = 100
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Recipe:  # noqa: F811
    path = tmp_path_factory.mktemp("recipes") / "priors.toml"
    path.write_text(RECIPE.format(source=source) + TABLES)
    return read_recipe(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A whole run whose priors are trained last, after there is a checkpoint without them."""
    folder = tmp_path_factory.mktemp("runs") / "priors"
    run = Run(folder, recipe.seed, Accelerator(cpu=True))
    plain = recipe.model_copy(update={"prior_linear": None, "prior_autoregressive": None})
    assert Training(plain, run).train() == folder / "checkpoint"
    assert not (folder / "checkpoint" / "prior_linear").exists()
    Training(recipe, run).train(["prior_linear", "prior_autoregressive"])
    return folder


@pytest.fixture(scope="module")
def batch(recipe: Recipe, trained: Path) -> Batch:
    pictures = Training(recipe, Run(trained, recipe.seed, Accelerator(cpu=True))).pictures("train")
    return pictures.batch(Randomness(0, "look", 0, 8))


def test_the_linear_prior_learns_eight_pictures(trained: Path, batch: Batch) -> None:
    towers = ClipTowers.load(trained / "clip")
    prior = LinearPrior.from_pretrained(trained / "prior_linear", subfolder="prior_linear")
    with torch.no_grad():
        real, told = towers.embed_pictures(batch.pictures), prior(towers.read(batch.captions))
    spread = ((real - real.mean(0)) ** 2).sum()
    assert ((real - told) ** 2).sum() < 0.05 * spread
    assert not (trained / "snapshots" / "prior_linear.pt").exists()


def test_the_autoregressive_prior_learns_eight_pictures(trained: Path, batch: Batch) -> None:
    """Which of eight captions is meant decides the codes, whatever the numbers that draw them.

    Eight pictures are learnt together with their dot products, and those of the lower half are never asked for.
    """
    towers = ClipTowers.load(trained / "clip")
    prior = AutoregressivePrior.from_pretrained(trained / "prior_autoregressive", subfolder="prior_autoregressive")
    with torch.no_grad():
        real, text = towers.embed_pictures(batch.pictures), towers.read(batch.captions)
    hits = []
    for seed in range(4):
        uniforms = torch.rand(8, 7, generator=torch.Generator().manual_seed(seed))
        drawn = prior.codebook.decode(prior.sample(text, uniforms, 1.0, (), lambda *_: None))
        hits.append(torch.cdist(drawn, real).argmin(1) == torch.arange(8))
    described_well = prior.dot_codes(real, text[0]) == 1
    assert described_well.sum() >= 2
    assert torch.stack(hits)[:, described_well].float().mean() > 0.8  # by chance 1 / 8


def test_they_come_into_a_checkpoint_that_was_there(trained: Path) -> None:
    model = load(trained / "checkpoint")
    assert model.priors == TRAINED
    stored = model.prior("linear").linear.weight
    exact = LinearPrior.from_pretrained(trained / "prior_linear", subfolder="prior_linear").linear.weight
    torch.testing.assert_close(stored, exact.half().float(), rtol=0, atol=0)
    for kind in TRAINED:
        settings = dataclasses.replace(model.settings, prior=PriorSettings(2, 2.0, kind=kind))
        assert model.text_to_image(["a red square"], seeds=[1], settings=settings)[0].size == (16, 16)


def test_an_interrupted_linear_prior_goes_on(
    trained: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(recipe, Run(tmp_path, recipe.seed, Accelerator(cpu=True)))
    pictures, towers = training.pictures("train"), ClipTowers.load(trained / "clip")
    stage, seen, whole = LinearPriorStage(recipe.prior_linear, towers), [], LinearPriorStage.pairs

    def counted(self: LinearPriorStage, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(batch.captions))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return whole(self, batch)

    monkeypatch.setattr(LinearPriorStage, "pairs", counted)
    with pytest.raises(KeyboardInterrupt):
        stage.fit(pictures, pictures, training.run)
    assert torch.load(tmp_path / "snapshots" / "prior_linear.pt", weights_only=True)["step"] == 2
    stage.fit(pictures, pictures, training.run)
    assert seen[4:12] == [8] * 8 and len(seen) == 4 + 4 + 8  # the other four steps, then the held-out batches
    exact = LinearPrior.from_pretrained(trained / "prior_linear", subfolder="prior_linear").linear
    assert torch.equal(stage.network.linear.weight, exact.weight)


def test_the_ridge_is_the_one_that_held_out_pictures_like(recipe: Recipe, trained: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, recipe.seed, Accelerator(cpu=True))
    pictures, towers = Training(recipe, run).pictures("train"), ClipTowers.load(trained / "clip")
    plan = LinearPriorRecipe(steps=1, batch_size=4, ridges=(1e-6, 10.0))
    stage = LinearPriorStage(plan, towers)
    chosen = stage.fit(pictures, pictures, run).network.linear.weight.clone()
    trained_on, watched = stage._equations(), stage._equations()
    trained_on.sums = stage._sums(pictures, "prior_linear", range(1), run)
    watched.sums = stage._sums(pictures, "prior_linear held out", range(8), run)
    shares = {ridge: watched.explained(*trained_on.solve(ridge)) for ridge in plan.ridges}
    best = max(shares, key=shares.__getitem__)
    torch.testing.assert_close(chosen, trained_on.solve(best)[0].float(), rtol=0, atol=0)


def test_recipes_have_these_priors_only_if_they_say_so() -> None:
    assert Recipe().stages == ("clip", "prior", "decoder", "upsampler")
    both = Recipe.model_validate({"prior_linear": {}, "prior_autoregressive": {"steps": 3}})
    assert both.stages == ("clip", "prior", "prior_linear", "prior_autoregressive", "decoder", "upsampler")
    for table, said in (
        ({"components": 193}, "at most clip.embedding_dim"),
        ({"width": 100}, "multiple of prior_autoregressive.head_dim"),
    ):
        with pytest.raises(ValueError, match=said):
            Recipe.model_validate({"prior_autoregressive": table})


def test_the_shipped_size_stays_below_five_megabytes() -> None:
    plan = Recipe.model_validate({"prior_autoregressive": {}})
    sizes, clip = plan.prior_autoregressive, plan.clip
    prior = AutoregressivePrior(
        embedding_dim=clip.embedding_dim,
        context_length=clip.context_length,
        components=sizes.components,
        buckets=sizes.buckets,
        dot_buckets=sizes.dot_buckets,
        width=sizes.width,
        heads=sizes.width // sizes.head_dim,
        layers=sizes.layers,
    )
    assert 2 * sum(value.numel() for value in prior.state_dict().values()) < 5_000_000


# Checkpoints


def test_other_priors_are_read_when_asked_for(
    three_folder: Path, three_parts: layout.Parts, model: UnclipModel
) -> None:
    fresh = load(three_folder)
    assert fresh.priors == TRAINED and model.priors == ("diffusion",)
    assert fresh.parts.prior_autoregressive is None and fresh.parts.prior_linear is None
    for kind in ("autoregressive", "linear"):
        read, theirs = fresh.prior(kind), getattr(three_parts, f"prior_{kind}").state_dict()
        assert read is fresh.prior(kind) and not read.training
        assert all(torch.equal(value, theirs[name]) for name, value in read.state_dict().items())


def test_each_prior_embeds_its_own_way(three: UnclipModel, quick: Settings) -> None:
    drawn = {kind: three.embed_prompt(["a cat", "a dog"], [1, 2], with_prior(quick, kind)) for kind in TRAINED}
    for rows in drawn.values():
        assert rows.shape == (2, DIM) and rows.dtype == torch.float32 and (rows[0] != rows[1]).any()
    assert (drawn["autoregressive"] != drawn["linear"]).any() and (drawn["linear"] != drawn["diffusion"]).any()
    text = three.prompts.read(["a cat", "a dog"])
    told = three.prior("linear")(text)
    torch.testing.assert_close(drawn["linear"], told.detach())
    # What is drawn lies where the buckets can reach.
    book = three.prior("autoregressive").codebook
    torch.testing.assert_close(book.decode(book.encode(drawn["autoregressive"])), drawn["autoregressive"])


def test_the_priors_are_measured_one_under_another(three_folder: Path, tmp_path: Path) -> None:
    for index in range(3):
        images.save(Image.effect_noise((32, 32), 80).convert("RGB"), tmp_path / f"{index}.png")
        (tmp_path / f"{index}.txt").write_text(f"a cat {index}")
    common = ["--checkpoint", str(three_folder), "--prompts", str(tmp_path), "--device", "cpu", "--steps", "2"]
    prior_quality.main([*common, "--report", str(tmp_path / "all.json")])
    prior_quality.main([*common, "--prior", "linear", "--report", str(tmp_path / "one.json")])
    every, one = (
        [measure["label"] for measure in json.loads((tmp_path / name).read_text())["measures"]]
        for name in ("all.json", "one.json")
    )
    for what in ("R@1 of", "Fréchet distance", "cosine to the true", "milliseconds"):
        kinds = [name.split("(")[1] for name in every if name.startswith(what)]
        assert kinds[:3] == [f"{kind})" for kind in TRAINED] and len(kinds) == 3 + (what != "milliseconds")
        assert next(name for name in one if name.startswith(what)).endswith("(linear)")


def test_the_autoregressive_prior_can_be_guided(three: UnclipModel, quick: Settings) -> None:
    seeds = list(range(8))
    plain, strong, none = (
        three.embed_prompt(["a cat"] * 8, seeds, with_prior(quick, "autoregressive", **changes))
        for changes in (
            {"guidance_scale": 1.0},
            {"guidance_scale": 100.0},
            {"guidance_scale": 100.0, "guidance_interval": (0.0, 0.0)},
        )
    )
    assert (plain != strong).any()
    torch.testing.assert_close(plain, none, rtol=0, atol=1e-5)


def test_a_seed_belongs_to_its_picture(three: UnclipModel, quick: Settings) -> None:
    settings = with_prior(quick, "autoregressive")
    together = three.embed_prompt(["cat", "a cat face", "dog", "dog"], [3, 7, 9, 10], settings)
    torch.testing.assert_close(together[1:2], three.embed_prompt(["a cat face"], [7], settings), rtol=0, atol=1e-5)
    assert (together[2] != together[3]).any()


@pytest.mark.parametrize(("kind", "total"), [("autoregressive", COMPONENTS), ("linear", 1)])
def test_progress_tells_the_prior_s_own_steps(three: UnclipModel, quick: Settings, kind: str, total: int) -> None:
    steps: list[Step] = []
    three.embed_prompt(["a cat"], [1], with_prior(quick, kind), steps.append)
    assert steps == [Step("prior", index, total) for index in range(1, total + 1)]


def test_the_autoregressive_prior_can_be_cancelled(three: UnclipModel, quick: Settings) -> None:
    told: list[int] = []

    def cancel(step: Step) -> None:
        told.append(step.index)
        if step.index == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        three.text_to_image(["a cat"], seeds=[1], settings=with_prior(quick, "autoregressive"), on_step=cancel)
    assert told == [1, 2]


def test_records_name_the_prior_and_old_ones_are_read(three: UnclipModel, quick: Settings) -> None:
    settings = with_prior(quick, "autoregressive")
    (picture,) = three.text_to_image(["a cat"], seeds=[4], settings=settings)
    record = images.read_record(picture)
    assert record["settings"]["prior"]["kind"] == "autoregressive"
    assert Settings.from_dict(record["settings"]) == settings
    for stage in record["settings"].values():
        stage.pop("kind", None)  # which only the prior has
    assert Settings.from_dict(record["settings"]) == quick


def test_kinds_that_cannot_be_are_refused(model: UnclipModel, quick: Settings) -> None:
    with pytest.raises(ValueError, match="has no linear prior: it has diffusion"):
        model.text_to_image(["a cat"], seeds=[1], settings=with_prior(quick, "linear"))
    with pytest.raises(ValueError, match=r"kind must be one of diffusion, autoregressive, linear, eclipse, not 'gan'"):
        PriorSettings(3, kind="gan")
    with pytest.raises(ValueError, match="Only the prior can be of another kind"):
        DecoderSettings.from_dict({"num_inference_steps": 3, "kind": "linear"})


def test_a_linear_prior_alone_draws(tmp_path: Path, three_parts: layout.Parts, quick: Settings) -> None:
    alone = dataclasses.replace(three_parts, prior=None, prior_scheduler=None, prior_autoregressive=None)
    settings = with_prior(quick, "linear")
    model = load(layout.write(alone, tmp_path / "alone", {"settings": settings.to_dict()}))
    assert model.priors == ("linear",) and "text_to_image" in model.capabilities
    assert model.text_to_image(["a cat"], seeds=[1])[0].size == (32, 32)
    with pytest.raises(ValueError, match="has no diffusion prior: it has linear"):
        model.text_to_image(["a cat"], seeds=[1], settings=quick)


def test_stock_diffusers_ignores_them_and_the_hash_does_not(
    three_folder: Path, three: UnclipModel, model: UnclipModel, quick: Settings, tmp_path: Path
) -> None:
    index = json.loads((three_folder / "model_index.json").read_text())
    assert index["_class_name"] == "UnCLIPPipeline" and not {"prior_linear", "prior_autoregressive"} & set(index)
    assert three.checkpoint_hash != model.checkpoint_hash
    saved = load(save(load(three_folder), tmp_path / "saved", torch.float16))
    assert saved.priors == TRAINED
    for kind in ("autoregressive", "linear"):
        stored = saved.prior(kind).state_dict()
        assert all(torch.equal(value.half().float(), value) for value in stored.values())
        drawn = saved.embed_prompt(["a cat"], [1], with_prior(quick, kind))
        assert (drawn - three.embed_prompt(["a cat"], [1], with_prior(quick, kind))).abs().mean() < 0.5


def test_a_prior_of_another_checkpoint_is_refused(tmp_path: Path, three_parts: layout.Parts) -> None:
    other = dataclasses.replace(three_parts, prior_linear=LinearPrior(embedding_dim=16), prior_autoregressive=None)
    model = load(layout.write(other, tmp_path / "other", {}))
    with pytest.raises(ValueError, match="prior_linear makes embeddings of the size 16, not 32"):
        model.prior("linear")


def test_bfloat16(three_folder: Path, three: UnclipModel, quick: Settings) -> None:
    half = load(three_folder, dtype=torch.bfloat16)
    for kind in ("autoregressive", "linear"):
        drawn = half.embed_prompt(["a cat"], [1], with_prior(quick, kind))
        assert drawn.dtype == torch.float32 and drawn.isfinite().all()
    exact = three.embed_prompt(["a cat"], [1], with_prior(quick, "linear"))
    assert (drawn - exact).abs().max() < 0.1


def test_the_command_chooses_a_prior(
    three_folder: Path, model: UnclipModel, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["a cat", "--seed", "1", "--checkpoint", str(three_folder), "-o", str(tmp_path / "cat.png")]
    assert main([*arguments, "--prior", "autoregressive"]) == 0
    shown = capsys.readouterr().err
    assert "13/13" in shown  # six codes, four steps of the decoder, three of the upsampler
    assert images.read_record(tmp_path / "cat.png")["settings"]["prior"]["kind"] == "autoregressive"
    assert main(["a cat", "--checkpoint", model.checkpoint, "--prior", "linear", "-o", str(tmp_path)]) != 0
    assert "has no linear prior: it has diffusion" in capsys.readouterr().err


def test_priors_are_compared_as_contestants(
    three_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(tasks: dict[str, list[str]]) -> None:  # without processes of their own
        assert [generation.main(arguments) for arguments in tasks.values()] == [0] * len(TRAINED)

    monkeypatch.setattr(turns, "draw_in_turns", draw)
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("id,caption\n" + "".join(f"{index},a cat {index}\n" for index in range(4)))
    names = [f"{three_folder} --prior {kind}" for kind in TRAINED]
    options = ["--prompts", prompts, "--seed", 3, "--out", tmp_path / "out", "--clip", three_folder, "--workers", 0]
    words = [*names, *options, "--network", f"clip:{three_folder}", "--device", "cpu"]
    result = compare.run(compare.parse([str(word) for word in words]))
    assert [measured.contestant.name for measured in result.contestants] == names
    drawn = [measured.contestant for measured in result.contestants]
    assert [one.manifest.settings["prior"]["kind"] for one in drawn] == list(TRAINED)
    assert len({one.files[0].read_bytes() for one in drawn}) == len(TRAINED)
