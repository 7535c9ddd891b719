"""Checkpoint folders as people have them: what belongs to one opens as it is, and of the rest it is said what it is.

The twins in other files of the same weights: halves, shards, links, copies of git and of a Mac, the hub's cache, and
the files of their time, which today's libraries write otherwise.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import stable_twin
import tiny
import tiny_eclipse
import tiny_kandinsky
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dalle2.families import load
from dalle2.families.lora import HEADER
from dalle2.families.places import hub_name, public_name
from dalle2.families.published import known
from dalle2.families.stable_unclip import load as stable_unclip
from dalle2.model import UnclipModel

COMMIT, OTHER = "0123456789" * 4, "abcdef0123" * 4
WORDS = ["a cat!", "Two dogs, it's café", ""]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
Change = Callable[[Path], Path | None]


def same(first: UnclipModel, second: UnclipModel) -> None:
    """All weights are the same, and prompts and pictures are read alike."""
    parts, others = first.parts.present(), second.parts.present()
    assert set(parts) == set(others)
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            weights, wanted = others[name].state_dict(), part.state_dict()
            assert set(weights) == set(wanted)
            assert all(torch.equal(weights[key], value) for key, value in wanted.items()), name
    if "text_to_image" in first.capabilities:
        assert torch.equal(first.embed_text(WORDS), second.embed_text(WORDS))
    if "variations" in first.capabilities:
        assert torch.equal(first.embed_image([PICTURE]), second.embed_image([PICTURE]))


def the_bin(part: Path) -> tuple[Path, str]:
    """The one file of weights that a part was published in, and how its safetensors file is called."""
    (file,) = part.glob("*.bin")
    return file, {"pytorch_model": "model"}.get(file.stem, file.stem)


# What opens


def leftovers(folder: Path) -> None:
    """What git, a Mac, a download and a reader of notes leave behind."""
    for name in (".git", ".cache/huggingface/download", "__MACOSX/decoder", "notes"):
        (folder / name).mkdir(parents=True)
    for name in (".DS_Store", "README.md", "._model_index.json", "notes/todo.txt", "flax_model.msgpack"):
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    for part in ("decoder", "text_encoder"):
        for name in (".DS_Store", "._config.json", "._model.safetensors", "flax_model.msgpack", "model.onnx"):
            (folder / part / name).write_bytes(b"\x00\x05\x16\x07")


def without_an_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def safetensors_beside_bin(folder: Path) -> None:
    """The .bin is of other weights, so that it shows which is read."""
    for part in ("decoder", "text_encoder"):
        file, stem = the_bin(folder / part)
        weights = torch.load(file, weights_only=True)
        save_file(weights, file.with_name(f"{stem}.safetensors"))  # and, as some tools do, without a header
        torch.save({name: torch.zeros_like(value) for name, value in weights.items()}, file)


def half_files_beside_whole_ones(folder: Path) -> None:
    for part in ("decoder", "text_encoder"):
        file, stem = the_bin(folder / part)
        weights = torch.load(file, weights_only=True)
        save_file(
            {name: torch.zeros_like(value) for name, value in weights.items()},
            file.with_name(f"{stem}.fp16.safetensors"),
        )


def in_shards(folder: Path) -> None:
    """Two files of each, with a list of what is in which, in all the ways in which the libraries write them."""
    for part, kind, variant in (
        ("decoder", "safetensors", ""),
        ("prior", "bin", ""),
        ("super_res_first", "safetensors", ".fp16"),
        ("text_encoder", "safetensors", ""),
    ):
        shard(folder / part, kind, variant)


def shard(part: Path, kind: str, variant: str = "") -> None:
    file, stem = the_bin(part)
    stem = stem if kind == "safetensors" else file.stem
    weights = torch.load(file, weights_only=True)
    file.unlink()
    names, places = sorted(weights), {}
    for number in (1, 2):
        name = f"{stem}{variant}-{number:05}-of-00002.{kind}"
        some = {one: weights[one] for one in names[number - 1 :: 2]}
        places |= dict.fromkeys(some, name)
        save_file(some, part / name, {"format": "pt"}) if kind == "safetensors" else torch.save(some, part / name)
    listed = {"metadata": {"total_size": 0}, "weight_map": places}
    (part / f"{stem}.{kind}.index{variant}.json").write_text(json.dumps(listed))


def through_links(folder: Path) -> Path:
    """As the hub's cache keeps files: each part is of links."""
    linked = folder.with_name("linked")
    for file in folder.rglob("*"):
        if file.is_file():
            (linked / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (linked / file.relative_to(folder)).symlink_to(file)
    return linked


def in_the_cache(folder: Path) -> Path:
    """A repository of the hub's cache, with an older commit beside the one that is main now."""
    repository = folder.with_name("models--someone--tiny")
    for commit in (OTHER, COMMIT):
        shutil.copytree(folder, repository / "snapshots" / commit)
    without_an_index(repository / "snapshots" / OTHER)
    (repository / "snapshots" / OTHER / "decoder" / "config.json").unlink()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository


def a_commit_of_the_cache(folder: Path) -> Path:
    return in_the_cache(folder) / "snapshots" / COMMIT


def of_2022(folder: Path) -> None:
    """Configs as transformers 4.25 wrote them; the weights keep a buffer that has been dropped since."""
    marked = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    start, end = ({"content": text, **marked} for text in ("<|startoftext|>", "<|endoftext|>"))
    special = {"bos_token": start, "eos_token": end, "pad_token": "!", "unk_token": end}
    tokenizer = folder / "tokenizer"
    for file in set(tokenizer.iterdir()) - {tokenizer / "vocab.json", tokenizer / "merges.txt"}:
        file.unlink()
    (tokenizer / "special_tokens_map.json").write_text(json.dumps(special))
    said = {name: {"__type": "AddedToken", **value} for name, value in special.items() if isinstance(value, dict)}
    said |= {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "pad_token": "!"}
    said |= {"model_max_length": tiny.CONTEXT, "name_or_path": "openai/clip-vit-large-patch14"}
    said |= {"special_tokens_map_file": "./special_tokens_map.json", "tokenizer_class": "CLIPTokenizer"}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(said))
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    config |= {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "torch_dtype": "float32"}  # no token's of it
    config |= {"_name_or_path": "openai/clip-vit-large-patch14", "transformers_version": "4.25.1", "dropout": 0.0}
    config.pop("dtype", None)
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config))
    if (folder / "feature_extractor").is_dir():
        old = json.loads((folder / "feature_extractor" / "preprocessor_config.json").read_text())
        kept = ("do_center_crop", "do_convert_rgb", "do_normalize", "do_resize", "image_mean", "image_std", "resample")
        old = {name: old[name] for name in kept}
        old |= {"crop_size": 32, "size": 32, "feature_extractor_type": "CLIPFeatureExtractor"}
        (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(old))


