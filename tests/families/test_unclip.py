"""The family in Karlo's layout: folders and their errors, the operations, the tasks, seeds, precision."""

import dataclasses
import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import httpx2
import numpy as np
import pytest
import tiny
import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from PIL import Image
from safetensors.torch import load_file, save_file

from dalle2 import families, images
from dalle2.families import load
from dalle2.families.karlo import layout
from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.families.karlo.load import save
from dalle2.families.places import locate, public_name, split_name
from dalle2.families.weights import choose_weights
from dalle2.model import UnclipModel
from dalle2.settings import MAX_SEED, Settings, Step
from dalle2.stage_settings import SCHEDULERS, DecoderSettings, PriorSettings, UpsamplerSettings

ROOT = Path(__file__).parents[2]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))


def levels(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in pictures]).astype(int)


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint folder to break."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


# Layouts


def test_a_checkpoint_describes_itself(model: UnclipModel, quick: Settings, tiny_checkpoint: Path) -> None:
    assert model.capabilities == {
        "text_to_image",
        "variations",
        "interpolate",
        "mix",
        "reconstruct",
        "text_diff",
        "inpaint",
        "outpaint",
        "dimensions",
        "steps",
        "tour",
        "enhance",
        "attention",
        "caption",
    }
    assert model.settings == quick and model.styles == ("twemoji", "noto") and model.examples == ("a cat face",)
    assert model.picture_size == 32 and model.checkpoint == str(tiny_checkpoint)
    assert len(model.checkpoint_hash) == 64


def test_published_karlo_loads(karlo_text: Path, karlo_variations: Path) -> None:
    text, variations = load(karlo_text), load(karlo_variations)
    both = {"interpolate", "mix", "inpaint", "outpaint", "enhance"}
    assert text.capabilities == {"text_to_image", "steps", "tour", "attention"} | both
    assert variations.capabilities == {"variations", "reconstruct", "text_diff", "dimensions"} | both
    assert text.settings == KARLO_SETTINGS
    assert text.settings.prior == PriorSettings(25, 4.0) and text.settings.decoder == DecoderSettings(25, 8.0)
    made = tiny.parts("epsilon", pad="!")
    for name in layout.NETWORKS:
        for loaded in (text.parts, variations.parts):
            if getattr(loaded, name) is not None:
                theirs = getattr(loaded, name).state_dict()
                for key, value in getattr(made, name).state_dict().items():
                    assert torch.equal(theirs[key], value), (name, key)


def test_the_half_precision_variant(quick: Settings, tmp_path: Path) -> None:
    twin = tiny.karlo_twin(tiny.parts("epsilon", pad="!"), tmp_path / "twin", variant="fp16")
    model = load(twin)  # there is nothing else to load
    assert next(model.parts.decoder.parameters()).dtype == torch.float32
    assert len(model.text_to_image(["a cat"], seeds=[7], settings=quick)) == 1


def test_which_weights_are_chosen() -> None:
    names = [f"diffusion_pytorch_model{rest}" for rest in (".bin", ".safetensors", ".fp16.bin", ".non_ema.bin")]
    assert choose_weights(names, torch.float32) == ["diffusion_pytorch_model.safetensors"]
    assert choose_weights(names, torch.float16) == ["diffusion_pytorch_model.fp16.bin"]
    assert choose_weights(names[2:], torch.bfloat16) == ["diffusion_pytorch_model.fp16.bin"]
    shards = [f"model-0000{index}-of-00002.safetensors" for index in (1, 2)]
    assert choose_weights([*shards, "model.safetensors.index.json", "config.json"], torch.float32) == shards
    assert choose_weights(["config.json"], torch.float32) == []


def test_saved_and_loaded_again_draws_the_same(karlo_text: Path, quick: Settings, tmp_path: Path) -> None:
    first = load(karlo_text)
    first.settings, first.styles = quick, ("noto",)
    second = load(save(first, tmp_path / "saved"))
    assert second.settings == quick and second.styles == ("noto",)
    prompts = ["a cat!", "!!"]
    assert (
        levels(first.text_to_image(prompts, seeds=[1, 2], settings=quick))
        == levels(second.text_to_image(prompts, seeds=[1, 2]))
    ).all()


