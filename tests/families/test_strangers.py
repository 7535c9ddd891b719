"""At the door of `load`: what is no checkpoint, weights that are pickles, the tokenizer of 2022, and little memory."""

import argparse
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import regex
import stable_twin
import tiny
import tiny_eclipse
import tiny_kandinsky
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer

from dalle2 import images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.families.offload import OffloadDevice, offload
from dalle2.model import UnclipModel
from dalle2.networks.old_tokenizer import as_in_2022
from dalle2.networks.text_encoder import PromptTokenizer
from dalle2.serving.api import options
from dalle2.serving.service import Service
from dalle2.settings import Settings


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=int)


# What is no checkpoint


def plain_stable_diffusion(folder: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        (folder / part).mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


def lora(folder: Path) -> None:
    save_file({"unet.lora_A.weight": torch.zeros(2, 2)}, folder / "pytorch_lora_weights.safetensors")


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def kandinsky3(folder: Path) -> None:
    for part in ("unet", "movq", "text_encoder", "tokenizer", "scheduler"):
        (folder / part).mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "Kandinsky3Pipeline"}')


def eclipse_alone(folder: Path) -> None:
    tiny_eclipse.twin(tiny_eclipse.eclipse(), folder / "prior-alone")
    for file in (folder / "prior-alone").iterdir():
        file.rename(folder / file.name)
    (folder / "prior-alone").rmdir()


def half_a_download(folder: Path) -> None:
    for part in ("decoder", "super_res_first"):
        (folder / part).mkdir()
    index = {"_class_name": "UnCLIPPipeline", "safety_checker": [None, None]}
    index |= {part: ["diffusers", "X"] for part in ("decoder", "super_res_first", "super_res_last", "text_proj")}
    (folder / "model_index.json").write_text(json.dumps(index))