OPENS: list[Change] = [
    leftovers,
    without_an_index,
    safetensors_beside_bin,
    half_files_beside_whole_ones,
    in_shards,
    through_links,
    in_the_cache,
    a_commit_of_the_cache,
    of_2022,
]


@pytest.fixture(scope="module")
def karlo(karlo_text: Path) -> UnclipModel:
    return load(karlo_text)


@pytest.mark.parametrize("change", OPENS, ids=lambda change: change.__name__)
def test_the_same_weights_open_in_other_files(
    change: Change, karlo: UnclipModel, karlo_text: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(karlo_text, tmp_path / "karlo"))
    opened = load(change(folder) or folder)
    same(karlo, opened)
    if change in (leftovers, without_an_index, through_links, in_the_cache, a_commit_of_the_cache):
        assert opened.checkpoint_hash == karlo.checkpoint_hash


def test_pictures_are_seen_alike_by_files_of_2022(karlo_variations: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(karlo_variations, tmp_path / "variations"))
    of_2022(folder)
    same(load(karlo_variations), load(folder))


def test_half_weights_are_enough_where_there_are_no_others(karlo_variations: Path, tmp_path: Path) -> None:
    """Of one part .bin, of another safetensors, of a third in shards, and one that is whole."""
    folder = Path(shutil.copytree(karlo_variations, tmp_path / "half"))
    for part in ("decoder", "image_encoder", "text_proj"):
        file, stem = the_bin(folder / part)
        weights = {name: value.half() for name, value in torch.load(file, weights_only=True).items()}
        torch.save(weights, file)
        if part == "decoder":
            file.rename(file.with_name(f"{file.stem}.fp16.bin"))
        elif part == "image_encoder":
            save_file(weights, file.with_name(f"{stem}.fp16.safetensors"), {"format": "pt"})
            file.unlink()
        else:
            shard(folder / part, "safetensors", ".fp16")
    half, whole = load(folder), load(karlo_variations)
    assert {part.dtype for part in (half.parts.decoder, half.parts.image_encoder)} == {torch.float32}
    assert torch.allclose(half.embed_image([PICTURE]), whole.embed_image([PICTURE]), atol=0.02)
    for name in ("decoder", "text_proj"):
        for mine, theirs in zip(
            getattr(half.parts, name).parameters(), getattr(whole.parts, name).parameters(), strict=True
        ):
            assert torch.equal(mine, theirs.half().float())