def test_saved_in_half_precision(tmp_path: Path) -> None:
    parts = tiny.parts()
    saved = layout.write(parts, tmp_path / "half", {}, dtype=torch.float16)
    stored = load_file(saved / "decoder" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert next(parts.decoder.parameters()).dtype == torch.float32  # what was saved stays as it was
    assert next(load(saved).parts.decoder.parameters()).dtype == torch.float32


def test_the_saved_index_is_what_stock_diffusers_knows(tiny_checkpoint: Path) -> None:
    index = json.loads((tiny_checkpoint / "model_index.json").read_text())
    assert index["_class_name"] == "UnCLIPPipeline" and index["text_proj"] == [
        "unclip",
        "UnCLIPTextProjModel",
    ]
    assert "image_encoder" not in index
    extractor = json.loads((tiny_checkpoint / "feature_extractor" / "preprocessor_config.json").read_text())
    assert extractor["image_processor_type"] == "CLIPImageProcessor"
    assert {"vocab.json", "merges.txt"} <= {file.name for file in (tiny_checkpoint / "tokenizer").iterdir()}


def test_saving_onto_something_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exists already"):
        layout.write(tiny.parts(), tmp_path, {})


def test_a_full_disk_leaves_no_checkpoint(tmp_path: Path) -> None:
    """The limit on the size of a file stands in for the disk: writes fail in the middle of the decoder."""
    script = (
        "import resource, signal, sys; sys.path.insert(0, 'tests'); import tiny\n"
        "from dalle2.families.karlo import layout\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "layout.write(tiny.parts(), sys.argv[1], {})"
    )
    command = [sys.executable, "-c", script, tmp_path / "checkpoint"]
    done = forked.run(command, cwd=ROOT)
    assert done.returncode == 1 and "OSError" in done.stderr.splitlines()[-1]
    assert os.strerror(errno.EFBIG) in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def hub_cache(folder: Path, checkpoint: Path, revision: str = "main") -> Path:
    """The hub's cache as it is after `checkpoint` was downloaded as someone/tiny."""
    commit = "0123456789" * 4
    repository = folder / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / revision).write_text(commit)
    shutil.copytree(checkpoint, repository / "snapshots" / commit, dirs_exist_ok=True)
    return folder