def a_prior_with_half_a_decoder(folder: Path) -> None:
    half_a_download(folder)
    (folder / "prior").mkdir()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (plain_stable_diffusion, r"no image embedding between\. Its model_index\.json is that of a StableDiffusion"),
        (lora, r"is a LoRA, which changes another checkpoint and cannot draw by itself"),
        (adapter, r"is a LoRA, which changes another checkpoint and cannot draw by itself"),
        (kandinsky3, r"not a checkpoint of a known family.* Its model_index\.json is that of a Kandinsky3"),
        (eclipse_alone, r"is a prior without a decoder: name both, PRIOR\+DECODER"),
        (half_a_download, r"names super_res_last, text_proj, which are not there: download it again"),
        (a_prior_with_half_a_decoder, r"names super_res_last, text_proj, which are not there: download it again"),
    ],
)
def test_it_is_said_what_a_folder_is_instead(
    make: Callable[[Path], None], sentence: str, tmp_path: Path, model: UnclipModel, quick: Settings
) -> None:
    before = model.text_to_image(["a cat"], seeds=[1], settings=quick)
    make(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        load(tmp_path)
    # What is open stays as it was.
    assert np.array_equal(levels(model.text_to_image(["a cat"], seeds=[1], settings=quick)[0]), levels(before[0]))


def test_an_address_is_no_id() -> None:
    with pytest.raises(ValueError, match="does not exist, and it is not an id of the hub either, as kakaobrain/karlo"):
        load("https://huggingface.co/kakaobrain/karlo-v1-alpha")


# Karlo's variants


@pytest.mark.parametrize("name, said", [("", "name is empty"), ("  ", "name is empty"), ("a" * 5000, "does not exist")])
def test_a_name_that_can_be_none_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(name)


def test_karlo_in_half_precision_as_safetensors_is_chosen_for_it(karlo_variations: Path, tmp_path: Path) -> None:
    """Each part in four files, as the hub has them; only the half one is whole here."""
    folder = Path(shutil.copytree(karlo_variations, tmp_path / "half"))
    for file in folder.glob("*/*.bin"):
        half = {name: value.half() for name, value in torch.load(file).items() if value.is_floating_point()}
        stem = file.stem.replace("pytorch_model", "model") if "diffusion" not in file.stem else file.stem
        save_file(half, file.with_name(f"{stem}.fp16.safetensors"))
        file.unlink()
    model = load(folder, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16 and "variations" in model.capabilities
    assert model.parts.decoder.dtype == torch.bfloat16


# Pickles


def test_a_pickle_of_more_than_weights_needs_a_word(
    karlo_text: Path, quick: Settings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """As trainers save them: weights beside their arguments, which is harmless here."""
    folder = Path(shutil.copytree(karlo_text, tmp_path / "copy"))
    for part, stem in (("decoder", "diffusion_pytorch_model"), ("text_encoder", "pytorch_model")):
        file = folder / part / f"{stem}.bin"
        torch.save({"state_dict": torch.load(file), "args": argparse.Namespace(lr=1e-4)}, file)
    with pytest.raises(ValueError, match=r"does not hold weights alone.*--allow-pickle.*if you trust"):
        load(folder)
    trusted, plain = load(folder, allow_pickle=True), load(karlo_text)
    first, second = (one.text_to_image(["a cat"], seeds=[1], settings=quick)[0] for one in (trusted, plain))
    assert np.array_equal(levels(first), levels(second))
    draw = ["a cat", "--checkpoint", str(folder), "--steps", "2", "--seed", "1", "-o", str(tmp_path / "one.png")]
    assert main(draw) == 1 and "--allow-pickle" in capsys.readouterr().err
    assert main([*draw, "--allow-pickle"]) == 0


# The tokenizer of 2022

PROMPTS = [
    "a cat face",
    "Café au lait!!!",
    "it's WON'T stop",
    "中文 日本語",
    "Ёлка Привет",
    "a\u200bb",
    "#️⃣ 12 👨‍👩‍👧",
    "co-op $5+3",
]


def slow_ids(prompt: str) -> list[int]:
    """By another implementation: BERT's tokenizer in Python, then OpenAI's pattern and merges."""
    pattern = regex.compile(
        r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+""",
        regex.IGNORECASE,
    )
    byte, pieces = dict(enumerate_bytes()), tiny.tokenizer().backend_tokenizer.model
    words = pattern.findall(" ".join(BasicTokenizer(do_lower_case=True).tokenize(prompt)))
    return [
        token.id for word in words for token in pieces.tokenize("".join(byte[value] for value in word.encode("utf-8")))
    ]


def enumerate_bytes() -> list[tuple[int, str]]:
    """Which letter stands for a byte: itself where it can be seen."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [value for value in range(256) if value not in visible]
    return [(value, chr(value)) for value in visible] + [(value, chr(256 + i)) for i, value in enumerate(hidden)]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_old_tokenizer_is_the_slow_one_without_ftfy(prompt: str) -> None:
    old = PromptTokenizer(as_in_2022(tiny.tokenizer("!")), 400)
    assert old.tokenize([prompt])[0][1:-1] == slow_ids(prompt)[: old.context - 2]


def test_old_ids_differ_where_they_did() -> None:
    new, old = (PromptTokenizer(made, tiny.CONTEXT) for made in (tiny.tokenizer(), as_in_2022(tiny.tokenizer())))
    same = [
        new.tokenize([prompt]) == old.tokenize([prompt]) for prompt in ("a cat face", "a dog, a cat", "café", "!!!")
    ]
    assert same == [True, True, False, False]


def test_a_record_remembers_the_tokenizer(karlo_text: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "old.png", tmp_path / "again.png"
    common = ["--checkpoint", str(karlo_text), "--steps", "2,3,2", "--seed", "4"]
    assert main(["a café", *common, "--tokenizer", "2022", "-o", str(out)]) == 0
    assert images.read_record(out)["tokenizer"] == "2022"
    assert main(["--from", str(out), "-o", str(again)]) == 0
    assert np.array_equal(levels(Image.open(again)), levels(Image.open(out)))
    assert main(["a café", *common, "-o", str(tmp_path / "new.png")]) == 0
    assert "tokenizer" not in images.read_record(tmp_path / "new.png")
    read = [load(karlo_text, tokenizer=which).embed_prompt(["a café"], [4]) for which in ("2022", None)]
    assert (read[0] - read[1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="There is no tokenizer '2021'"):
        load(karlo_text, tokenizer="2021")


def test_options_are_checked_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalle2.families.places.locate", lambda *_: pytest.fail("the checkpoint was looked for"))
    for given, sentence in (
        ({"tokenizer": "2021"}, "There is no tokenizer"),
        ({"offload": "layers"}, "There is no offload"),
        ({"offload": True}, "Leave out offload"),
        ({"engine": "abacus"}, "There is no engine"),
    ):
        with pytest.raises(ValueError, match=sentence):
            load("someone/model", **given)


# Little memory


def test_what_does_not_fit_into_memory_is_drawn_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(stable_twin.write(stable_twin.parts(), tmp_path / "twin"))
    settings = model.settings.changed({"decoder": {"num_inference_steps": 3, "scheduler": "ddim", "eta": 0.5}})
    picture = Image.linear_gradient("L").convert("RGB")
    expected = model.variations(picture, seeds=[1, 2, 3, 4, 5], settings=settings)
    decode, sizes = model.decode_pixels, []

    def small(embeddings: torch.Tensor, seeds: list[torch.Generator], *rest: object) -> torch.Tensor:
        sizes.append(len(seeds))
        drawn = decode(embeddings, seeds, *rest)  # the noise is drawn before the memory runs out
        if len(seeds) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return drawn

    monkeypatch.setattr(model, "decode_pixels", small)
    drawn = model.variations(picture, seeds=[1, 2, 3, 4, 5], settings=settings)
    assert sizes == [5, 2, 3, 1, 2]
    assert max(np.abs(levels(one) - levels(other)).max() for one, other in zip(drawn, expected, strict=True)) <= 1
    monkeypatch.setattr(
        model, "decode_pixels", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    with pytest.raises(torch.OutOfMemoryError):
        model.variations(picture, seeds=[1], settings=settings)


def test_networks_take_turns_on_a_small_gpu(karlo_text: Path, quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: what moves, and when; the pictures are the same."""
    model, plain = load(karlo_text), load(karlo_text)
    names = {part: name for name, part in model.parts.present().items() if isinstance(part, torch.nn.Module)}
    offload(model.parts.present(), torch.device("cpu"))
    moved: list[str] = []
    monkeypatch.setattr(OffloadDevice, "_receive", recording(OffloadDevice._receive, names, moved))
    drawn = [one.text_to_image(["a cat"], seeds=[3], settings=quick)[0] for one in (model, plain)]
    assert np.array_equal(*map(levels, drawn))
    turns = ["text_encoder", "prior", "text_encoder", "text_proj", "decoder", "super_res_first", "super_res_last"]
    assert [name for name, _ in itertools.groupby(moved)] == turns


def recording(receive: Callable, names: dict[torch.nn.Module, str], moved: list[str]) -> Callable:
    def record(room: OffloadDevice, network: torch.nn.Module) -> None:
        moved.append(names[network])
        receive(room, network)
        assert room.guest is network

    return record


@pytest.mark.parametrize("family", ["karlo", "stable_unclip", "kandinsky21"])
def test_layers_take_turns_on_the_smallest_gpu(
    family: str, karlo_text: Path, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU: while a layer computes only its own weights are elsewhere, and the pictures are the same."""
    place, settings = {
        "karlo": lambda: (karlo_text, quick),
        "stable_unclip": lambda: (stable_twin.write(stable_twin.parts(), tmp_path / "twin"), None),
        "kandinsky21": lambda: (tiny_kandinsky.twins(tiny_kandinsky.parts(version="2.1"), tmp_path)[1], None),
    }[family]()
    layered, plain = load(place), load(place)
    settings = (settings or plain.settings).changed({"decoder": {"num_inference_steps": 2}})
    networks = [part for part in layered.parts.present().values() if isinstance(part, torch.nn.Module)]
    weights = {weight.data_ptr(): weight for network in networks for weight in network.parameters()}
    away = []

    def count(*_: object) -> None:
        away.append(sum(where != weight.data_ptr() for where, weight in weights.items()))

    for network in networks:
        for module in network.modules():
            if list(module.parameters(recurse=False)):
                module.register_forward_hook(count)
    offload(layered.parts.present(), torch.device("cpu"), "sequential")
    picture = Image.linear_gradient("L").convert("RGB")
    drawn = [
        model.text_to_image(["a cat"], seeds=[3], settings=settings)
        if "text_to_image" in model.capabilities
        else model.variations(picture, seeds=[3], settings=settings)
        for model in (layered, plain)
    ]
    assert np.array_equal(*(levels(one[0]) for one in drawn))
    # A layer's own, and what belongs to the modules that it is a part of.
    assert 0 < max(away) <= 6 < len(weights) / 10
    assert all(where == weight.data_ptr() for where, weight in weights.items())


def test_what_comes_out_of_an_autoencoder_is_carried_home(tmp_path: Path) -> None:
    model = load(stable_twin.write(stable_twin.parts(), tmp_path / "twin"))
    expected = model.parts.vae.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mode()
    offload(model.parts.present(), torch.device("cpu"))
    assert torch.equal(model.parts.vae.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mode(), expected)
    with pytest.raises(ValueError, match="Leave out offload: there is no GPU to spare"):
        load(tmp_path / "twin", offload=True)
    with pytest.raises(
        ValueError, match="There is no offload 'layers': leave it out, or take one of model, sequential"
    ):
        load(tmp_path / "twin", offload="layers")


def test_the_environment_names_checkpoints_where_no_option_does(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    options.add(parser)
    monkeypatch.setenv("DALLE2_CHECKPOINT", " kakaobrain/karlo-v1-alpha@main, a+b ,")
    assert options.sources(parser.parse_args([])) == ["kakaobrain/karlo-v1-alpha@main", "a+b"]
    assert options.sources(parser.parse_args(["--checkpoint", "emoji"])) == ["emoji"]


def test_a_server_opens_checkpoints_as_it_is_told(karlo_text: Path, karlo_variations: Path) -> None:
    parser = argparse.ArgumentParser()
    options.add(parser)
    chosen = parser.parse_args(["--checkpoint", f"{karlo_text}+{karlo_variations}", "--dtype", "bfloat16"])
    service = Service.open(*chosen.checkpoint, **options.opening(chosen))
    assert service.checkpoints == (f"{karlo_text.name}+{karlo_variations.name}",)  # where they lie is nobody's business
    assert service.model().dtype == torch.bfloat16 and "variations" in service.model().capabilities
    chosen = parser.parse_args(["--checkpoint", str(karlo_text), "--offload"])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="Leave out offload"):
            Service.open(*chosen.checkpoint, **options.opening(chosen))
