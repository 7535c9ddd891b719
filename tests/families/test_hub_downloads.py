"""Checkpoints from the hub, of which a stand-in runs here: what comes, progress, Stop, cuts, going on, refusals."""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import hub as hub_module
import numpy as np
import pytest
import stable_twin
import tiny_kandinsky
import torch
from filelock import FileLock
from hub import Hub
from huggingface_hub import constants

from dalle2 import images
from dalle2.__main__ import main
from dalle2.families import downloads, load
from dalle2.families.places import locate
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import Settings
from dalle2.tasks.text_to_image import TextToImage

KARLO, VARIATIONS = "kakaobrain/karlo-v1-alpha", "kakaobrain/karlo-v1-alpha-image-variations"
Told = list[tuple[int, int]]


@pytest.fixture
def told() -> Told:
    """What a listener hears while this test downloads."""
    heard: Told = []
    token = downloads.fetched.set(lambda come, size: heard.append((come, size)))
    yield heard
    downloads.fetched.reset(token)


def kept(hub: Hub) -> set[str]:
    """The names of the files of repositories that are in the cache now."""
    snapshots = Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*")
    return {file.relative_to(folder).as_posix() for folder in snapshots for file in folder.rglob("*") if file.is_file()}


def brought(name: str) -> Path:
    """Where a checkpoint lies that comes from the hub, unless it is there."""
    return locate(name, torch.float32)


def same(folder: Path, other: Path) -> bool:
    """Whether all files of the first folder are in the other one, to the last byte."""
    files = [file.relative_to(folder) for file in folder.rglob("*") if file.is_file()]
    return len(files) > 5 and all((folder / file).read_bytes() == (other / file).read_bytes() for file in files)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*/*.bin"))


def test_it_comes_once_with_progress_and_is_there_without_a_network(
    hub: Hub, told: Told, karlo_text: Path, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(KARLO, karlo_text)
    model, own = load(KARLO), load(karlo_text)
    assert model.checkpoint == KARLO and model.checkpoint_hash == own.checkpoint_hash
    assert told[0] == (0, size_of(karlo_text)) and told[-1][0] == size_of(karlo_text)
    assert [come for come, _ in told] == sorted(come for come, _ in told) and len(told) > 10
    assert len(hub.sent()) == len(set(hub.sent())) == len(list(karlo_text.glob("*/*.bin")))
    hub.asked.clear()
    told.clear()
    load(KARLO)
    assert not hub.sent() and not told
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    drawn = [one.text_to_image(["a cat"], seeds=[1], settings=quick)[0] for one in (load(KARLO), own)]
    assert np.array_equal(*drawn)


def test_revisions_and_prior_and_decoder(
    hub: Hub, karlo_text: Path, karlo_variations: Path, tiny_checkpoint: Path
) -> None:
    hub.add(KARLO, tiny_checkpoint)
    hub.add(KARLO, karlo_text, "v1.0")
    hub.add(VARIATIONS, karlo_variations, "refs/pr/1")
    assert same(brought(f"{KARLO}@v1.0"), karlo_text) and same(brought(KARLO), tiny_checkpoint)
    assert same(brought(f"{KARLO}@{hub.commit(KARLO, 'v1.0')}"), karlo_text)
    both = load(f"{KARLO}@v1.0+{VARIATIONS}@refs/pr/1")
    assert both.capabilities >= {"text_to_image", "variations"}
    with pytest.raises(ValueError, match=rf"{KARLO} has no revision v9: name a branch, a tag or a commit"):
        brought(f"{KARLO}@v9")


def test_published_partners_come_by_themselves(hub: Hub, karlo_text: Path, tmp_path: Path) -> None:
    prior, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(), tmp_path)
    hub.add("kandinsky-community/kandinsky-2-2-prior", prior)
    hub.add("kandinsky-community/kandinsky-2-2-decoder", decoder)
    model = load("kandinsky-community/kandinsky-2-2-decoder")
    assert model.checkpoint == "kandinsky-community/kandinsky-2-2-prior+kandinsky-community/kandinsky-2-2-decoder"
    assert "text_to_image" in model.capabilities