def test_a_pickle_in_shards_is_read_where_it_is_trusted(karlo: UnclipModel, karlo_text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(karlo_text, tmp_path / "karlo"))
    shard(folder / "prior", "bin")
    for file in (folder / "prior").glob("*.bin"):  # as trainers save it, which is harmless here
        torch.save({"state_dict": torch.load(file, weights_only=True), "when": Path("2022")}, file)
    with pytest.raises(ValueError, match="does not hold weights alone"):
        load(folder)
    same(karlo, load(folder, allow_pickle=True))


def test_files_of_2023_and_of_today_name_weights_otherwise(tmp_path: Path) -> None:
    """The twin is as published, and what was made there and then is what comes out of either."""
    made = stable_twin.parts()
    old = load(stable_twin.write(made, tmp_path / "stable"))
    for name in ("text_encoder", "vae"):
        weights, wanted = old.parts.present()[name].state_dict(), getattr(made, name).state_dict()
        assert all(torch.equal(weights[key], value) for key, value in wanted.items()), name
    saved = stable_unclip.save(old, tmp_path / "saved")
    same(old, load(saved))
    # Earlier versions of transformers would make random weights of the names that the fifth gives.
    stored = load_file(saved / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in stored)


def test_a_multilingual_text_encoder_of_2023_keeps_a_buffer(tmp_path: Path) -> None:
    _, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(version="2.1"), tmp_path)
    expected, file = load(decoder), decoder / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    assert "transformer.embeddings.word_embeddings.weight" in weights and "LinearTransformation.weight" in weights
    torch.save(
        weights | {"transformer.embeddings.position_ids": torch.arange(80)[None]}, file.with_name("pytorch_model.bin")
    )
    file.unlink()
    same(expected, load(decoder))


# Copies beside one another


def cached(cache: Path, repo: str, folder: Path) -> Path:
    """Put a folder into the hub's cache as this repository, and return it there."""
    repository = cache / f"models--{repo.replace('/', '--')}"
    place = Path(shutil.copytree(folder, repository / "snapshots" / COMMIT))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return place


def test_a_decoder_in_the_cache_finds_its_prior_there_and_is_called_by_its_id(tmp_path: Path) -> None:
    prior, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path)
    owner, cache = "kandinsky-community", tmp_path / "elsewhere"
    place, other = (cached(cache, f"{owner}/{one.name}", one) for one in (decoder, prior))
    for named in (place, place.parents[1]):
        model = load(named)
        same(model, load(decoder))
        assert public_name(named) == f"{owner}/{decoder.name}" + (f"@{COMMIT}" if named is place else "")
        said = public_name(model.checkpoint)
        assert said.startswith(f"{owner}/{prior.name}+{owner}/{decoder.name}") and known(said).title == "Kandinsky 2.2"
    assert hub_name(other) == f"{owner}/{prior.name}@{COMMIT}" and hub_name(decoder) is None


def test_a_copy_of_karlo_beside_stable_unclip_is_its_prior(
    karlo_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stable_unclip, "PARTNERS", {32: "kakaobrain/karlo-v1-alpha"})
    folder = stable_twin.write(stable_twin.parts(), tmp_path / "small")
    beside = Path(shutil.copytree(karlo_text, tmp_path / "karlo-v1-alpha"))
    model = load(folder)
    assert model.checkpoint == f"{beside}+{folder}" and "text_to_image" in model.capabilities
    monkeypatch.chdir(tmp_path)
    assert load("small").checkpoint == "karlo-v1-alpha+small"


