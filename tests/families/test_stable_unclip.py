"""Stable unCLIP: its layout, Karlo's prior for it, noise levels, seeds, tasks, and parity with diffusers' pipelines."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import stable_twin
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    PNDMScheduler,
    StableUnCLIPImg2ImgPipeline,
    StableUnCLIPPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from dalle2 import images, sampling
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.families.stable_unclip import load as opening
from dalle2.families.stable_unclip.model import StableUnclipModel, default_settings
from dalle2.model import UnclipModel
from dalle2.serving.service import Service
from dalle2.settings import DecoderSettings, PriorSettings, Settings, Step
from dalle2.tasks.text_to_image import TextToImage
from dalle2.unclip_base import generators
from demo.facts import Facts
from evaluation import compute_fid, draw

PICTURES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8)) for seed in (0, 1)
]
TOLERANCE = 1e-4
DDIM = {"scheduler": "ddim"}
QUICK = Settings(
    prior=PriorSettings(5, guidance_scale=2.0, scheduler="ddpm"), decoder=DecoderSettings(4, guidance_scale=4.0, **DDIM)
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_twin.write(stable_twin.parts(), tmp_path_factory.mktemp("stable") / "unclip-small")


@pytest.fixture(scope="module")
def drawer(twin: Path, karlo_text: Path) -> StableUnclipModel:
    """With Karlo's prior."""
    return load(f"{karlo_text}+{twin}")


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=int)


THEIRS = {"ddim": DDIMScheduler, "pndm": PNDMScheduler}  # the latter is published with it


def text_pipeline(model: StableUnclipModel, scheduler: str = "ddim") -> StableUnCLIPPipeline:
    """As diffusers' documentation assembles it, but with the noise schedule that Karlo's prior was trained with."""
    parts = {name: part for name, part in model.parts.present().items() if name not in opening.layout.EYES}
    parts["prior_scheduler"] = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        variance_type="fixed_small_log",
        clip_sample_range=5.0,
        timestep_spacing="linspace",
    )
    parts["scheduler"] = THEIRS[scheduler].from_config(model.parts.scheduler.config)
    pipeline = StableUnCLIPPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def picture_pipeline(model: StableUnclipModel, scheduler: str = "ddim") -> StableUnCLIPImg2ImgPipeline:
    parts = {name: part for name, part in model.parts.present().items() if not name.startswith("prior")}
    parts["scheduler"] = THEIRS[scheduler].from_config(model.parts.scheduler.config)
    pipeline = StableUnCLIPImg2ImgPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pixels(model: StableUnclipModel, *arguments: object) -> np.ndarray:
    return (model.decode_pixels(*arguments).clamp(-1, 1) * 0.5 + 0.5).permute(0, 2, 3, 1).numpy()


# Layout


def test_it_says_what_it_can_do(drawer: StableUnclipModel, twin: Path, karlo_text: Path) -> None:
    seeing = {"interpolate", "mix", "inpaint", "outpaint", "variations", "reconstruct"}
    assert load(twin).capabilities == seeing
    assert drawer.capabilities == seeing | {"text_to_image", "steps", "tour", "text_diff", "dimensions"}
    assert drawer.checkpoint == f"{karlo_text}+{twin}" and drawer.picture_size == 32
    assert drawer.stages == ("prior", "decoder") and load(twin).stages == ("decoder",)
    with pytest.raises(ValueError, match="cannot do text_to_image"):
        load(twin).text_to_image(["a cat"], seeds=[1])


def test_karlos_prior_is_found_by_itself(
    twin: Path, karlo_text: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "PARTNERS", {32: str(karlo_text)})
    assert load(twin).checkpoint == f"{karlo_text}+{twin}"
    monkeypatch.setattr(opening, "PARTNERS", {32: "kakaobrain/karlo-v1-alpha"})  # there is no network
    with caplog.at_level(logging.WARNING):
        assert "text_to_image" not in load(twin).capabilities
    assert "draws variations only" in caplog.text and "cannot be reached" in caplog.text


def test_published_partners_are_known_by_the_size_of_their_embeddings() -> None:
    # huggingface/diffusers, docs/source/en/api/pipelines/stable_unclip.md: the small one with Karlo's prior alone.
    assert opening.PARTNERS == {768: "kakaobrain/karlo-v1-alpha"}