def test_of_several_variants_one_comes(hub: Hub, tmp_path: Path) -> None:
    plain = stable_twin.write(stable_twin.parts(), tmp_path / "plain")
    for file in stable_twin.write(stable_twin.parts(), tmp_path / "half", variant="fp16").rglob("*.fp16.safetensors"):
        shutil.copy(file, plain / file.parent.name)
    (plain / "sd21-unclip-l.ckpt").write_bytes(b"x" * 100)
    hub.add("someone/stable", plain)
    locate("someone/stable", torch.float16)
    assert {file for file in kept(hub) if "safetensors" in file} == {
        f"{file.parent.name}/{file.name}" for file in plain.rglob("*.fp16.safetensors")
    }
    locate("someone/stable", torch.float32, ["vae"])
    assert "vae/diffusion_pytorch_model.safetensors" in kept(hub)
    assert "unet/diffusion_pytorch_model.safetensors" not in kept(hub)
    assert not any(file.endswith((".ckpt", ".md")) for file in kept(hub))


# What goes wrong


def test_a_connection_that_is_cut_goes_on_where_it_was(hub: Hub, told: Told, karlo_text: Path) -> None:
    hub.add(KARLO, karlo_text)
    hub.cut = 1_000_000
    assert same(brought(KARLO), karlo_text)
    begun = [asked for _, path, asked in hub.asked if path == f"/blob{karlo_text}/decoder/diffusion_pytorch_model.bin"]
    assert begun[0] == "" and begun[1] == "bytes=1000000-" and len(begun) > 2
    assert max(come for come, _ in told) == size_of(karlo_text)


def test_a_hub_that_goes_away_is_told_and_the_next_attempt_goes_on(hub: Hub, told: Told, karlo_text: Path) -> None:
    hub.add(KARLO, karlo_text)
    hub.cut, hub.left = 1_000_000, 6
    with pytest.raises(ValueError, match=rf"^The download of {KARLO} broke off at \d+%.*try again, and it goes on"):
        brought(KARLO)
    come = told[-1][0]
    assert 0 < come < size_of(karlo_text)
    told.clear()
    hub.asked.clear()
    hub.cut = hub.left = None
    brought(KARLO)
    assert told[0] == (come, size_of(karlo_text))
    assert any(asked for _, path, asked in hub.asked if path.startswith("/blob/"))


def test_who_stops_goes_on_later(hub: Hub, karlo_text: Path) -> None:
    hub.add(KARLO, karlo_text)
    heard: Told = []

    def stop(come: int, size: int) -> None:
        heard.append((come, size))
        if come > size / 3:
            raise InterruptedError("Nobody waits any more.")

    token = downloads.fetched.set(stop)
    try:
        with pytest.raises(ValueError, match="Nobody waits any more"):
            brought(KARLO)
        stopped, sent = heard[-1][0], len(hub.sent())
    finally:
        downloads.fetched.reset(token)
    downloads.fetched.set(lambda come, size: heard.append((come, size)))
    heard.clear()
    brought(KARLO)
    downloads.fetched.set(None)
    assert heard[0][0] >= stopped and sent < len(list(karlo_text.glob("*/*.bin")))


def test_a_hub_without_ranges_begins_again(hub: Hub, karlo_text: Path) -> None:
    hub.add(KARLO, karlo_text)
    hub.cut, hub.ranges = 1_000_000, False
    with pytest.raises(ValueError, match="broke off"):
        brought(KARLO)
    hub.cut = None
    assert same(brought(KARLO), karlo_text)


def test_what_is_damaged_on_the_way_is_not_kept(hub: Hub, karlo_text: Path) -> None:
    hub.add(KARLO, karlo_text)
    hub.false = True
    with pytest.raises(ValueError, match=rf"sent of {KARLO} is damaged, and was thrown away: try again"):
        brought(KARLO)
    hub.false = False
    assert same(brought(KARLO), karlo_text)