# What does not open


def a_shard_is_missing(folder: Path) -> Path | None:
    in_shards(folder)
    (folder / "decoder" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()


def the_list_of_shards_is_missing(folder: Path) -> Path | None:
    in_shards(folder)
    (folder / "super_res_first" / "diffusion_pytorch_model.safetensors.index.fp16.json").unlink()


def a_link_leads_nowhere(folder: Path) -> Path:
    linked = through_links(folder)
    (folder / "decoder" / "diffusion_pytorch_model.bin").unlink()
    return linked


def one_folder_too_high(folder: Path) -> Path:
    return folder.parent


def the_cache_itself(folder: Path) -> Path:
    place = cached(folder.parent / "cache", "someone/tiny", folder)
    return place.parents[2]


def a_cache_without_a_main_copy(folder: Path) -> Path:
    repository = in_the_cache(folder)
    (repository / "refs" / "main").unlink()
    return repository


def one_part(folder: Path) -> Path:
    return folder / "decoder"


def a_text_encoder(folder: Path) -> Path:
    return folder / "text_encoder"


def its_prior(folder: Path) -> Path:
    return folder / "prior"


def only_another_variant(folder: Path) -> None:
    (folder / "decoder" / "diffusion_pytorch_model.bin").rename(
        folder / "decoder" / "diffusion_pytorch_model.non_ema.bin"
    )


def files_of_its_authors(folder: Path) -> Path:
    own = folder.with_name("karlo-kakaobrain")
    own.mkdir()
    for name in ("decoder-ckpt-step%3D01000000-of-01000000.ckpt", "ViT-L-14_stats.th", "README.md"):
        (own / name).write_bytes(b"PK")
    return own


def an_odd_index(folder: Path) -> None:
    """That of something else, with a value that no index has."""
    shutil.rmtree(folder / "super_res_last")
    (folder / "model_index.json").write_text('{"_class_name": "UnCLIPPipeline", "odd": [], "other": 3}')


def changed(file: str, **values: object) -> Change:
    def change(folder: Path) -> None:
        said = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**said, **values}))

    return change


REFUSED: list[tuple[Change, str]] = [
    (a_shard_is_missing, r"lacks decoder/diffusion_pytorch_model-00002-of-00002\.safetensors\.$"),
    (
        the_list_of_shards_is_missing,
        r"lacks super_res_first/diffusion_pytorch_model\.safetensors\.index\.fp16\.json\.$",
    ),
    (a_link_leads_nowhere, r"decoder/diffusion_pytorch_model\.bin is a link to a file that is not there: download"),
    (one_folder_too_high, r"is no checkpoint itself, but holds one: name \S*/karlo\.$"),
    (the_cache_itself, r"is no checkpoint itself, but holds one: name \S*/models--someone--tiny\.$"),
    (a_cache_without_a_main_copy, rf"no main copy in snapshots: name one there, of {COMMIT}, {OTHER}\.$"),
    (one_part, r"decoder is one network, a UNet2DConditionModel, and no whole checkpoint: name the folder in which"),
    (a_text_encoder, r"text_encoder is one network, .*and no whole checkpoint"),
    (its_prior, r"prior is a prior without a decoder: name both, PRIOR\+DECODER\.$"),
    (only_another_variant, r"decoder holds no weights: expected diffusion_pytorch_model\.safetensors"),
    (
        files_of_its_authors,
        r"keeps them \(\.ckpt\): name the same checkpoint in diffusers' layout, as kakaobrain/karlo",
    ),
    (changed("text_encoder/config.json", hidden_act="what"), "text_encoder cannot be read as a CLIPTextModelWithProj"),
    (changed("decoder/config.json", norm_num_groups=0), "decoder cannot be read as a UNet2DConditionModel"),
    (changed("decoder/config.json", block_out_channels=[32, 96]), r"decoder .*has the shape .*, expected"),
    (changed("prior_scheduler/scheduler_config.json", num_train_timesteps="many"), "prior_scheduler cannot be read as"),
    (an_odd_index, r"is not a checkpoint of a known family.* that of a UnCLIPPipeline\.$"),
]


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_a_folder_is_instead_is_said(change: Change, sentence: str, karlo_text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(karlo_text, tmp_path / "here" / "karlo"))
    with pytest.raises(ValueError, match=sentence):
        load(change(folder) or folder)


