"""DALLE2-pytorch: its networks give what the package gives, its files become a checkpoint, and that does all tasks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from diffusers import DDPMScheduler
from packaging.version import Version
from PIL import Image
from safetensors.torch import save_file

import evaluation
from dalle2 import convert, images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.families.dalle2_pytorch.conversion import convert_prior, convert_unet
from dalle2.families.dalle2_pytorch.load import save
from dalle2.families.dalle2_pytorch.prior import PriorNetwork
from dalle2.families.dalle2_pytorch.stages import draw_embeddings, prior_stage, small_conditions, unet_stage
from dalle2.families.dalle2_pytorch.unet import CascadeUnet
from dalle2.families.offload import offload
from dalle2.model import UnclipModel
from dalle2.networks.text_encoder import EncodedText
from dalle2.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import Settings
from dalle2.stage_settings import DecoderSettings, PriorSettings, UpsamplerSettings
from dalle2.tasks.text_to_image import TextToImage
from evaluation.drawing.generation import generate
from evaluation.prompts.prompt_sets import read_prompts

FILES = Path(__file__).parent / "dalle2_pytorch"
PEERS = Path(__file__).parents[2] / "runs" / "peers"
TOLERANCE, STEPS, SEED = 1e-4, 64, 7
QUICK = Settings(
    PriorSettings(4, guidance_scale=2.0, scheduler="ddim"),
    DecoderSettings(4, guidance_scale=2.0, scheduler="ddim"),
    UpsamplerSettings(3, scheduler="ddim"),
)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
CLIP = ("text_encoder", "image_encoder", "tokenizer", "feature_extractor")


def stored(name: str, folder: Path = FILES) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """The weights and the config of a file of the package's own making, inputs, and the package's outputs."""
    weights = torch.load(folder / f"{name}.pth", weights_only=True)
    (config,) = json.loads((folder / f"{name}.json").read_text()).values()
    outputs = torch.load(folder / f"{name}.outputs.pt", weights_only=True)
    return weights, config, outputs["given"], outputs["made"]


def near(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    assert theirs.std() > 0.02, "a network that says nothing shows nothing"
    return (ours - theirs).abs().max() <= TOLERANCE


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP in one folder, as transformers' are published."""
    folder = tmp_path_factory.mktemp("clips") / "clip"
    made = tiny.parts()
    for name in CLIP:
        getattr(made, name).save_pretrained(folder)
    text, image = made.text_encoder.config.to_dict(), made.image_encoder.config.to_dict()
    both = {"model_type": "clip", "projection_dim": 32, "text_config": text, "vision_config": image}
    (folder / "config.json").write_text(json.dumps(both))
    save_file({**made.text_encoder.state_dict(), **made.image_encoder.state_dict()}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def converted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "tiny"
    convert.main([*names("prior", "decoder"), "--clip", str(clip), "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def model(converted: Path) -> UnclipModel:
    return load(converted)


def names(*stems: str, folder: Path = FILES) -> list[str]:
    return [str(folder / f"{stem}{suffix}") for stem in stems for suffix in (".pth", ".json")]


@pytest.mark.parametrize("name", ["prior", "prior-other", "former-prior"])
@torch.no_grad()
def test_a_prior_predicts_and_draws_what_the_package_does(name: str, folder: Path = FILES) -> None:
    saved, config, given, made = stored(name, folder)
    converted = convert_prior(saved["model"], config, Version(saved["version"]))
    prior: Any = converted.network
    assert all("before 1.9.0" in note for note in converted.notes) and bool(converted.notes) == (name == "former-prior")
    text = [given[part] for part in ("text_embeds", "tokens", "mask")]
    assert near(prior(given["x"], given["t"], *text, torch.tensor([True, True])), made["seen"])
    if name != "former-prior":  # of which guidance had no effect
        assert near(prior(given["x"], given["t"], *text, torch.tensor([False, False])), made["unseen"])
    for scale in (1.0, 2.5) if f"drawn at {2.5}" in made else (1.0,):
        rows = [torch.cat([part[:1]] * (1 if scale == 1 else 2)) for part in text]
        keep = torch.ones(len(rows[0]), dtype=torch.bool)
        keep[: len(keep) // 2] = False
        stage = prior_stage(prior, converted.scheduler, EncodedText(*rows), keep)
        settings = PriorSettings(STEPS, scheduler="ddpm", guidance_scale=scale)
        noise = [torch.Generator().manual_seed(SEED)]
        drawn = draw_embeddings(prior, stage, settings, noise, torch.device("cpu"), None)
        assert near(drawn, made[f"drawn at {scale}"])


@pytest.mark.parametrize("name", ["decoder", "decoder-other", "former-decoder"])
@torch.no_grad()
def test_a_unet_predicts_and_draws_what_the_package_does(name: str, folder: Path = FILES) -> None:
    saved, config, given, made = stored(name, folder)
    for index in range(len(config["unets"])):
        converted = convert_unet(saved["model"], config, index, Version(saved["version"]))
        unet: Any = converted.network
        told = {"image_embeds": given["text_embeds"], "tokens": given["tokens"], "mask": given["mask"]}
        if index:
            told |= {"small": given[f"small {index}"], "noise_level": torch.tensor([2, 9])}
        for seen in (True, False):
            keep = dict.fromkeys(("image_keep", "text_keep"), torch.tensor([seen, seen]))
            theirs = made[f"{'seen' if seen else 'unseen'} {index}"]
            assert near(unet(given[f"pixels {index}"], given["t"], **told, **keep), theirs)
        scheduler, noise = DDPMScheduler(**converted.scheduler), [torch.Generator().manual_seed(SEED)]
        side, device = config["image_sizes"][index], torch.device("cpu")
        scale = 1.0 if index or config["learned_variance"] else 2.0
        seen = [True] if scale == 1 else [False, True]
        keep = dict.fromkeys(("image_keep", "text_keep"), torch.tensor(seen))
        conditions = {part: torch.cat([rows[:1]] * len(seen)) for part, rows in told.items()} | keep
        if index:
            conditions |= small_conditions(unet, made["drawn"] * 2 - 1, side, noise, device)
        settings = DecoderSettings(STEPS, scheduler="ddpm", guidance_scale=scale)
        drawn = unet_stage(unet, scheduler, conditions, side).draw(settings, noise, device, None)
        assert near((drawn + 1) / 2, made["enlarged" if index else "drawn"])


@pytest.mark.parametrize("peer", ["dalle2-pytorch", "dalle2-pytorch-former"])
def test_what_the_package_makes_today_is_what_is_stored(peer: str, tmp_path: Path) -> None:
    if not (PEERS / peer).is_dir():
        pytest.skip(f"{peer} is not there: bash .ci/peers installs it.")
    script = Path(__file__).parent / "dalle2_pytorch_files.py"
    environment = {**os.environ, "PYTHONPATH": str(PEERS / peer)}
    subprocess.run([sys.executable, script, tmp_path], env=environment, check=True, capture_output=True)
    made = sorted(tmp_path.glob("*.json"))
    assert made
    for config in made:
        check = test_a_prior_predicts_and_draws_what_the_package_does
        if "decoder" in config.stem:
            check = test_a_unet_predicts_and_draws_what_the_package_does
        check(config.stem, tmp_path)


def test_laions_networks_have_the_sizes_that_the_documentation_tells() -> None:
    """lucidrains/DALLE2-pytorch, issue 282, quotes the configs of LAION's prior and of its decoder of 64 pixels.

    Of the prior's file 77 tokens are known by its CLIP, ViT-L/14. What the files weigh could not be read.
    """
    wide = {"dim": 320, "cond_dim": 512, "image_embed_dim": 768, "text_embed_dim": 768, "dim_mults": (1, 2, 3, 4)}
    wide |= {"num_resnet_blocks": (4,) * 4, "attn_heads": 8, "attn_dim_head": 64, "sparse_attn": True}
    wide |= {"memory_efficient": True, "self_attn": (False, True, True, True), "cond_on_text_encodings": True}
    with torch.device("meta"):
        prior = PriorNetwork(depth=12, heads=12, dim_head=64, normformer=True, num_timesteps=1000, max_text_len=77)
        unet = CascadeUnet(**wide, channels_out=6, cond_on_image_embeds=True, former_downsample=True)
    millions = [round(sum(one.numel() for one in network.parameters()) / 1e6) for network in (prior, unet)]
    lines = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith("| DALLE2-pytorch, LAION's 64 pixels |"))
    assert f"prior {millions[0]}, U-Net {millions[1]}," in row


def test_every_task_is_done(model: UnclipModel) -> None:
    assert model.picture_size == 16 and model.upsampling == 2
    back, diff = QUICK.for_inversion(6), QUICK.for_text_diff(6)
    drawn = model.text_to_image(["a cat", "a dog"], seeds=[1, 2], settings=QUICK)
    assert [picture.size for picture in drawn] == [(16, 16)] * 2 and drawn[0].tobytes() != drawn[1].tobytes()
    assert model.redraw(images.read_record(drawn[1])).tobytes() == drawn[1].tobytes()
    assert len(model.variations(PICTURE, seeds=[1], settings=QUICK)) == 1
    assert len(model.variations(PICTURE, seeds=[1], eta=0.5, settings=back)) == 1
    assert len(model.interpolate([PICTURE, "a cat"], seed=1, frames=3, settings=QUICK)) == 3
    assert len(model.mix([(PICTURE, 1.0), ("a cat", -0.5)], seeds=[1], settings=QUICK)) == 1
    diffs = model.text_diff(PICTURE, "a dog", old="a cat", strengths=[0.5, 1.0], seed=1, settings=diff)
    assert diffs[0].tobytes() != diffs[1].tobytes()
    assert len(model.steps("a cat", seed=1, settings=QUICK)) > 4
    assert len(model.dimensions(PICTURE, [1, 4], seed=1, settings=QUICK)) == 2
    assert model.enlarge(drawn[0], 40, settings=QUICK).size == (40, 40)
    assert model.reconstruct([drawn[0]], seeds=[1], settings=back)[0].size == (16, 16)
    mask = Image.new("L", PICTURE.size, 0)
    mask.paste(255, (0, 0, 16, 32))
    (painted,) = model.inpaint(PICTURE, mask, seeds=[1], prompt="a cat", settings=QUICK)
    kept = np.asarray(images.square(mask, 16)) == 0
    assert (np.asarray(painted)[kept] == np.asarray(images.square(PICTURE, 16))[kept]).all()
    assert model.outpaint(PICTURE, seeds=[1], settings=QUICK)[0].size == (16, 16)
    with pytest.raises(ValueError, match="cannot do attention"):
        model.attention("a cat", seed=1)


def test_a_seed_is_a_pictures_own(model: UnclipModel) -> None:
    """Third of eight, guided and not, with a negative prompt that says nothing and without one."""
    for negative, scale in ((None, 1.0), (None, 4.0), ("", 4.0), ("a dog", 4.0)):
        changes = {"prior": {"guidance_scale": scale, "eta": 1.0}, "decoder": {"guidance_scale": scale, "eta": 1.0}}
        settings = Settings(**{**vars(QUICK.changed(changes)), "negative_prompt": negative})
        many = model.embed_prompt(["a cat"] * 8, range(8), settings)
        alone = model.embed_prompt(["a cat"], [2], settings)
        assert (many[2] - alone[0]).abs().max() <= TOLERANCE
        generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
        pixels = model.decode_pixels(many, generators, ["a cat"] * 8, settings)
        own = model.decode_pixels(alone, [2], ["a cat"], settings)
        assert (pixels[2] - own[0]).abs().max() <= TOLERANCE
        if negative is not None:
            assert (model.embed_prompt(["a cat"], [2], QUICK.changed(changes)) - alone).abs().max() > 1e-3


def test_it_is_saved_and_opened_in_half_precision_and_by_turns(model: UnclipModel, tmp_path: Path) -> None:
    settings = {"seeds": [3], "settings": QUICK}
    (drawn,) = model.text_to_image(["a cat"], **settings)
    again = load(save(model, tmp_path / "again"))
    assert again.text_to_image(["a cat"], **settings)[0].tobytes() == drawn.tobytes()
    offload(again.parts.present(), torch.device("cpu"))
    assert again.text_to_image(["a cat"], **settings)[0].tobytes() == drawn.tobytes()
    layered = load(tmp_path / "again")
    offload(layered.parts.present(), torch.device("cpu"), "sequential")
    assert layered.text_to_image(["a cat"], **settings)[0].tobytes() == drawn.tobytes()
    with pytest.raises(ValueError, match="computes diffusers' networks, and this checkpoint has none"):
        load(tmp_path / "again", engine="onnxruntime")
    half = load(tmp_path / "again", dtype=torch.bfloat16)
    assert half.text_to_image(["a cat"], **settings)[0].size == (16, 16)
    with pytest.raises(ValueError, match="where a prior is converted together with its decoder"):
        load(f"{tmp_path / 'again'}+{tmp_path / 'again'}")
    shutil.rmtree(tmp_path / "again" / "unet_2")
    with pytest.raises(ValueError, match=r"is not a whole checkpoint: it lacks unet_2"):
        load(tmp_path / "again")


def test_the_command_line_draws_with_it_and_the_ruler_measures_it(
    converted: Path, model: UnclipModel, tmp_path: Path
) -> None:
    common = ["--checkpoint", str(converted), "--steps", "2", "--literal"]
    assert main(["a cat", *common, "-o", str(tmp_path / "cat.png")]) == 0
    assert images.open_picture(tmp_path / "cat.png").size == (16, 16)
    (tmp_path / "prompts.txt").write_text("a cat\na dog\ntwo cats\na face\n")
    generate(model, read_prompts(str(tmp_path / "prompts.txt")), tmp_path / "drawn", settings=QUICK)
    report = evaluation.compute_fid(str(tmp_path / "drawn"), str(tmp_path / "drawn"), network="judge")
    assert abs(report.measures[0].value) < 1e-3


def test_what_is_wrong_with_files_is_said(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, config, *_ = stored("decoder")
    odd = {
        "self_cond": ({"unets": [{**config["unets"][0], "self_cond": True}, config["unets"][1]]}, "self_cond=True"),
        "other": ({"unets": [{**config["unets"][0], "dim": 16}, config["unets"][1]]}, "has the shape"),
        "plain": ({"unets": [{**config["unets"][0], "sparse_attn": False}, config["unets"][1]]}, "are unknown"),
        "sizes": ({"image_sizes": [8]}, r"2 U-Nets, but its image_sizes are \[8\]"),
    }
    said = {}
    for name, (change, sentence) in odd.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"decoder": {**config, **change}}))
        said[FILES / "decoder.pth", tmp_path / f"{name}.json"] = sentence
    torch.save({"model": weights["model"], "version": Version("1.15.6")}, tmp_path / "pickled.pth")
    torch.save({**weights, "version": "0.9.0"}, tmp_path / "old.pth")
    older = {name.removesuffix(".g") + ".gamma" if name.endswith(".g") else name: 1 for name in weights["model"]}
    torch.save(dict.fromkeys(older, torch.ones(1)), tmp_path / "older.pth")
    (tmp_path / "page.pth").write_text("<html>")
    (tmp_path / "what.json").write_text("{}")
    said |= {
        (tmp_path / "pickled.pth", FILES / "decoder.json"): "say --allow-pickle",
        (tmp_path / "old.pth", FILES / "decoder.json"): "only files of 0.23.3 and later",
        (tmp_path / "older.pth", FILES / "decoder.json"): "norms are those of dalle2-pytorch before 0.16.0",
        (tmp_path / "page.pth", FILES / "decoder.json"): "is a web page",
        (FILES / "decoder.pth", tmp_path / "what.json"): "not a config of a prior or a decoder",
        (FILES / "decoder.pth",): "says nothing of its networks",
        (FILES / "decoder.json",): "is a config without weights",
        (FILES / "prior.pth", FILES / "prior.json"): "files of one decoder at least",
        (FILES / "prior.pth", FILES / "decoder.json"): "is not in the file",
        (tmp_path / "nothing.pth",): "is not a file",
    }
    with pytest.raises(ValueError, match=r"is a file.* `python -m dalle2\.convert` makes one"):
        load(FILES / "prior.pth")
    with pytest.raises(ValueError, match="holds files of DALLE2-pytorch: make a checkpoint of them first"):
        load(FILES)
    for files, sentence in said.items():
        with pytest.raises(SystemExit) as exit_:
            convert.main([*map(str, files), "--clip", str(clip), "--out", str(tmp_path / "out")])
        assert exit_.value.code == 2
        err = capsys.readouterr().err
        assert re.search(sentence, err), (sentence, err)
    with pytest.raises(SystemExit):
        convert.main([*names("decoder"), "--out", str(tmp_path / "out")])
    assert "the configs name none: say --clip" in capsys.readouterr().err
    trusted = [str(tmp_path / "pickled.pth"), str(FILES / "decoder.json"), "--allow-pickle"]
    convert.main([*trusted, "--clip", str(clip), "--out", str(tmp_path / "out")])
    assert "There is no prior" in capsys.readouterr().out
    assert "text_to_image" not in load(tmp_path / "out").capabilities


def test_what_a_trainer_saved_is_understood(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Averaged weights, a config inside, an upsampler in a file of its own, and a version that is not said."""
    weights, config, *_ = stored("decoder")
    model = weights["model"]
    ema = {
        name.replace("unets.", "").replace(".", ".ema_model.", 1): value + 1
        for name, value in model.items()
        if name.startswith("unets.")
    }
    first = {"unets": config["unets"][:1], "image_sizes": [8], "timesteps": STEPS}
    torch.save({"model": model, "ema": ema, "config": {"decoder": first}}, tmp_path / "first.pth")
    own = {name: value for name, value in model.items() if "unets.0." not in name}
    torch.save(own, tmp_path / "second.pth")
    files = [str(tmp_path / "first.pth"), str(tmp_path / "second.pth"), str(FILES / "decoder.json")]
    for more, shift in (([], 1), (["--online"], 0)):
        convert.main([*files, *more, "--clip", str(clip), "--out", str(tmp_path / f"out{shift}")])
        assert "judging by its networks" in capsys.readouterr().out
        unet = load(tmp_path / f"out{shift}").parts.unets[0]
        assert torch.allclose(unet.to_out.bias, model["unets.0.to_out.bias"].float() + shift)
    former = [*names("former-prior", "former-decoder"), "--clip", str(clip), "--out", str(tmp_path / "former")]
    convert.main(former)
    said = capsys.readouterr().out
    assert "saved by dalle2-pytorch 1.1.0, as it says" in said and "guidance had no effect" in said
    opened = load(tmp_path / "former")
    assert "enhance" not in opened.capabilities and opened.settings.prior.guidance_scale == 1
    with pytest.raises(ValueError, match="cannot be guided: leave its guidance at 1"):
        opened.text_to_image(["a cat"], seeds=[1], settings=opened.settings.changed({"prior": {"guidance_scale": 2.0}}))
    with pytest.raises(Refusal, match="cannot be guided"):  # which a visitor may read
        list(Service(opened).draw(TextToImage(["a cat"]), 1, 1, {"prior": {"guidance_scale": 2.0}}))
