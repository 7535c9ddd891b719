"""Training for real, on networks so small that it takes seconds: learning, resuming, several processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset, Features, Image, Sequence, Value
from PIL import Image as Pictures
from PIL import ImageDraw

from dalle2.datasets.phrases import Phrases
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.sources import load_pictures
from dalle2.families import load
from dalle2.training.__main__ import main
from dalle2.training.augmentation import moved
from dalle2.training.batches import ahead
from dalle2.training.clip import ClipTowers
from dalle2.training.decoder import DecoderStage, shrink
from dalle2.training.loop import Run, fit
from dalle2.training.optimizer import Optimizers
from dalle2.training.pace import learning_rate
from dalle2.training.recipe import DecoderRecipe, Fit, Recipe, TextRecipe, UpsamplerRecipe, read_recipe
from dalle2.training.run import Training
from dalle2.training.tokenizer import train_tokenizer
from dalle2.training.upsampler import FirstUpsamplerStage, border, enlarge, pair

ROOT = Path(__file__).parents[2]
RECIPE = """
seed = 3
precision = "no"
examples = ["a red square"]
[settings.prior]
num_inference_steps = 3
guidance_scale = 2.0
[settings.decoder]
num_inference_steps = 3
guidance_scale = 2.0
[settings.upsampler]
num_inference_steps = 2
[data]
source = "{source}"
held_out_split = "train"
[clip]
steps = 6
batch_size = 8
embedding_dim = 32
context_length = 10
vocabulary = 600
text_layers = 1
picture_size = 16
patch_size = 8
picture_width = 32
picture_layers = 1
per_concept = 1
thumbnail_size = 4
snapshot_every = 2
evaluate_every = 4
[prior]
steps = 4
batch_size = 8
width = 32
head_dim = 16
layers = 1
optimizer = "muon"
[decoder]
steps = 4
batch_size = 8
picture_size = 8
channels = [32, 32]
head_dim = 16
attention_from = 1
time_embedding_dim = 32
[upsampler]
steps = 2
last_steps = 2
batch_size = 8
picture_size = 16
channels = [16, 16]
crop = 8
"""
COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (40, 60, 220), "yellow": (240, 210, 40)}


def shapes(size: int = 32) -> list[tuple[Pictures.Image, str]]:
    """Eight pictures: squares and discs in four colours."""
    made = []
    for name, colour in COLOURS.items():
        for shape in ("square", "disc"):
            picture = Pictures.new("RGB", (size, size), "white")
            draw = ImageDraw.Draw(picture)
            box = (size // 5, size // 5, size - size // 5, size - size // 5)
            draw.rectangle(box, fill=colour) if shape == "square" else draw.ellipse(box, fill=colour)
            made.append((picture, f"a {name} {shape}"))
    return made


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioned source that the emoji builder did not write, as parquet."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "data").mkdir()
    rows = [{"image": picture, "caption": [caption, caption.replace("a ", "one ")]} for picture, caption in shapes()]
    features = Features({"image": Image(), "caption": Sequence(Value("string"))})
    Dataset.from_list(rows, features=features).to_parquet(folder / "data" / "train-00000.parquet")
    return folder


@pytest.fixture
def recipe_file(tmp_path: Path, source: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(source=source))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """A whole run of one process without interruption: its folder."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(RECIPE.format(source=source))
    recipe = read_recipe(path)
    Training(recipe, Run(folder, recipe.seed, Accelerator(cpu=True))).train()
    return folder