def test_hub_ids_with_the_network_off(karlo_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = hub_cache(hub_cache(tmp_path, karlo_text), karlo_text, "v1.0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    newest, tagged = (load(name).capabilities for name in ("someone/tiny", "someone/tiny@v1.0"))
    assert "text_to_image" in newest and tagged == newest
    for name in ("someone/tiny@v2", "someone/else"):
        said = f"{name} is not on this machine, and the Hugging Face hub cannot be reached"
        with pytest.raises(ValueError, match=f"^{said}"):
            load(name)


def test_a_hub_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    code = """
import time
from dalle2.families.places import locate
begun = time.monotonic()
try:
    locate("kakaobrain/karlo-v1-alpha", None)
except ValueError as error:
    print(time.monotonic() - begun)
    print(error)
"""
    nowhere = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=nowhere
    )
    seconds, sentence = done.stdout.splitlines()
    assert float(seconds) < 10  # the library's own attempts take 57 s
    assert sentence.endswith(
        "the Hugging Face hub cannot be reached to download it: connect to the network, or give the folder of a copy."
    )


def test_only_the_files_that_are_read_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    offered = ["model_index.json", "README.md", "karlo.ckpt", "decoder/config.json", "tokenizer/merges.txt"]
    offered += ["vocabulary.parquet", "vocabulary.safetensors"]  # as of a checkpoint that `dalle2.publish` uploaded
    stem = "decoder/diffusion_pytorch_model"
    offered += [f"{stem}{rest}" for rest in (".bin", ".safetensors", ".fp16.bin", ".fp16.safetensors")]

    def snapshot(repo: str, **options: object) -> str:
        asked.update(options, repo=repo)
        return str(tmp_path)

    siblings = SimpleNamespace(sha="0" * 40, siblings=[SimpleNamespace(rfilename=name, lfs=None) for name in offered])
    monkeypatch.setattr("dalle2.families.places.HfApi.model_info", lambda *_, **__: siblings)
    monkeypatch.setattr("dalle2.families.places.snapshot_download", snapshot)
    small = [
        "model_index.json",
        "decoder/config.json",
        "tokenizer/merges.txt",
        "vocabulary.parquet",
        "vocabulary.safetensors",
    ]
    assert locate("someone/tiny@v1.0", torch.float32) == tmp_path
    assert (asked["repo"], asked["revision"]) == ("someone/tiny", "v1.0")
    assert set(asked["allow_patterns"]) == {*small, f"{stem}.safetensors"}
    locate("someone/tiny", torch.float16)
    assert asked["revision"] is None and set(asked["allow_patterns"]) == {*small, f"{stem}.fp16.safetensors"}
    locate("someone/tiny", torch.float32, ["tokenizer"])
    assert asked["allow_patterns"] == ["model_index.json", "tokenizer/merges.txt"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (RepositoryNotFoundError, "has no such checkpoint, or it is private: check the name"),
        (GatedRepoError, "agree to its terms: do so at https://huggingface.co/someone/tiny"),
        (RevisionNotFoundError, "someone/tiny has no revision v9: name a branch"),
        (HfHubHTTPError, "could not be downloaded from the Hugging Face hub: 503 Server Error"),
        (lambda text, response: OSError(28, "No space left on device"), "No space left on device"),
        (lambda text, response: ConnectionError("lost"), "cannot be reached"),
    ],
)
def test_the_hub_s_refusals_are_told(
    answer: Callable[..., Exception], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise answer("503 Server Error\nand more", response=httpx2.Response(503, request=httpx2.Request("GET", "x")))

    monkeypatch.setattr("dalle2.families.places.HfApi.model_info", refuse)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load("someone/tiny@v9")


def test_a_name_may_be_of_a_prior_and_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "b+c"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert split_name("someone/tiny") == (None, "someone/tiny")
    assert split_name("a+b") == ("a", "b")
    assert split_name("b+c") == (None, "b+c")  # a folder
    assert split_name("b+c+a") == ("b+c", "a") and split_name("a+b+c") == ("a", "b+c")
    assert split_name("x/prior@v1.0+y/decoder@refs/pr/1") == ("x/prior@v1.0", "y/decoder@refs/pr/1")
    for wrong, part in (("a+nowhere", "'nowhere'"), ("a+", "''"), ("+a", "''"), ("nowhere+a", "'nowhere'")):
        with pytest.raises(ValueError, match=f"PRIOR\\+DECODER.* {part} is neither"):
            load(wrong)
    assert public_name(tmp_path / "a") == "a" and public_name("someone/tiny@v1") == "someone/tiny@v1"
    assert public_name(f"{tmp_path / 'a'}+{tmp_path / 'b'}") == "a+b"


def test_karlos_two_checkpoints_make_one(karlo_text: Path, karlo_variations: Path, quick: Settings) -> None:
    both = load(f"{karlo_text}+{karlo_variations}")
    text, variations = load(karlo_text), load(karlo_variations)
    assert both.capabilities == text.capabilities | variations.capabilities
    assert both.checkpoint == f"{karlo_text}+{karlo_variations}"
    assert len({model.checkpoint_hash for model in (both, text, variations)}) == 3
    (drawn,) = both.text_to_image(["a cat"], seeds=[3], settings=quick)
    assert (levels([drawn]) == levels(text.text_to_image(["a cat"], seeds=[3], settings=quick))).all()
    assert images.read_record(drawn)["checkpoint"] == both.checkpoint
    with pytest.raises(
        ValueError, match=r"holds no prior in Karlo's layout: .* It holds a decoder: the prior comes first"
    ):
        load(f"{karlo_variations}+{karlo_text}")


def test_a_prior_alone_is_told(karlo_text: Path, tmp_path: Path) -> None:
    shutil.copytree(karlo_text / "prior", tmp_path / "alone" / "prior")
    with pytest.raises(ValueError, match=r"alone is a prior without a decoder: name both, PRIOR\+DECODER\.$"):
        load(tmp_path / "alone")
    with pytest.raises(ValueError, match=rf"PRIOR\+DECODER, as {tmp_path}/alone\+{karlo_text}\.$"):
        load(f"{karlo_text}+{tmp_path / 'alone'}")


# Bad checkpoints


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="expected the folders decoder"):
        load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        load(tmp_path / "file")