def test_a_full_disk_is_told_before_anything_comes(hub: Hub, karlo_text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(KARLO, karlo_text)
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(ValueError, match=rf"{KARLO} takes 0\.0 GB of the disk, and 0\.0 GB are free: make room"):
        brought(KARLO)
    assert not hub.sent()


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        ({"sha256": "../elsewhere"}, r"tells a size or a checksum of \S+ that is none: nothing was downloaded"),
        ({"sha256": None}, r"tells a size or a checksum of \S+ that is none"),
        ({"size": -1}, r"tells a size or a checksum of \S+ that is none"),
        ({"size": 1000}, rf"sent of {KARLO} is damaged, and was thrown away"),
    ],
    ids=["a path", "no checksum", "no size", "less than it sends"],
)
def test_a_hub_that_tells_nonsense_of_a_file_puts_nothing_on_the_disk(
    lie: dict[str, object], sentence: str, hub: Hub, karlo_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = hub_module._lfs
    monkeypatch.setattr("hub._lfs", lambda file: {name: about | lie for name, about in said(file).items()})
    hub.add(KARLO, karlo_text)
    with pytest.raises(ValueError, match=sentence):
        brought(KARLO)
    files = [file for file in Path(constants.HF_HUB_CACHE).rglob("*") if file.is_file()]
    assert [file for file in files if ".locks" not in file.parts] == []


def test_a_file_that_another_program_holds_is_waited_for_while_it_grows_and_can_be_stopped(
    hub: Hub, karlo_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(downloads, "HELD_SECONDS", 0.2)
    hub.add(KARLO, karlo_text)
    folder = f"models--{KARLO.replace('/', '--')}"
    locks, blobs = (Path(constants.HF_HUB_CACHE, *names) for names in ((".locks", folder), (folder, "blobs")))
    locks.mkdir(parents=True)
    blobs.mkdir(parents=True)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in karlo_text.glob("*/*.bin")]
    heard: list[int] = []

    def listen(come: int, size: int) -> None:
        heard.append(come)
        if len(heard) < 30:  # the other one brings something: longer than without would be waited
            for digest in digests:
                (blobs / f"{digest}.incomplete").write_bytes(bytes(len(heard)))

    with ExitStack() as held:
        for digest in digests:
            held.enter_context(FileLock(locks / f"{digest}.lock"))
        token = downloads.fetched.set(listen)
        with pytest.raises(ValueError, match=rf"Another program on this machine is downloading {KARLO}, and nothing"):
            brought(KARLO)
        assert len(heard) > 30
        downloads.fetched.set(lambda come, size: (_ for _ in ()).throw(InterruptedError("Nobody waits any more.")))
        with pytest.raises(ValueError, match="Nobody waits any more"):
            brought(KARLO)
    downloads.fetched.reset(token)
    assert not hub.sent()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda hub: hub.private.add(KARLO), r"the Hugging Face hub has no such checkpoint, or it is private"),
        (lambda hub: hub.folders.clear(), r"the Hugging Face hub has no such checkpoint, or it is private"),
        (lambda hub: hub.gated.add(KARLO), rf"agree to its terms: do so at https://huggingface.co/{KARLO}"),
        (lambda hub: setattr(hub, "left", 0), r"the Hugging Face hub cannot be reached to download it"),
    ],
    ids=["private", "unknown", "gated", "no network"],
)
def test_what_the_hub_refuses_is_told_and_the_running_model_stays(
    change: Callable[[Hub], None], sentence: str, hub: Hub, karlo_text: Path, tiny_checkpoint: Path
) -> None:
    hub.add(KARLO, karlo_text)
    change(hub)
    service = Service.open(str(tiny_checkpoint))
    service.offer_published()
    first = service.model()
    with service.lease(KARLO, pick=True) as lease, pytest.raises(Refusal, match=sentence):
        lease.wait()
    assert service.model() is first and list(service.draw(TextToImage(["a cat"]), 1))[-1].finished


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["pytorch_lora_weights.safetensors"], r"someone/else is a LoRA, which changes another checkpoint"),
        (["v2.ckpt", "README.md"], r"holds no checkpoint in diffusers' layout.*: there is README\.md, v2\.ckpt\.$"),
        ([], r"there is nothing\.$"),
    ],
)
def test_a_repository_of_something_else_is_told(files: list[str], sentence: str, hub: Hub, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x" * 100)
    hub.add("someone/else", tmp_path)
    with pytest.raises(ValueError, match=sentence):
        load("someone/else")


# In the other rooms


def test_the_command_line_shows_progress_and_is_stopped(
    hub: Hub, karlo_text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(KARLO, karlo_text)
    command = ["a cat", "--checkpoint", KARLO, "--steps", "2", "--seed", "1", "-o", str(tmp_path / "one.png")]
    with monkeypatch.context() as patch:
        patch.setattr(downloads.tqdm, "update", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(command) == 130
    assert f"Downloading {KARLO}" in (told := capsys.readouterr().err) and "dalle2: stopped." in told
    assert main(command) == 0
    assert f"Downloading {KARLO}: 100%" in capsys.readouterr().err
    assert images.read_record(tmp_path / "one.png")["checkpoint"] == KARLO
    assert main([*command[:2], "someone/nothing", *command[3:-1], str(tmp_path / "two.png")]) == 1
    assert "has no such checkpoint" in capsys.readouterr().err
