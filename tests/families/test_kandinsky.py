"""Kandinsky 2.2: what diffusers' own pipelines draw with the same weights, in two folders or one, and all tasks."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_kandinsky
import torch
from diffusers import KandinskyV22CombinedPipeline
from PIL import Image

from dalle2 import images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.families.kandinsky import movq
from dalle2.families.kandinsky.load import save
from dalle2.model import UnclipModel, generators
from dalle2.pixels import KnownPixels
from dalle2.serving.api.orders import generation
from dalle2.serving.api.problems import Problem
from dalle2.serving.api.schemas import Generation
from dalle2.serving.service import Service
from dalle2.settings import Settings, Step
from dalle2.stage_settings import SCHEDULERS, DecoderSettings, PriorSettings
from dalle2.tasks.text_to_image import TextToImage
from evaluation.drawing.generation import generate
from evaluation.prompts.prompt_sets import read_prompts

TOLERANCE = 1e-4
QUICK = Settings(PriorSettings(3, guidance_scale=4.0), DecoderSettings(4, guidance_scale=4.0, scheduler="ddpm"))
PROMPTS, SEEDS = ["a cat face", "Two dogs and a cat"], [7, 2**32 - 1]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path_factory.mktemp("kandinsky"))


@pytest.fixture(scope="module")
def kandinsky(folders: tuple[Path, Path]) -> UnclipModel:
    model = load("+".join(map(str, folders)))
    model.settings = QUICK
    return model


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> UnclipModel:
    """The decoder for inpainting."""
    made = tiny_kandinsky.parts(inpainting=True, seed=1)
    model = load("+".join(map(str, tiny_kandinsky.twins(made, tmp_path_factory.mktemp("painter")))))
    model.settings = QUICK
    return model


def pixels(model: UnclipModel, embeddings: torch.Tensor, *rest: object, **more: object) -> np.ndarray:
    """(n, size, size, 3) in [0, 1], as diffusers' output_type "np"."""
    drawn = model.decode_pixels(embeddings, *rest, **more)
    return (drawn * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def chosen(guidance: float = 4.0, negative: str | None = None) -> Settings:
    changes = {name: {"guidance_scale": guidance} for name in QUICK.stages}
    return dataclasses.replace(QUICK.changed(changes), negative_prompt=negative)


def our_text_to_image(model: UnclipModel, prompts: list[str], seeds: list[int], settings: Settings) -> np.ndarray:
    noise = generators(seeds)
    return pixels(model, model.embed_prompt(prompts, noise, settings), noise, prompts, settings)


def their_text_to_image(
    model: UnclipModel, prompts: list[str], seeds: list[int], settings: Settings, **more: object
) -> np.ndarray:
    noise, negative = generators(seeds), settings.negative_prompt
    embeddings, opposite = tiny_kandinsky.prior_pipeline(model.parts)(
        prompts,
        negative_prompt=None if negative is None else [negative] * len(prompts),
        # A negative prompt doubles the batch; each picture's has the noise of the picture.
        generator=noise if negative is None else noise + generators(seeds),
        num_inference_steps=settings.prior.num_inference_steps,
        guidance_scale=settings.prior.guidance_scale,
    ).to_tuple()
    return their_decoding(model, embeddings, opposite, noise, settings, **more)


def their_decoding(
    model: UnclipModel,
    embeddings: torch.Tensor,
    opposite: torch.Tensor,
    noise: list[torch.Generator],
    settings: Settings,
    **more: object,
) -> np.ndarray:
    return tiny_kandinsky.decoder_pipeline(model.parts)(
        image_embeds=embeddings,
        negative_image_embeds=opposite,
        generator=noise,
        height=model.side(settings),
        width=model.side(settings),
        num_inference_steps=settings.decoder.num_inference_steps,
        guidance_scale=settings.decoder.guidance_scale,
        output_type="np",
        **more,
    ).images


@pytest.mark.parametrize("negative", [None, "", "a dog"])
def test_text_to_image_is_diffusers_own(kandinsky: UnclipModel, negative: str | None) -> None:
    for count in (1, 2):
        for guidance in (1.0, 4.0):
            settings = chosen(guidance, negative)
            asked = kandinsky, PROMPTS[:count], SEEDS[:count], settings
            ours, theirs = our_text_to_image(*asked), their_text_to_image(*asked)
            assert ours.shape == (count, 32, 32, 3) and ours.std() > 0.01
            assert np.abs(ours - theirs).max() <= TOLERANCE


def test_no_negative_prompt_and_an_empty_one_differ(kandinsky: UnclipModel) -> None:
    drawn = [our_text_to_image(kandinsky, PROMPTS, SEEDS, chosen(negative=negative)) for negative in (None, "", " ")]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01
    assert np.array_equal(drawn[1], drawn[2])
    (picture,) = kandinsky.text_to_image(["a cat"], seeds=[1], settings=chosen(negative=""))
    record = images.read_record(picture)
    assert record["settings"]["negative_prompt"] == ""
    assert kandinsky.redraw(record).tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    "schedule",
    [
        # kandinsky-community/kandinsky-2-1/blob/04b3666/ddpm_scheduler/scheduler_config.json
        {"variance_type": "learned_range", "thresholding": True, "sample_max_value": 2.0},
        {"clip_sample": True, "clip_sample_range": 2.0},
    ],
)
def test_its_scheduler_may_clip_or_threshold(
    schedule: dict[str, object], kandinsky: UnclipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = our_text_to_image(kandinsky, PROMPTS, SEEDS, QUICK)
    monkeypatch.setattr(kandinsky.parts, "scheduler", tiny_kandinsky.scheduler(**schedule))
    ours = our_text_to_image(kandinsky, PROMPTS, SEEDS, QUICK)
    assert np.abs(ours - their_text_to_image(kandinsky, PROMPTS, SEEDS, QUICK)).max() <= TOLERANCE
    assert np.abs(ours - free).max() > TOLERANCE


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_variation_is_diffusers_own(kandinsky: UnclipModel, guidance: float) -> None:
    for count in (1, 2):
        embeddings = kandinsky.embed_image([PICTURE]).expand(count, -1)
        prior = tiny_kandinsky.prior_pipeline(kandinsky.parts)
        theirs = prior.interpolate([PICTURE], [1.0], num_images_per_prompt=count, num_inference_steps=3)
        assert torch.allclose(embeddings, theirs.image_embeds, atol=1e-5)
        settings, seeds = chosen(guidance), SEEDS[:count]
        drawn = their_decoding(
            kandinsky, theirs.image_embeds, theirs.negative_image_embeds, generators(seeds), settings
        )
        assert np.abs(pixels(kandinsky, embeddings, seeds, None, settings) - drawn).max() <= TOLERANCE


@pytest.mark.parametrize("negative", [None, "a dog"])
def test_inpainting_is_diffusers_own(painter: UnclipModel, negative: str | None) -> None:
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (8, 6, 20, 24))
    repaint = torch.from_numpy(np.array(mask)).float()[None, None] / 255
    known = KnownPixels(images.to_tensor([PICTURE]), repaint)
    for count in (1, 2):
        for guidance in (1.0, 4.0):
            settings, noise = chosen(guidance, negative), generators(SEEDS[:count])
            embeddings = painter.embed_prompt(PROMPTS[:count], noise, settings)
            ours = pixels(painter, embeddings, noise, None, settings, known=known)
            pictures, masks = [PICTURE] * count, [mask] * count
            theirs = their_text_to_image(
                painter, PROMPTS[:count], SEEDS[:count], settings, image=pictures, mask_image=masks
            )
            assert np.abs(ours - theirs).max() <= TOLERANCE