def test_what_is_saved_opens_here_and_in_diffusers(drawer: StableUnclipModel, twin: Path, tmp_path: Path) -> None:
    drawer.settings, before = QUICK, drawer.settings
    try:
        saved = opening.save(drawer, tmp_path / "saved")
        again = load(saved)
        assert again.capabilities == drawer.capabilities and again.settings == QUICK and again.checkpoint == str(saved)
        first, second = (model.text_to_image(["a cat"], seeds=[3], settings=QUICK)[0] for model in (drawer, again))
        assert np.abs(levels(first) - levels(second)).max() <= 1
    finally:
        drawer.settings = before
    text = StableUnCLIPPipeline.from_pretrained(saved, local_files_only=True)
    assert text.prior_scheduler.config.beta_schedule == "squaredcos_cap_v2"
    text.set_progress_bar_config(disable=True)
    text.scheduler = DDIMScheduler.from_config(text.scheduler.config)
    theirs = text(
        ["a cat"],
        generator=generators([3]),
        num_inference_steps=4,
        guidance_scale=4.0,
        prior_num_inference_steps=5,
        prior_guidance_scale=2.0,
    ).images[0]
    assert np.abs(levels(theirs) - levels(first)).max() <= 1
    assert StableUnCLIPImg2ImgPipeline.from_pretrained(saved, local_files_only=True).image_encoder is not None
    alone = opening.save(load(twin), tmp_path / "alone")
    assert StableUnCLIPImg2ImgPipeline.from_pretrained(alone, local_files_only=True).vae is not None


def test_the_half_precision_variant(tmp_path: Path) -> None:
    folder = stable_twin.write(stable_twin.parts(), tmp_path / "half", variant="fp16")
    assert {file.name for file in (folder / "unet").iterdir()} >= {"diffusion_pytorch_model.fp16.safetensors"}
    assert load(folder).parts.unet.dtype == torch.float32


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ("decoder+karlo", r"holds no prior"),
        ("variations+decoder", r"holds no prior in Karlo's layout: expected the folders .*It holds a decoder"),
    ],
)
def test_mixed_up_names_are_told(
    order: str, sentence: str, twin: Path, karlo_text: Path, karlo_variations: Path
) -> None:
    places = {"decoder": twin, "karlo": karlo_text, "variations": karlo_variations}
    with pytest.raises(ValueError, match=sentence):
        load("+".join(str(places[name]) for name in order.split("+")))


def test_parts_that_do_not_fit_are_told(twin: Path, karlo_text: Path, tmp_path: Path) -> None:
    other = stable_twin.parts()
    other.image_normalizer = type(other.image_normalizer)(embedding_dim=16)
    folder = stable_twin.write(other, tmp_path / "other")
    with pytest.raises(ValueError, match=r"unet reads 64 numbers of an image embedding.*make 32"):
        load(folder)
    shutil.rmtree(folder / "image_normalizer")
    with pytest.raises(ValueError, match="names image_normalizer, which is not there"):
        load(folder)
    broken = Path(shutil.copytree(twin, tmp_path / "broken"))
    (broken / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "CosineDPMSolver"}')
    with pytest.raises(ValueError, match="scheduler is a CosineDPMSolver"):
        load(broken)


# Published values

# Stability-AI/stablediffusion, configs/stable-diffusion/v2-1-stable-unclip-l-inference.yaml (and -h-): image_size 96,
# channels 4, model_channels 320, channel_mult 1 2 4 4, num_res_blocks 2, attention at 4 2 1, num_head_channels 64,
# context_dim 1024, use_linear_in_transformer, num_classes "sequential" with adm_in_channels 1536 (-h- 2048), which
# diffusers' convert_from_ckpt.py (create_unet_diffusers_config, and "v2.1 needs to upcast attention") makes this:
UNET = {
    "sample_size": 96,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
    "class_embed_type": "projection",
    "upcast_attention": True,
}
# The same file: ddconfig ch 128, ch_mult 1 2 4 4, z_channels 4, num_res_blocks 2; scale_factor 0.18215.
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
    "sample_size": 768,
}


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_networks_have_their_published_sizes() -> None:
    with torch.device("meta"):
        small, large = (
            UNet2DConditionModel(**UNET, projection_class_embeddings_input_dim=2 * dim) for dim in (768, 1024)
        )
        vae = AutoencoderKL(**VAE)
        # ViT-H/14's text tower but for its last layer (layer: "penultimate"): 23 layers of 1024, 16 heads.
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16)
        )
    # "an 865M UNet" (Stability-AI/stablediffusion, README.md); the embedding of the image comes to it.
    for unet in (small, large):
        assert round((parameters(unet) - parameters(unet.class_embedding)) / 1e6) in (865, 866)
    assert parameters(large) - parameters(small) == 512 * 1280
    assert [round(parameters(network) / 1e6) for network in (small, large, vae, text)] == [870, 870, 84, 340]