def test_a_network_alone_is_no_prior(karlo_text: Path, tmp_path: Path) -> None:
    _, kandinsky = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path)
    for decoder in (karlo_text, kandinsky):
        with pytest.raises(
            ValueError, match="is the network of a diffusion prior alone: name the folder in which it lies"
        ):
            load(f"{karlo_text / 'prior'}+{decoder}")
    stable = stable_twin.write(stable_twin.parts(), tmp_path / "stable")
    eclipse = tiny_eclipse.twin(tiny_eclipse.eclipse(), tmp_path / "eclipse")
    with pytest.raises(
        ValueError, match=r"is one network, without a text encoder that reads prompts: .*Karlo's layout"
    ):
        load(f"{eclipse}+{stable}")


def test_a_prior_without_its_text_encoder_is_told(karlo_text: Path, tmp_path: Path) -> None:
    prior, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path)
    shutil.rmtree(prior / "text_encoder")
    with pytest.raises(ValueError, match=r"is not a whole checkpoint: it lacks text_encoder/config\.json"):
        load(decoder)
    stable = stable_twin.write(stable_twin.parts(), tmp_path / "stable")
    alone = tmp_path / "alone"
    for part in ("prior", "prior_scheduler", "tokenizer"):
        shutil.copytree(karlo_text / part, alone / part)
    with pytest.raises(ValueError, match=r"alone is not a whole checkpoint: it lacks text_encoder/config\.json"):
        load(f"{alone}+{stable}")
    shutil.copytree(decoder, tmp_path / "named" / "other")
    with pytest.raises(
        ValueError, match=r"without a prior: .*, as kandinsky-community/kandinsky-2-2-prior\+\S*/other\.$"
    ):
        load(tmp_path / "named" / "other")


def test_a_decoder_for_depths_is_told(tmp_path: Path) -> None:
    """kandinsky-community/kandinsky-2-2-controlnet-depth, which sees a map beside the noise."""
    _, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path)
    config = json.loads((decoder / "unet" / "config.json").read_text())
    made = tiny_kandinsky.UNet2DConditionModel.from_config(
        {**config, "in_channels": 8, "addition_embed_type": "image_hint"}
    )
    made.save_pretrained(decoder / "unet")
    with pytest.raises(
        ValueError, match=r"after a map of depths .*ControlNet.* name kandinsky-community/kandinsky-2-2-decoder"
    ):
        load(decoder)


def tensors(*names: str, **header: str) -> Callable[[Path], None]:
    return lambda file: save_file({name: torch.zeros(1) for name in names}, file, {"format": "pt", **header})


@pytest.mark.parametrize(
    ("name", "write", "sentence"),
    [
        ("style.safetensors", tensors("a", **{HEADER: "{}"}), "a LoRA of `python -m dalle2.finetune`: .* with --lora"),
        ("lora.safetensors", tensors("unet.to_q.lora_A.weight"), "is a LoRA, which changes another checkpoint"),
        ("kohya.safetensors", tensors("lora_unet_x.lora_down.weight"), "is a LoRA, which changes another checkpoint"),
        ("sd21-unclip-l.safetensors", tensors("model.diffusion_model.out.0.weight"), "a whole checkpoint in one file"),
        ("model.safetensors", tensors("text_model.a"), "the weights of one network: its folder is that of a part"),
        ("broken.safetensors", lambda file: file.write_bytes(b"no"), "It is damaged, or no safetensors file"),
        ("sd21-unclip-l.ckpt", Path.touch, "as the code that trained them keeps them: give it in diffusers' layout"),
        ("decoder.pth", Path.touch, r"`python -m dalle2\.convert` makes one"),
        ("karlo.zip", Path.touch, "Unpack it first"),
        ("what.xyz", Path.touch, r", or the id of one on the hub\.$"),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_told_by_what_it_is(
    name: str, write: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"is a file: give the folder of a checkpoint.*{sentence}"):
        load(tmp_path / name)