def test_inpainting_leaves_the_rest_as_it_is(painter: UnclipModel, kandinsky: UnclipModel) -> None:
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (8, 6, 20, 24))
    for prompt in ("a cat", None):
        (painted,) = painter.inpaint(PICTURE, mask, seeds=[1], prompt=prompt, settings=QUICK)
        changed = np.any(np.asarray(painted) != np.asarray(PICTURE), axis=-1)
        assert changed.any() and not changed[np.asarray(mask) == 0].any()
    assert len(painter.outpaint(PICTURE, seeds=[1, 2], prompt="a cat", settings=QUICK)) == 2
    steps: list[Step] = []
    painter.inpaint(PICTURE, mask, seeds=[1], on_step=steps.append)  # as it draws, for it learned to: no resampling
    assert [(step.stage, step.total) for step in steps] == [("decoder", 4)] * 4
    (again,) = painter.inpaint(PICTURE, Image.eval(mask, lambda level: 0), seeds=[1])
    assert again.tobytes() == PICTURE.tobytes()
    assert {"inpaint", "outpaint"}.isdisjoint(kandinsky.capabilities)
    with pytest.raises(ValueError, match="cannot do inpaint"):
        kandinsky.inpaint(PICTURE, mask, seeds=[1])
    assert len(painter.text_to_image(["a cat"], seeds=[1])) == 1  # on an empty canvas