@pytest.mark.parametrize("name", ["emoji", None])
def test_an_absent_embedded_checkpoint_is_told(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "EMBEDDED", tmp_path / "emoji")
    with pytest.raises(ValueError, match=r"embedded checkpoint is not there.*dalle2\.training"):
        load(name or tmp_path / "emoji")


def remove(name: str) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return breaking


def truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text)


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        values = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps(values))

    return breaking


def reshape(name: str, key: str, *shape: int) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        state = load_file(folder / name)
        save_file({**state, key: torch.zeros(*shape)}, folder / name)

    return breaking


def drop(name: str, key: str) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        state = load_file(folder / name)
        state.pop(key)
        save_file(state, folder / name)

    return breaking


DECODER = "decoder/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
BREAKAGES = {
    "no text_proj": (remove("text_proj"), r"lacks text_proj/config\.json"),
    "no config": (remove("prior/config.json"), r"lacks prior/config\.json"),
    "no scheduler": (remove("decoder_scheduler"), "lacks the folder decoder_scheduler"),
    "no vocabulary": (remove("tokenizer"), "lacks the folder tokenizer"),
    "empty tokenizer": (
        lambda folder: [remove(f"tokenizer/{name}")(folder) for name in ("tokenizer.json", "vocab.json", "merges.txt")],
        r"tokenizer.*vocab\.json",
    ),
    "no weights": (
        remove(DECODER),
        r"decoder holds no weights: expected diffusion_pytorch_model\.safetensors",
    ),
    "truncated": (truncate(DECODER), r"decoder/diffusion_pytorch_model\.safetensors is truncated or damaged"),
    "truncated text encoder": (truncate(TEXT), r"text_encoder/model\.safetensors is truncated"),
    "pointer": (write(DECODER, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
    "not json": (write("decoder/config.json", "{"), r"decoder/config\.json is damaged"),
    "not a table": (write("dalle2.json", "[]"), r"dalle2\.json should hold a JSON table"),
    "unknown in dalle2.json": (write("dalle2.json", '{"style": []}'), r"dalle2\.json: 'style' is unknown"),
    "bad settings": (write("dalle2.json", '{"settings": {"prior": {}}}'), r"dalle2\.json.*lacks 'decoder'"),
    "wrong shape": (
        reshape(DECODER, "conv_in.weight", 7, 3, 3, 3),
        r"decoder .*conv_in\.weight has the shape \(7, 3, 3, 3\), expected \(32, 3, 3, 3\)",
    ),
    "wrong shape in the text encoder": (
        reshape(TEXT, "text_projection.weight", 16, 32),
        r"text_encoder .*text_projection\.weight has the shape \(16, 32\), expected \(32, 32\)",
    ),
    "missing parameter": (drop(DECODER, "conv_in.bias"), r"decoder .*conv_in\.bias is missing"),
    "missing in the text encoder": (
        drop(TEXT, "text_projection.weight"),
        r"text_projection\.weight is missing",
    ),
    "config of another size": (
        edit("text_proj/config.json", cross_attention_dim=64),
        r"text_proj .*has the shape .*, expected",
    ),
    "unknown block": (
        edit("decoder/config.json", mid_block_type="NoBlock"),
        "decoder cannot be read.*NoBlock",
    ),
    "other prediction": (
        edit("prior_scheduler/scheduler_config.json", prediction_type="v_prediction"),
        "v_prediction",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_checkpoint_says_what_is_broken(name: str, copy: Path) -> None:
    breaking, expected = BREAKAGES[name]
    breaking(copy)
    with pytest.raises(ValueError, match=f"(?s){expected}"):
        load(copy)


def test_a_truncated_bin_is_told(karlo_text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(karlo_text, tmp_path / "copy"))
    truncate("decoder/diffusion_pytorch_model.bin")(folder)
    with pytest.raises(ValueError, match=r"decoder/diffusion_pytorch_model\.bin is truncated or damaged"):
        load(folder)


@pytest.mark.parametrize(
    ("write_weights", "said"),
    [
        (lambda file: file.write_text("\n<!DOCTYPE html>"), "is a web page, not the weights"),
        (lambda file: file.write_text("hello"), "is truncated or damaged"),
        (lambda file: file.write_bytes(pickle.dumps({"a": 1})), "does not hold weights alone"),
        (lambda file: torch.save({"a": Path("b")}, file), "does not hold weights alone"),
        (lambda file: torch.save([torch.ones(2)], file), "holds a list, not weights by name"),
        (
            lambda file: torch.save({"state_dict": {"a": torch.ones(2)}}, file),
            "must hold tensors",
        ),
    ],
)
def test_a_bin_that_is_something_else_is_told(
    write_weights: Callable[[Path], object], said: str, karlo_text: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(karlo_text, tmp_path / "copy"))
    write_weights(folder / "decoder" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match=rf"decoder/diffusion_pytorch_model\.bin {said}") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_parts_that_do_not_fit_one_another_are_told(tmp_path: Path) -> None:
    parts = tiny.parts()
    parts.prior = type(parts.prior)(num_attention_heads=2, attention_head_dim=12, embedding_dim=48, num_layers=1)
    with pytest.raises(ValueError, match=r"disagree on the size of an embedding.*prior 48"):
        load(layout.write(parts, tmp_path / "odd", {}))


def test_devices_and_types_are_checked(tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="float16 needs a CUDA device"):
        load(tiny_checkpoint, dtype=torch.float16)
    with pytest.raises(ValueError, match="no device"):
        load(tiny_checkpoint, device="abacus")
    with pytest.raises(ValueError, match=r"not in torch\.int8"):
        load(tiny_checkpoint, dtype=torch.int8)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            load(tiny_checkpoint, device="cuda")


def test_the_hash_follows_the_files(tiny_checkpoint: Path, copy: Path) -> None:
    original = load(tiny_checkpoint).checkpoint_hash
    (copy / "README.md").write_text("a card")
    (copy / "dalle2.json").unlink()
    assert load(copy).checkpoint_hash == original
    edit("decoder_scheduler/scheduler_config.json", clip_sample_range=0.9)(copy)
    assert load(copy).checkpoint_hash != original


# Prompts


def test_an_exclamation_mark_stays_text(karlo_text: Path, quick: Settings) -> None:
    """Karlo's tokenizer makes padding of it, which its mask then keeps."""
    model = load(karlo_text)
    vocabulary = tiny.vocabulary()
    assert vocabulary["!"] == model.parts.tokenizer.pad_token_id == 0
    ids = model.prompts.tokenizer.tokenize(["cat!"])[0]
    assert ids[1:-1] == [vocabulary["cat</w>"], vocabulary["!</w>"]]
    assert model.parts.tokenizer("cat!").input_ids[2] == 0  # the trap
    assert model.prompts.tokenizer.tokenize(["<|endoftext|>"])[0].count(vocabulary["<|endoftext|>"]) == 1


@pytest.mark.parametrize("words", ["", "a cat", "dog " * 300, "狗" * 200])
def test_prompts_are_padded_and_cut(words: str, model: UnclipModel) -> None:
    (ids,) = model.prompts.tokenizer.tokenize([words])
    end = model.parts.tokenizer.eos_token_id
    assert len(ids) <= tiny.CONTEXT and ids[-1] == end and ids.index(end) == len(ids) - 1
    text = model.prompts.read([words], guided=True)
    assert text.mask.shape == (2, tiny.CONTEXT) and text.mask.sum(1).tolist() == [2, len(ids)]


@pytest.mark.parametrize(
    "prompt", ["котячья морда", "猫の顔", "وجه قطة", "🐱‍👓🇫🇷", "a" * 1000, "\x00", "<|endoftext|>"]
)
def test_any_script_draws(prompt: str, model: UnclipModel) -> None:
    (picture,) = model.text_to_image([prompt], seeds=[3])
    assert images.read_record(picture)["prompt"] == prompt and levels([picture]).std() > 1


def test_bad_requests_are_refused(model: UnclipModel) -> None:
    for prompts, seeds, expected in [
        ([""], [1], "empty"),
        (["x" * 10_000], [1], "10,000"),
        (["a cat"], [-1], "seed"),
        (["a cat"], [MAX_SEED + 1], "seed"),
        (["a cat"], [1.5], "seed"),
        (["a cat"], [1, 2], "as many seeds"),
        ("a cat", [1, 2, 3, 4, 5], "list of prompts"),
        ([], [], "at least one seed"),
    ]:
        with pytest.raises(ValueError, match=expected):
            model.text_to_image(prompts, seeds=seeds)
    with pytest.raises(ValueError, match=r"\(2, 32\).*not \(1, 32\)"):
        model.decode(torch.zeros(1, 32), [1, 2])
    with pytest.raises(ValueError, match="as many prompts"):
        model.decode(torch.zeros(2, 32), [1, 2], ["a cat"])


# Drawing


def test_a_seed_belongs_to_its_picture(model: UnclipModel) -> None:
    seeds = [11, 12, 7, 13, 14, 15, 16, MAX_SEED]
    prompts = [f"cat {index}" for index in range(8)]
    prompts[2] = "a cat face"
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    together = model.decode_pixels(model.embed_prompt(prompts, noise), noise, prompts)
    noise = [torch.Generator().manual_seed(7)]
    alone = model.decode_pixels(model.embed_prompt(["a cat face"], noise), noise, ["a cat face"])
    assert (together[2] - alone[0]).abs().max() <= 2e-4  # 1e-4 on [0, 1]
    assert (together[3] - alone[0]).abs().max() > 0.05


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_text"])
def test_every_scheduler_drives_every_stage(
    name: str, fixture: str, quick: Settings, request: pytest.FixtureRequest
) -> None:
    model = load(request.getfixturevalue(fixture))
    stages = {stage: dataclasses.replace(getattr(quick, stage), scheduler=name) for stage in quick.to_dict()}
    drawn = levels(model.text_to_image(["a cat"] * 2, seeds=[1, 2], settings=Settings(**stages)))
    assert drawn.shape == (2, 32, 32, 3) and (drawn[0] != drawn[1]).any() and drawn.std() > 1
    again = levels(model.text_to_image(["a cat"] * 2, seeds=[1, 2], settings=Settings(**stages)))
    assert (drawn == again).all()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_one_step_a_stage(name: str, model: UnclipModel) -> None:
    settings = Settings(
        prior=PriorSettings(1, 4.0, scheduler=name),
        decoder=DecoderSettings(1, 8.0, scheduler=name),
        upsampler=UpsamplerSettings(1, scheduler=name),
    )
    assert levels(model.text_to_image(["a cat"], seeds=[1], settings=settings)).std() > 1


def test_progress_and_previews(model: UnclipModel, quick: Settings) -> None:
    steps: list[Step] = []
    (picture, _) = model.text_to_image(["a cat", "a dog"], seeds=[1, 2], on_step=steps.append)
    expected = [(name, i, n) for name, n in (("prior", 3), ("decoder", 4), ("upsampler", 3)) for i in range(1, n + 1)]
    assert [(step.stage, step.index, step.total) for step in steps] == expected
    assert steps[0].pictures() == []
    assert [preview.size for preview in steps[4].pictures()] == [(16, 16)] * 2
    assert [preview.size for preview in steps[-1].pictures()] == [(32, 32)] * 2
    # The last prediction is the picture: a preview is of the clean picture, not of the noisy one.
    assert np.abs(levels(steps[-1].pictures()[:1]) - levels([picture])).max() <= 1


@pytest.mark.parametrize("stage", ["prior", "decoder", "upsampler"])
def test_every_stage_can_be_cancelled(stage: str, model: UnclipModel) -> None:
    told: list[Step] = []

    def cancel(step: Step) -> None:
        told.append(step)
        if step.stage == stage and step.index == 2:
            raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError):
        model.text_to_image(["a cat"], seeds=[1], on_step=cancel)
    assert (told[-1].stage, told[-1].index) == (stage, 2)


def count_rows(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """How many rows each network gets, call by call."""
    rows: dict[str, list[int]] = {"prior": [], "decoder": [], "super_res_first": [], "super_res_last": []}
    for name, calls in rows.items():
        network = getattr(model.parts, name)

        def counting(x, *rest, _inner=network.forward, _calls=calls, **named):
            _calls.append(len(x))
            return _inner(x, *rest, **named)

        monkeypatch.setattr(network, "forward", counting)
    return rows


def test_only_guided_steps_pay_for_guidance(
    model: UnclipModel, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = count_rows(model, monkeypatch)
    settings = Settings(
        prior=PriorSettings(3, 1.0),
        decoder=DecoderSettings(4, 3.0, guidance_interval=(0.25, 0.75)),
        upsampler=UpsamplerSettings(3, scheduler="dpm++"),
    )
    model.text_to_image(["a cat"], seeds=[1], settings=settings)
    assert rows == {
        "prior": [1] * 3,
        "decoder": [1, 2, 2, 1],
        "super_res_first": [1, 1],
        "super_res_last": [1],
    }
    full = model.text_to_image(["a cat"], seeds=[1], settings=quick)
    part = dataclasses.replace(quick, decoder=dataclasses.replace(quick.decoder, guidance_interval=(0.0, 0.5)))
    assert (levels(full) != levels(model.text_to_image(["a cat"], seeds=[1], settings=part))).any()


def test_the_prompt_and_the_guidance_matter(model: UnclipModel, quick: Settings) -> None:
    cat, dog = (levels(model.text_to_image([prompt], seeds=[1])) for prompt in ("cat", "dog"))
    assert (cat != dog).any()
    strong = dataclasses.replace(quick, decoder=dataclasses.replace(quick.decoder, guidance_scale=9.0))
    assert (cat != levels(model.text_to_image(["cat"], seeds=[1], settings=strong))).any()
    # The decoder sees the text as well as the embedding.
    embedding = model.embed_prompt(["cat"], [1])
    assert (levels(model.decode(embedding, [1], ["cat"])) != levels(model.decode(embedding, [1]))).any()


# Tasks


def test_records_redraw(model: UnclipModel) -> None:
    drawn = model.text_to_image(["a cat!", "犬"], seeds=[5, 6])
    for picture in drawn:
        record = images.read_record(picture)
        assert record["task"] == "text_to_image" and record["checkpoint_hash"] == model.checkpoint_hash
        assert set(record["versions"]) == {"torch", "diffusers", "transformers"}
        settings = Settings.from_dict(record["settings"])
        again = model.text_to_image([record["prompt"]], seeds=[record["seed"]], settings=settings)
        assert np.abs(levels([picture]) - levels(again)).max() <= 1


def test_variations(model: UnclipModel) -> None:
    drawn = model.variations(PICTURE, seeds=[1, 2])
    assert len(drawn) == 2 and (levels(drawn[:1]) != levels(drawn[1:])).any()
    assert (levels(drawn[:1]) == levels(model.variations(PICTURE.convert("RGBA"), seeds=[1]))).mean() > 0.99
    record = images.read_record(drawn[1])
    assert record["task"] == "variations" and record["seed"] == 2 and record["picture"].startswith("sha256:")
    assert (levels(drawn[:1]) != levels(model.variations(PICTURE, seeds=[1], prompt="a dog"))).any()


def test_interpolation(model: UnclipModel) -> None:
    drawn = model.interpolate([PICTURE, "a cat", Image.new("RGB", (20, 20))], frames=5, seed=4)
    assert len(drawn) == 5
    ends = [
        model.decode(model.embed_image([PICTURE]), [4]),
        model.decode(model.embed_prompt(["a cat"], [4]), [4]),
    ]
    assert np.abs(levels(drawn[:1]) - levels(ends[0])).max() <= 1
    assert np.abs(levels(drawn[2:3]) - levels(ends[1])).max() <= 1
    assert images.read_record(drawn[1])["ends"][1] == "a cat"
    assert images.read_record(drawn[1])["position"] == 0.25
    for ends, frames in ((["a cat"], 5), (["a cat", "a dog"], 1)):
        with pytest.raises(ValueError, match="at least two"):
            model.interpolate(ends, frames=frames, seed=4)


def test_mix(model: UnclipModel) -> None:
    (only,) = model.mix([("a cat", 2.0), (PICTURE, 0.0)], seeds=[4])
    assert np.abs(levels([only]) - levels(model.decode(model.embed_prompt(["a cat"], [4]), [4]))).max() <= 1
    half = model.mix([("a cat", 1), (PICTURE, 1)], seeds=[4, 5])
    assert len(half) == 2 and (levels(half[:1]) != levels([only])).any()
    assert images.read_record(half[1])["parts"][0] == ["a cat", 1]
    for parts, expected in (([], "at least one"), ([("a cat", 0)], "weights")):
        with pytest.raises(ValueError, match=expected):
            model.mix(parts, seeds=[1])


def test_what_a_checkpoint_cannot_do_is_told(karlo_text: Path, karlo_variations: Path) -> None:
    text, variations = load(karlo_text), load(karlo_variations)
    for refused in (
        lambda: text.variations(PICTURE, seeds=[1]),
        lambda: text.interpolate(["a cat", PICTURE], frames=3, seed=1),
        lambda: text.embed_image([PICTURE]),
    ):
        with pytest.raises(ValueError, match="cannot do variations"):
            refused()
    for refused in (
        lambda: variations.text_to_image(["a cat"], seeds=[1]),
        lambda: variations.mix([("a cat", 1)], seeds=[1]),
        lambda: variations.embed_prompt(["a cat"], [1]),
    ):
        with pytest.raises(ValueError, match="cannot do text_to_image"):
            refused()


# Precision


@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_text", "karlo_variations"])
def test_bfloat16(fixture: str, quick: Settings, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(fixture)
    model = load(folder, dtype=torch.bfloat16)
    assert {value.dtype for value in model.parts.decoder.parameters()} == {torch.bfloat16}
    embedding = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    drawn = model.decode_pixels(embedding, [1], ["a cat"], quick)
    assert drawn.dtype == torch.float32 and drawn.isfinite().all()
    if fixture == "tiny_checkpoint":
        exact = load(folder).decode_pixels(embedding, [1], ["a cat"], quick)
        assert 0 < (drawn - exact).abs().mean() < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda(dtype: torch.dtype, model: UnclipModel, tiny_checkpoint: Path) -> None:
    fast = load(tiny_checkpoint, "cuda", dtype)
    difference = levels(fast.text_to_image(["a cat"], seeds=[1])) - levels(model.text_to_image(["a cat"], seeds=[1]))
    assert np.abs(difference).mean() < (0.5 if dtype == torch.float32 else 8)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_networks_give_the_same(tiny_checkpoint: Path, model: UnclipModel) -> None:
    """The prior stands for all networks: compiling the others too would take minutes."""
    compiled = load(tiny_checkpoint, compile=True)
    networks = ("prior", "decoder", "super_res_first", "super_res_last")
    assert all(getattr(compiled.parts, name)._compiled_call_impl for name in networks)
    difference = compiled.embed_prompt(["a cat"], [1]) - model.embed_prompt(["a cat"], [1])
    assert difference.abs().max() < 1e-4