def command(*arguments: object, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", *launcher, *(["dalle2.training"] if not launcher else []), *map(str, arguments)]


def completed(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The command, run to its end as a user would from the project's folder."""
    return forked.run(arguments, cwd=ROOT, env=environment(), timeout=240)


def environment() -> dict[str, str]:
    """Of a user's machine without GPUs, who knows none of accelerate's own variables."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    return theirs | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    files = sorted(folder.rglob("*.safetensors"))
    assert files, f"{folder} holds no weights"
    return {f"{file.relative_to(folder)}:{name}": value for file in files for name, value in load_file(file).items()}


def test_a_whole_run_makes_a_checkpoint_that_draws(trained: Path) -> None:
    model = load(trained / "checkpoint")
    assert model.capabilities >= {"text_to_image", "variations", "interpolate", "mix"}
    assert model.examples == ("a red square",)
    assert model.settings.decoder.num_inference_steps == 3
    picture = model.text_to_image(["a red square"], seeds=[7])[0]
    assert picture.size == (16, 16)
    assert json.loads((trained / "checkpoint" / "dalle2.json").read_text())["recipe"]["seed"] == 3


def test_the_words_of_an_emoji_set_go_with_the_checkpoint(trained: Path, source: Path, tmp_path: Path) -> None:
    assert not (trained / "checkpoint" / "phrases.json").exists()  # this source is no emoji set
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(source=source).replace('held_out_split = "train"', 'held_out_split = "test"'))
    training = Training(recipe := read_recipe(path), Run(tmp_path, recipe.seed, Accelerator(cpu=True)))
    for split, label in (("train", "cat"), ("test", "dog")):
        records = [{"concept": label, "label": label, "style": "noto"}]
        training._pictures[split] = PicturesInMemory(records, torch.zeros(1, 4, 8, 8, dtype=torch.uint8), None)
    training._add_phrases(tmp_path)
    assert Phrases.read(tmp_path).concepts == ("cat", "dog")


def test_its_weights_are_in_half_precision_and_embeddings_have_statistics(trained: Path) -> None:
    stored = weights(trained / "checkpoint")
    assert all(value.dtype == torch.float16 for value in stored.values() if value.is_floating_point())
    std = stored["prior/diffusion_pytorch_model.safetensors:clip_std"]
    assert (std > 0).all()


def test_the_text_tower_learns_on_under_its_picture_tower(trained: Path, recipe_file: Path, tmp_path: Path) -> None:
    recipe, out = read_recipe(recipe_file), tmp_path / "words"
    clip = recipe.clip.model_copy(update={"start_from": str(trained / "clip"), "steps": 0})
    recipe = recipe.model_copy(update={"clip": clip, "text": TextRecipe(steps=3, batch_size=8, per_concept=1)})
    training = Training(recipe, Run(out, recipe.seed, Accelerator(cpu=True)))
    training.train(["clip", "text", "prior"])
    before, after = ClipTowers.load(trained / "clip"), ClipTowers.load(out / "text")
    for tower, same in (("picture", True), ("text", False)):
        pairs = zip(getattr(before, tower).parameters(), getattr(after, tower).parameters(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs) is same
    assert all(torch.equal(*pair) for pair in zip(training._towers().parameters(), after.parameters(), strict=True))
    for stage in ("decoder", "upsampler"):  # the rest is as it was
        shutil.copytree(trained / stage, out / stage)
    checkpoint = training.train()
    stored = ClipTowers.load(checkpoint)
    for one, other in zip(stored.text.parameters(), after.text.parameters(), strict=True):
        assert torch.equal(one, other.half().float())


def test_logs_are_written(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs"))
    events.Reload()
    assert {"clip/held_out/loss", "decoder/held_out/loss", "prior/held_out/loss"} <= set(events.Tags()["scalars"])
    assert {"decoder/samples", "super_res_last/samples"} <= set(events.Tags()["images"])


def test_a_killed_run_resumes_to_the_same_weights(trained: Path, recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = forked.Popen(
        command(recipe_file, "--out", out, "--stages", "clip"),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    snapshot = out / "snapshots" / "clip.pt"
    deadline = time.monotonic() + 120
    while not snapshot.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "clip").exists(), "the run ended before it could be killed"
    assert torch.load(snapshot, weights_only=True)["step"] < 6
    recipe = read_recipe(recipe_file)
    Training(recipe, Run(out, recipe.seed, Accelerator(cpu=True))).train(["clip"])
    resumed, unbroken = weights(out / "clip"), weights(trained / "clip")
    assert resumed.keys() == unbroken.keys()
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=f"{name} differs")


def test_two_processes_train_as_one(trained: Path, recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    launcher = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
    launcher += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")
    arguments = ("-m", "dalle2.training", recipe_file, "--out", out, "--stages", "clip,prior")
    result = completed(command(*arguments, launcher=launcher))
    assert result.returncode == 0, result.stderr[-2000:]
    for stage in ("clip", "prior"):
        one, two = weights(trained / stage), weights(out / stage)
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=5e-4, msg=f"{stage} {name} differs")


def test_processes_that_accelerate_does_not_start_are_missed(recipe_file: Path, tmp_path: Path) -> None:
    launcher = ("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1")
    launcher += ("--mixed_precision", "no", "--dynamo_backend", "no")
    out = tmp_path / "one"
    result = completed(command("-m", "dalle2.training", recipe_file, "--out", out, launcher=launcher))
    assert result.returncode != 0
    assert "Error: accelerate started one process, although it was asked for several: on CPUs too" in result.stderr
    assert not out.exists()


def test_ctrl_c_is_a_sentence_and_the_snapshot_stays(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    recipe_file.write_text(recipe_file.read_text().replace("steps = 6", "steps = 6000"))
    arguments = command(recipe_file, "--out", out, "--stages", "clip")
    process = forked.Popen(arguments, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)
    snapshot = out / "snapshots" / "clip.pt"
    deadline = time.monotonic() + 120
    try:
        while not snapshot.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()  # nothing that trains outlives a failure
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"Stopped. Finished stages and snapshots stay in {out}: --resume continues."
    assert "Traceback" not in said
    assert torch.load(snapshot, weights_only=True)["step"] > 0
    assert [file.name for file in (out / "snapshots").iterdir()] == ["clip.pt"]


def test_the_command_refuses_in_one_sentence(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda _: None)  # would last for the other tests
    out = tmp_path / "occupied"
    out.mkdir()
    (out / "something").touch()

    def said(*arguments: object) -> tuple[int, str]:
        return main([str(word) for word in arguments]), capsys.readouterr().err.strip().splitlines()[-1]

    assert said(recipe_file, "--out", out) == (
        1,
        f"Error: {out} holds a run already: add --resume, or name another folder.",
    )
    code, sentence = said(recipe_file, "--out", tmp_path / "new", "--data", tmp_path / "nowhere")
    assert code == 1
    assert "Cannot open the split 'train'" in sentence


def test_a_full_disk_keeps_the_old_snapshot(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upsampler = UpsamplerRecipe(steps=4, batch_size=2, picture_size=16, channels=(16, 16), crop=8, snapshot_every=2)
    pictures = load_pictures(str(source), "train", 16)
    whole, kept = torch.save, []

    def fills_up(state: dict, path: Path) -> None:
        if kept:
            path.write_bytes(b"half")
            raise RuntimeError("[enforce fail at inline_container.cc] write failed: No space left on device")
        kept.append(state["step"])
        whole(state, path)

    monkeypatch.setattr(torch, "save", fills_up)
    with pytest.raises(OSError, match="disk full"):
        fit(FirstUpsamplerStage(upsampler, 8), pictures, None, upsampler, Run(tmp_path, 0, Accelerator(cpu=True)))
    assert [file.name for file in (tmp_path / "snapshots").iterdir()] == ["super_res_first.pt"]
    assert torch.load(tmp_path / "snapshots" / "super_res_first.pt", weights_only=True)["step"] == 2


def test_a_dry_run_tells_the_time_and_leaves_nothing(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(recipe_file), "--out", str(tmp_path / "dry"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    for stage in ("clip", "prior", "decoder", "super_res_first", "super_res_last"):
        assert stage in told
    assert not (tmp_path / "dry").exists()


def test_the_decoder_learns_eight_pictures_by_heart(source: Path, tmp_path: Path) -> None:
    """Loss sanity: a few hundred steps on 8 pictures, and they come out of pure noise."""
    pictures = load_pictures(str(source), "train", 16)
    tokenizer = train_tokenizer([caption for _, caption in shapes()], 600, 10)
    torch.manual_seed(0)
    plan = Recipe().clip.model_copy(
        update={
            "embedding_dim": 32,
            "context_length": 10,
            "text_layers": 1,
            "picture_layers": 1,
            "picture_width": 32,
            "picture_size": 16,
            "patch_size": 8,
        }
    )
    towers = ClipTowers.build(plan, tokenizer).eval().requires_grad_(False)
    decoder = DecoderRecipe(
        steps=170,
        batch_size=8,
        learning_rate=3e-3,
        picture_size=16,
        channels=(16, 32),
        head_dim=16,
        attention_from=1,
        time_embedding_dim=64,
        embedding_noise=0.0,
        text_drop=0.0,
        embedding_drop=0.0,
        optimizer="muon",
        evaluate_every=170,
        snapshot_every=1000,
    )
    batch = pictures.batch(Randomness(0, "look", 0, 8))
    spread = towers.embed_pictures(batch.pictures).std(0)
    stage = DecoderStage(decoder, towers, spread)
    with torch.no_grad():
        before = float(stage(batch, Randomness(0, "look", 0, 8))["squared"])
    fit(stage, pictures, None, decoder, Run(tmp_path, 0, Accelerator(cpu=True)))
    with torch.no_grad():
        after = float(stage(batch, Randomness(0, "look", 0, 8))["squared"])
    assert after < 0.05 * before
    real, drawn = stage.samples(batch).reshape(3, 2, 16, 8, 16).permute(1, 3, 0, 2, 4)
    errors = ((real[:, None] - drawn[None]) ** 2).flatten(2).mean(2)  # (real, drawn)
    assert errors.argmin(0).tolist() == list(range(8)), "each drawing is nearest to its own picture"
    assert float(errors.diag().mean()) < 0.02


def test_a_streamed_source_gives_each_step_its_own_rows(source: Path) -> None:
    stream = load_pictures(str(source), "train", 16, streaming=True)
    batches = [stream.batch(Randomness(0, "clip", step, 4)) for step in range(4)]
    again = load_pictures(str(source), "train", 16, streaming=True).batch(Randomness(0, "clip", 3, 4))
    assert again.captions == batches[3].captions
    torch.testing.assert_close(again.pictures, batches[3].pictures, rtol=0, atol=0)
    subjects = [" ".join(caption.split()[1:]) for batch in batches[:2] for caption in batch.captions]
    assert sorted(subjects) == sorted(" ".join(caption.split()[1:]) for _, caption in shapes())


def test_a_source_without_the_column_is_refused(source: Path) -> None:
    with pytest.raises(ValueError, match="has no column 'text'"):
        load_pictures(str(source), "train", 16, columns=("image", "text"))


def test_slots_of_processes_are_the_rows_of_one() -> None:
    whole = Randomness(5, "decoder", 9, 8)
    halves = [Randomness(5, "decoder", 9, 8, slice(0, 4)), Randomness(5, "decoder", 9, 8, slice(4, 8))]
    for draw in (lambda r: r.normal(3, 2), lambda r: r.uniform(), lambda r: r.integers(1000)):
        torch.testing.assert_close(torch.cat([draw(half) for half in halves]), draw(whole), rtol=0, atol=0)


def test_the_next_item_is_made_while_one_is_used_and_none_is_lost() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(5):
            made.append(item)
            yield item
        raise ValueError("the source is broken")

    used = []
    with pytest.raises(ValueError, match="broken"):
        for item in ahead(items()):
            used.append(item)
            until = time.monotonic() + 5
            while len(made) < min(5, item + 2) and time.monotonic() < until:
                time.sleep(0.001)
            assert made == list(range(min(5, item + 2))), "one ahead, no more"
    assert used == list(range(5))


def test_making_a_batch_leaves_the_dropout_of_another_step_alone(source: Path) -> None:
    """The next step's batch is made while this one trains; dropout draws from the global generator."""
    pictures, now = load_pictures(str(source), "train", 16), Randomness(0, "prior", 3, 4)
    now.seed_dropout()
    expected = torch.rand(3)
    now.seed_dropout()
    pictures.batch(Randomness(0, "prior", 4, 4))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    Randomness(0, "prior", 4, 4).seed_dropout()
    assert not torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_the_kernels_themselves(memory_format: torch.memory_format) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(4, 6, 3), torch.nn.GroupNorm(2, 6)

        def trained(self) -> dict[str, torch.nn.Parameter]:
            return dict(self.named_parameters())

    net = Net().to(memory_format=memory_format)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizers = Optimizers(net, Fit(steps=10, optimizer="muon", learning_rate=0.1, warmup=0.0, weight_decay=0.0))
    net.norm(net.conv(torch.randn(2, 4, 5, 5))).square().mul(torch.randn(2, 6, 3, 3)).sum().backward()
    gradient = net.conv.weight.grad.detach().clone()
    optimizers.step(0.1)
    moved = net.conv.weight.detach() - before["conv.weight"]
    # One step of Muon from rest is the orthogonal factor of the gradient, its sign turned.
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(moved.flatten(), -(left @ right).flatten(), dim=0)
    assert float(cosine) > 0.95
    assert all(not torch.equal(value, before[name]) for name, value in net.named_parameters())


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    plan = Fit(steps=100, learning_rate=1e-3, warmup=0.1)
    rates = [learning_rate(plan, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[9] == pytest.approx(1e-3)
    assert rates[-1] < 1e-6
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_upsampler_pairs_are_crops_of_the_same_place() -> None:
    plan = UpsamplerRecipe(picture_size=32, crop=16, blur=0.0, noise=0.0, full_share=0.0)
    pictures = torch.nn.functional.interpolate(torch.rand(4, 3, 8, 8) * 2 - 1, (32, 32), mode="bilinear")
    clean, low = pair(pictures, 16, plan, Randomness(0, "super_res_first", 0, 4))
    assert clean.shape == low.shape == (4, 3, 16, 16)
    whole = enlarge(shrink(pictures, 16), 32)
    places = low.unfold(2, 1, 1)  # only to say that low is not the whole
    assert places.shape[2] < whole.shape[2]
    for crop, blurred, picture, large in zip(clean, low, pictures, whole, strict=True):
        windows = picture.unfold(1, 16, 1).unfold(2, 16, 1)
        hits = (windows == crop[:, None, None]).flatten(3).all(3).all(0).nonzero()
        assert len(hits) >= 1
        y, x = hits[0].tolist()
        assert float((large[:, y : y + 16, x : x + 16] - blurred).abs().max()) < 0.02  # 8-bit rounding


def test_tokenizer_writes_any_script() -> None:
    tokenizer = train_tokenizer(["a cat face", "一只猫", "the cat"], 700, 12)
    for text in ("a cat!", "一只猫", "кошка", "🐱", "قطة"):
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[1:-1], f"{text} has an unknown token"
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.model_max_length == 12


def _with(trained: Path, folder: Path, **decoder: object) -> Path:
    """A recipe that starts from a finished run, with these keys of its decoder."""
    source = json.loads((trained / "checkpoint" / "dalle2.json").read_text())["recipe"]["data"]["source"]
    text = RECIPE.format(source=source).replace(
        "[clip]\nsteps = 6", f'[clip]\nstart_from = "{trained}/clip"\nsteps = 0'
    )
    keys = "".join(f"{name} = {value}\n" for name, value in decoder.items())
    path = folder / "on.toml"
    path.write_text(text.replace("[decoder]\n", "[decoder]\n" + keys))
    return path


def test_pictures_are_moved_where_chosen() -> None:
    ramp = torch.linspace(-1, 1, 16).expand(2, 3, 16, 16).contiguous()
    no, yes, still = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool), torch.zeros(2, 4)
    torch.testing.assert_close(moved(ramp, yes, no, still), ramp)
    torch.testing.assert_close(moved(ramp, yes, yes, still), ramp.flip(-1))
    assert torch.equal(moved(ramp, no, yes, torch.ones(2, 4)), ramp)
    right = torch.tensor([[0.0, 0.0, 1.0, 0.0]]).expand(2, 4)
    there = moved(ramp, yes, no, right)
    assert (there[..., 4:-4] < ramp[..., 4:-4]).all()  # what was on the left stands further to the right
    torch.testing.assert_close(there[..., 0], ramp[..., 0])  # and the border repeats


def test_the_decoder_learns_from_moved_pictures_and_features(trained: Path, tmp_path: Path) -> None:
    recipe = read_recipe(_with(trained, tmp_path, augment=0.5, feature_weight=0.1))
    training = Training(recipe, Run(tmp_path / "run", recipe.seed, Accelerator(cpu=True)))
    training.train(["clip"])
    towers = training._towers()
    batch = training.pictures("train").batch(Randomness(0, "look", 0, 8))
    stage = DecoderStage(recipe.decoder, towers, torch.ones(32)).train()
    losses = stage(batch, Randomness(0, "decoder", 0, 8))
    losses["loss"].backward()
    assert losses["features"] >= 0 and torch.isfinite(losses["loss"])
    assert not [name for name, parameter in towers.named_parameters() if parameter.grad is not None]
    pictures, mirrored = stage._augmented(batch.pictures, Randomness(0, "decoder", 0, 8))
    assert 0 < (pictures != batch.pictures).flatten(1).any(1).sum() < 8 and mirrored.sum() < 8
    assert torch.equal(stage.eval()._augmented(batch.pictures, Randomness(0, "decoder", 0, 8))[0], batch.pictures)


def test_the_border_of_whole_pictures_weighs_more() -> None:
    plan = UpsamplerRecipe(picture_size=32, crop=16, border_weight=20.0)
    whole, crop = border(torch.zeros(1, 3, 32, 32), plan), border(torch.zeros(1, 3, 16, 16), plan)
    assert (whole[:8] == 20).all() and (whole[:, -8:] == 20).all() and (whole[8:-8, 8:-8] == 1).all()
    assert (crop == 1).all()  # what is cut out of a picture has no edge of its own
    plain = UpsamplerRecipe(picture_size=32, crop=16)
    assert (border(torch.zeros(1, 3, 32, 32), plain) == 1).all()


def test_an_upsampler_goes_on_from_both_of_its_networks(trained: Path, recipe_file: Path, tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file)
    plan = recipe.upsampler.model_copy(update={"start_from": str(trained / "checkpoint"), "steps": 0, "last_steps": 1})
    plan = plan.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    out = tmp_path / "on"
    training = Training(recipe.model_copy(update={"upsampler": plan}), Run(out, recipe.seed, Accelerator(cpu=True)))
    training.train(["upsampler"])
    before, after = weights(trained / "checkpoint"), weights(out / "upsampler")
    for name, value in after.items():
        torch.testing.assert_close(value, before[name].float(), rtol=0, atol=1e-6, msg=f"{name} differs")