def test_what_we_save_opens_in_diffusers_and_here(kandinsky: UnclipModel, tmp_path: Path) -> None:
    saved = save(kandinsky, tmp_path / "saved")
    stock = KandinskyV22CombinedPipeline.from_pretrained(saved, local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    ours = our_text_to_image(load(saved), PROMPTS, SEEDS, QUICK)
    theirs = stock(
        PROMPTS,
        num_inference_steps=4,
        prior_num_inference_steps=3,
        height=32,
        width=32,
        generator=generators(SEEDS),
        output_type="np",
    ).images
    assert np.abs(ours - theirs).max() <= TOLERANCE
    assert np.abs(ours - our_text_to_image(kandinsky, PROMPTS, SEEDS, QUICK)).max() <= TOLERANCE
    assert load(saved).settings == QUICK
    _, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(inpainting=True, seed=1), tmp_path)
    both = load(f"{saved}+{decoder}")  # its prior, for another decoder
    assert "inpaint" in both.capabilities and len({both.checkpoint_hash, load(saved).checkpoint_hash}) == 2
    assert torch.equal(both.embed_prompt(PROMPTS, SEEDS, QUICK), kandinsky.embed_prompt(PROMPTS, SEEDS, QUICK))


@pytest.mark.parametrize("negative", [None, "a dog"])
def test_a_seed_alone_is_third_of_eight(kandinsky: UnclipModel, negative: str | None) -> None:
    settings, prompts = chosen(negative=negative), ["a cat", "a dog"] * 4
    many = our_text_to_image(kandinsky, prompts, list(range(8)), settings)
    assert np.abs(many[2] - our_text_to_image(kandinsky, prompts[2:3], [2], settings)[0]).max() <= TOLERANCE


def test_all_tasks_draw_with_it(kandinsky: UnclipModel) -> None:
    steps: list[Step] = []
    (picture,) = kandinsky.text_to_image(["a cat"], seeds=[1], on_step=steps.append)
    assert [(step.stage, step.total) for step in steps] == [("prior", 3)] * 3 + [("decoder", 4)] * 4
    assert [len(step.pictures()) for step in steps] == [0] * 3 + [1] * 4
    assert picture.size == (32, 32) and len(kandinsky.steps("a cat", seed=1)) == 4
    assert len(kandinsky.variations(PICTURE, seeds=[1, 2])) == 2
    assert len(kandinsky.interpolate([PICTURE, "a cat"], frames=3, seed=1)) == 3
    assert len(kandinsky.mix([(PICTURE, 1.0), ("a cat", -0.5)], seeds=[1])) == 1
    quickly = QUICK.for_text_diff(4).changed({"prior": {"num_inference_steps": 4}})
    assert len(kandinsky.text_diff(PICTURE, "a dog", seed=1, strengths=[0, 1], settings=quickly)) == 2
    assert len(kandinsky.text_diff(PICTURE, "a dog", seed=1, strengths=[0.3], way="slerp", settings=quickly)) == 1
    for task in ("enhance", "attention", "caption"):
        with pytest.raises(ValueError, match=f"cannot do {task}"):
            kandinsky.require(task)


def test_a_picture_comes_back_from_its_noise(kandinsky: UnclipModel) -> None:
    """As far as MoVQ keeps it, which is the same either way."""
    (back,) = kandinsky.reconstruct([PICTURE], seeds=[1], refinements=2, settings=QUICK.for_inversion(20))
    with torch.no_grad():
        latents = movq.encode(kandinsky.parts.movq, images.to_tensor([PICTURE]))
        (seen,) = images.to_pictures(movq.decode(kandinsky.parts.movq, latents))
    assert np.abs(np.asarray(back, int) - np.asarray(seen, int)).mean() < 3