def test_the_twin_has_the_published_schedules(twin: Path) -> None:
    """The same file: linear_start, linear_end, timesteps, parameterization "v", and noise_schedule_config.

    diffusers' convert_from_ckpt.py names the first "scaled_linear", and clips nothing.
    """
    decoder, noise = (
        json.loads((twin / name / "scheduler_config.json").read_text())
        for name in ("scheduler", "image_noising_scheduler")
    )
    schedule = {name: decoder[name] for name in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")}
    assert list(schedule.values()) == [0.00085, 0.012, "scaled_linear", 1000]
    assert decoder["prediction_type"] == "v_prediction" and not decoder["clip_sample"]
    assert (noise["num_train_timesteps"], noise["beta_schedule"]) == (1000, "squaredcos_cap_v2")
    assert sampling.noise_schedule(decoder).items() >= schedule.items()


def test_the_defaults_are_those_of_diffusers() -> None:
    """Of StableUnCLIPPipeline.__call__ in 0.42.1, but for the solver: the published one, pndm, needs more steps."""
    decoder = DecoderSettings(20, guidance_scale=10.0, scheduler="dpm++")
    assert default_settings(True) == Settings(PriorSettings(25, guidance_scale=4.0), decoder)
    assert default_settings(False) == Settings(None, decoder)


# Parity


@pytest.mark.parametrize("prompts", [["a cat face"], ["a dog", "an orange cat"]])
@pytest.mark.parametrize(
    ("guidance", "negative", "scheduler"),
    [(1.0, None, "ddim"), (4.0, None, "ddim"), (4.0, "", "pndm"), (4.0, "a dog", "ddim"), (1.0, None, "pndm")],
)
def test_text_to_image_is_diffusers_own(
    prompts: list[str], guidance: float, negative: str | None, scheduler: str, drawer: StableUnclipModel
) -> None:
    decoder = {"guidance_scale": guidance, "scheduler": scheduler}
    settings = QUICK.changed({"prior": {"guidance_scale": guidance}, "decoder": decoder})
    settings = dataclasses.replace(settings, negative_prompt=negative)
    seeds = [3, 4][: len(prompts)]
    noise = generators(seeds)
    ours = pixels(drawer, drawer.embed_prompt(prompts, noise, settings), noise, prompts, settings)
    theirs = text_pipeline(drawer, scheduler)(
        prompts,
        generator=generators(seeds),
        num_inference_steps=4,
        guidance_scale=guidance,
        negative_prompt=None if negative is None else [negative] * len(prompts),
        prior_num_inference_steps=5,
        prior_guidance_scale=guidance,
        output_type="np",
    ).images
    assert ours.std() > 0.01 and np.abs(ours - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("guidance", "level", "scheduler"), [(1.0, 0, "ddim"), (4.0, 0, "pndm"), (4.0, 300, "ddim"), (4.0, 300, "pndm")]
)
def test_variations_are_diffusers_own(
    count: int, guidance: float, level: int, scheduler: str, drawer: StableUnclipModel
) -> None:
    """Several pictures with a generator each; of several pictures of one, see below."""
    decoder = {"guidance_scale": guidance, "noise_level": level, "scheduler": scheduler}
    settings = QUICK.changed({"decoder": decoder})
    pictures, seeds = PICTURES[:count], [7, 8][:count]
    ours = pixels(drawer, drawer.embed_image(pictures), seeds, ["a cat"] * count, settings)
    theirs = picture_pipeline(drawer, scheduler)(
        pictures,
        ["a cat"] * count,
        generator=generators(seeds),
        num_inference_steps=4,
        guidance_scale=guidance,
        noise_level=level,
        output_type="np",
    ).images
    assert ours.std() > 0.01 and np.abs(ours - theirs).max() <= TOLERANCE


def test_no_negative_prompt_is_the_empty_one(drawer: StableUnclipModel) -> None:
    """As in diffusers, whose unconditional half reads "" without one."""
    embedding, none = drawer.embed_image(PICTURES[:1]), QUICK
    empty, words = (dataclasses.replace(QUICK, negative_prompt=text) for text in ("", "a dog"))
    first, second, third = (drawer.decode_pixels(embedding, [1], ["a cat"], chosen) for chosen in (none, empty, words))
    assert torch.equal(first, second) and (first - third).abs().max() > 1e-3
    prompts = [drawer.embed_prompt(["a cat"], [1], chosen) for chosen in (none, words)]
    assert torch.equal(*prompts)  # it is the decoder's alone
    with pytest.raises(ValueError, match="The negative prompt has no effect"):
        drawer.text_to_image(["a cat"], seeds=[1], settings=words.with_guidance(1.0))


# Seeds and noise


def test_a_seed_belongs_to_a_picture(drawer: StableUnclipModel) -> None:
    """Where diffusers' img2img pipeline makes the noise of all embeddings by the first generator."""
    noisy = QUICK.changed({"decoder": {"noise_level": 500}})
    embedding = drawer.embed_image(PICTURES[:1])
    eight = drawer.decode_pixels(embedding.expand(8, -1), range(1, 9), None, noisy)
    (alone,) = drawer.decode_pixels(embedding, [3], None, noisy)
    assert (alone - eight[2]).abs().max() <= 1e-4 and (eight[0] - eight[1]).abs().max() > 0.05
    both = drawer.text_to_image(["a cat"] * 3, seeds=[1, 2, 3], settings=noisy)
    (third,) = drawer.text_to_image(["a cat"], seeds=[3], settings=noisy)
    assert np.abs(levels(both[2]) - levels(third)).max() <= 1


def test_the_noise_level_is_checked(drawer: StableUnclipModel, model: UnclipModel, quick: Settings) -> None:
    embedding = drawer.embed_image(PICTURES[:1])
    quiet, loud = (
        drawer.decode_pixels(embedding, [1], None, QUICK.changed({"decoder": {"noise_level": level}}))
        for level in (0, 900)
    )
    assert (quiet - loud).abs().max() > 1e-3
    (picture,) = drawer.variations(PICTURES[0], seeds=[2], settings=QUICK.changed({"decoder": {"noise_level": 300}}))
    record = images.read_record(picture)
    assert record["settings"]["decoder"]["noise_level"] == 300 and "noise_level" not in QUICK.to_dict()["decoder"]
    named = {record["picture"]: PICTURES[0]}
    assert np.array_equal(levels(drawer.redraw(record, pictures=list(named.values()))), levels(picture))
    with pytest.raises(ValueError, match="noise_level must be a whole number from 0 to 999"):
        QUICK.changed({"decoder": {"noise_level": 1000}})
    with pytest.raises(ValueError, match="learned no noise levels"):
        model.text_to_image(["a cat"], seeds=[1], settings=quick.changed({"decoder": {"noise_level": 1}}))


# Tasks


def test_an_inversion_finds_the_way_back(drawer: StableUnclipModel) -> None:
    settings = QUICK.changed({"decoder": {"num_inference_steps": 30, "guidance_scale": 1.0}})
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    (again,) = drawer.reconstruct([picture], seeds=[1], settings=settings)
    coded = drawer.parts.vae.decode(
        drawer.parts.vae.encode(images.to_tensor([picture])).latent_dist.mode()
    ).sample.detach()
    assert np.abs(levels(again) - levels(images.to_pictures(coded)[0])).mean() < 4


def test_tasks_are_made_of_the_operations(drawer: StableUnclipModel) -> None:
    frames = drawer.interpolate(["a cat", PICTURES[0]], frames=3, seed=1, settings=QUICK)
    assert np.abs(levels(frames[0]) - levels(frames[2])).max() > 1
    assert len(drawer.mix([("a cat", 1.0), (PICTURES[0], 0.5)], seeds=[1], settings=QUICK)) == 1
    diffed = drawer.text_diff(PICTURES[0], "a dog", seed=1, strengths=[0.0, 1.0], settings=QUICK.for_text_diff(5))
    assert np.abs(levels(diffed[0]) - levels(diffed[1])).max() > 1
    mask = Image.new("L", PICTURES[0].size, 0)
    mask.paste(255, (8, 0, 28, 40))
    (painted,) = drawer.inpaint(PICTURES[0], mask, seeds=[1], prompt="a cat", settings=QUICK)
    kept = levels(images.square(mask, 32)) == 0
    assert np.array_equal(levels(painted)[kept], levels(images.square(images.to_rgb(PICTURES[0]), 32))[kept])
    assert np.abs(levels(painted) - levels(images.square(images.to_rgb(PICTURES[0]), 32)))[~kept].max() > 5


def test_previews_are_small_clean_pictures(drawer: StableUnclipModel) -> None:
    told: list[Step] = []
    shown: list[Image.Image] = []

    def look(step: Step) -> None:
        told.append(step)
        shown.extend(step.pictures())

    drawer.text_to_image(["a cat"], seeds=[1], settings=QUICK, on_step=look)
    assert [step.stage for step in told] == ["prior"] * 5 + ["decoder"] * 4
    assert len(shown) == 4 and shown[0].size == (16, 16)

    def cancel(step: Step) -> None:
        if step.stage == "decoder":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawer.text_to_image(["a cat"], seeds=[1], settings=QUICK, on_step=cancel)


@pytest.mark.parametrize("scheduler", ["unclip", "ddpm", "dpm++", "unipc", "pndm"])
def test_every_scheduler_drives_it(scheduler: str, drawer: StableUnclipModel) -> None:
    settings = QUICK.changed({"prior": {"scheduler": scheduler}, "decoder": {"scheduler": scheduler}})
    (picture,) = drawer.text_to_image(["a cat"], seeds=[1], settings=settings)
    assert levels(picture).std() > 1


def test_the_published_scheduler_keeps_seeds_and_can_be_cancelled(drawer: StableUnclipModel) -> None:
    settings = QUICK.changed({"decoder": {"scheduler": "pndm"}})
    embedding = drawer.embed_image(PICTURES[:1])
    eight = drawer.decode_pixels(embedding.expand(8, -1), range(8), None, settings)
    assert (eight[2] - drawer.decode_pixels(embedding, [2], None, settings)[0]).abs().max() <= TOLERANCE
    told: list[Step] = []

    def cancel(step: Step) -> None:
        told.append(step)
        if step.index == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        drawer.decode_pixels(embedding, [2], None, settings, cancel)
    # One look more than steps, of which progress tells from the first on.
    assert [(step.index, step.total) for step in told] == [(1, 5), (2, 5), (3, 5)]
    assert list(TextToImage(["a cat"]).steps(settings).values()) == [5, 5]
    service = list(Service(drawer).draw(TextToImage(["a cat"]), 1, 1, {"decoder": {"scheduler": "pndm"}}))
    assert service[0].stages[1] == ("decoder", 0, 21) and service[-1].stages[1] == ("decoder", 21, 21)


# In the other rooms


def test_it_draws_other_sizes(drawer: StableUnclipModel) -> None:
    assert list(drawer.picture_sizes) == list(range(16, 43, 4))
    settings = QUICK.changed({"decoder": {"picture_size": 40}})
    noise, prompts = generators([3]), ["a cat face"]
    ours = pixels(drawer, drawer.embed_prompt(prompts, noise, settings), noise, prompts, settings)
    # Its autoencoder is ours, which decodes in tiles what is larger than in its training.
    theirs = text_pipeline(drawer)(
        prompts,
        generator=generators([3]),
        height=40,
        width=40,
        num_inference_steps=4,
        guidance_scale=4.0,
        prior_num_inference_steps=5,
        prior_guidance_scale=2.0,
        output_type="np",
    ).images
    assert ours.shape == (1, 40, 40, 3) and np.abs(ours - theirs).max() <= TOLERANCE
    mask = Image.new("L", PICTURES[0].size, 255)
    assert drawer.inpaint(PICTURES[0], mask, seeds=[1], settings=settings)[0].size == (40, 40)


def test_the_command_line_the_service_and_the_ruler_draw_with_it(
    twin: Path, karlo_text: Path, tiny_checkpoint: Path, tmp_path: Path, drawer: StableUnclipModel
) -> None:
    name = f"{karlo_text}+{twin}"
    common = ["--checkpoint", name, "--steps", "2", "--seed", "3", "--scheduler", "ddpm,pndm"]
    assert main(["a cat", *common, "--noise-level", "200", "--size", "40", "-o", str(tmp_path / "one.png")]) == 0
    record = images.read_record(tmp_path / "one.png")
    assert record["settings"]["decoder"]["noise_level"] == 200 and record["checkpoint"] == name
    assert main(["--from", str(tmp_path / "one.png"), "-o", str(tmp_path / "again.png")]) == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "one.png").read_bytes()

    service = Service(drawer)
    told = list(service.draw(TextToImage(["a cat"]), 1, 2, {"decoder": {"noise_level": 9}}))
    assert told[-1].finished and len(told[-1].pictures) == 2

    (tmp_path / "prompts.txt").write_text("a cat\na dog\na cat face\n")
    folders = [tmp_path / folder for folder in ("drawn", "reference")]
    for folder, seed in zip(folders, (0, 50), strict=True):
        draw(str(tmp_path / "prompts.txt"), folder, checkpoint=name, steps="2", seed=seed)
    report = compute_fid(*folders, network=f"clip:{tiny_checkpoint}", size=32, workers=0)
    assert any("FID" in one.label and np.isfinite(one.value) for one in report.measures)


def test_the_page_offers_noise_levels_where_there_are_any(drawer: StableUnclipModel, model: UnclipModel) -> None:
    facts = Facts(Service(drawer, model))
    assert [facts.of(each.checkpoint)["noise_levels"] for each in (drawer, model)] == [1000, 0]