def test_a_raising_listener_ends_it(kandinsky: UnclipModel) -> None:
    class Enough(Exception):
        pass

    def listen(step: Step) -> None:
        if step.stage == "decoder":
            raise Enough

    with pytest.raises(Enough):
        kandinsky.text_to_image(["a cat"], seeds=[1], on_step=listen)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_draws(kandinsky: UnclipModel, scheduler: str) -> None:
    settings = QUICK.changed({name: {"scheduler": scheduler} for name in QUICK.stages})
    drawn = our_text_to_image(kandinsky, ["a cat"], [1], settings)
    assert np.isfinite(drawn).all() and drawn.std() > 0.01


def test_previews_are_about_what_the_network_decodes(kandinsky: UnclipModel) -> None:
    """Of a network that keeps colours; a random one keeps next to nothing."""
    real = kandinsky.parts.movq
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 2, 2) - 0.5, size=32, mode="bilinear")
    (shown,) = kandinsky._preview(movq.encode(real, smooth))
    assert shown.size == (16, 16)
    assert (images.to_tensor([shown]) - torch.nn.functional.adaptive_avg_pool2d(smooth, 16)).abs().mean() < 0.25


@torch.no_grad()
def test_tiles_make_the_picture_where_memory_does_not(kandinsky: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    network = kandinsky.parts.movq
    latents = torch.randn(2, 4, 20, 20, generator=torch.Generator().manual_seed(0))
    whole = movq.decode(network, latents)
    assert torch.allclose(movq.decode_in_tiles(network, latents, tile=20), whole, atol=1e-5)
    tiled = movq.decode_in_tiles(network, latents, tile=12, overlap=4)
    assert tiled.shape == whole.shape and (tiled - whole).abs().mean() < 0.1 * whole.abs().mean()
    decode, calls = network.decode, []

    def scarce(rows: torch.Tensor, **options: object) -> object:
        calls.append(rows.shape)
        if len(calls) == 1:
            raise torch.OutOfMemoryError
        return decode(rows, **options)

    monkeypatch.setattr(network, "decode", scarce)
    with pytest.warns(UserWarning, match="decoded in tiles"):
        assert torch.allclose(movq.decode(network, latents), whole, atol=1e-5)  # smaller than one tile


def test_a_published_decoder_finds_its_prior(
    folders: tuple[Path, Path], kandinsky: UnclipModel, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    prior, decoder = folders
    model = load(decoder)
    assert model.checkpoint == kandinsky.checkpoint == f"{prior}+{decoder}"
    assert f"draws with what was published beside it, {prior}" in caplog.text
    assert model.checkpoint_hash == kandinsky.checkpoint_hash
    shutil.copytree(decoder, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"mine is a decoder without a prior: name both, PRIOR\+"):
        load(tmp_path / "mine")


def test_what_does_not_fit_is_told(folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path) -> None:
    prior, decoder = folders
    with pytest.raises(ValueError, match=f"is a prior without a decoder.*{prior.name}"):
        load(f"{decoder}+{prior}")
    with pytest.raises(ValueError, match="is a prior without a decoder"):
        load(prior)
    with pytest.raises(ValueError, match=r"decoder.* holds no prior in Kandinsky's layout.* It holds a decoder"):
        load(f"{decoder}+{decoder}")
    with pytest.raises(ValueError, match=r"no prior in Kandinsky's layout: .*, scheduler, .* It is a prior of Karlo\."):
        load(f"{tiny_checkpoint}+{decoder}")
    with pytest.raises(
        ValueError, match=r"no prior in Karlo's layout: .*prior_scheduler.* It is a prior of Kandinsky\."
    ):
        load(f"{prior}+{tiny_checkpoint}")
    made = tiny_kandinsky.parts()
    made.unet = tiny_kandinsky.decoder(6)
    _, odd = tiny_kandinsky.twins(made, tmp_path)
    with pytest.raises(ValueError, match="reads 6 channels: expected 4, or 9"):
        load(f"{prior}+{odd}")
    made.unet = tiny_kandinsky.decoder(4, dim=16)
    _, small = tiny_kandinsky.twins(made, tmp_path / "small")
    with pytest.raises(ValueError, match=r"not made for one another: .* image encoder 32, decoder 16, prior 32"):
        load(f"{prior}+{small}")
    shutil.copytree(decoder, tmp_path / "half")
    (tmp_path / "half" / "movq" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="movq holds no weights"):
        load(f"{prior}+{tmp_path / 'half'}")
    shutil.copytree(prior, tmp_path / "wide")
    shutil.rmtree(tmp_path / "wide" / "image_encoder")
    with pytest.raises(ValueError, match="lacks image_encoder"):
        load(f"{tmp_path / 'wide'}+{decoder}")


def test_it_draws_other_sizes(kandinsky: UnclipModel, painter: UnclipModel) -> None:
    assert list(kandinsky.picture_sizes) == list(range(16, 65, 4))
    settings = QUICK.changed({"decoder": {"picture_size": 48}})
    ours = our_text_to_image(kandinsky, PROMPTS, SEEDS, settings)
    theirs = their_text_to_image(kandinsky, PROMPTS, SEEDS, settings)
    assert ours.shape == (2, 48, 48, 3) and np.abs(ours - theirs).max() <= TOLERANCE
    (picture,) = kandinsky.text_to_image(["a cat"], seeds=[1], settings=settings)
    record = images.read_record(picture)
    assert record["settings"]["decoder"]["picture_size"] == 48
    assert kandinsky.redraw(record).tobytes() == picture.tobytes()
    (painted,) = painter.inpaint(PICTURE, Image.new("L", (32, 32), 255), seeds=[1], settings=settings)
    assert painted.size == (48, 48) and kandinsky.steps("a cat", seed=1, settings=settings)[0].size == (48, 48)
    with pytest.raises(ValueError, match=r"draws pictures of 32 pixels a side \(16, 20, .*, 64\), not of 50"):
        kandinsky.text_to_image(["a cat"], seeds=[1], settings=QUICK.changed({"decoder": {"picture_size": 50}}))


def test_the_command_line_draws_with_it(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--checkpoint", "+".join(map(str, folders)), "--steps", "2", "--seed", "3", "-o", str(tmp_path / "out")]
    assert main(["a cat", *common, "--size", "64", "--literal"]) == 0
    (file,) = (tmp_path / "out").iterdir()
    assert images.open_picture(file).size == (64, 64)
    assert main(["--from", str(file), "-o", str(tmp_path / "again.png")]) == 0
    assert images.open_picture(tmp_path / "again.png").tobytes() == images.open_picture(file).tobytes()
    for size in ("33", "900"):
        assert main(["a cat", *common, "--size", size, "--literal"]) == 1
        said = capsys.readouterr().err
        assert "draws pictures of 32 pixels a side (16, 20, " in said and f"not of {size}." in said
    assert main(["a cat", *common, "--size", "32", "--literal"]) == 0
    assert main(["--from", str(file), "--size", "900", "-o", str(tmp_path / "larger.png")]) == 1
    assert "cannot do enhance" in capsys.readouterr().err


def test_the_service_and_the_ruler_draw_with_it(kandinsky: UnclipModel, tmp_path: Path) -> None:
    told = list(Service(kandinsky).draw(TextToImage(["a cat"]), 1, 2, {"negative_prompt": "a dog"}))
    assert told[-1].finished and len(told[-1].pictures) == 2
    order = generation(Service(kandinsky), Generation(prompt="a cat", size="64x48"))
    assert order.side is None and order.settings["decoder"]["picture_size"] == 48
    with pytest.raises(Problem, match=r"draws pictures of 32 pixels a side \(16, 20, .*\), not of 33"):
        generation(Service(kandinsky), Generation(prompt="a cat", size="33x33", enlarge=True))
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    manifest = generate(kandinsky, read_prompts(str(tmp_path / "prompts.txt")), tmp_path / "drawn")
    assert manifest.picture_size == 32 and len(list((tmp_path / "drawn").glob("*.png"))) == 2
