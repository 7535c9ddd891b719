"""Checkpoints in memory: loaded when somebody needs one, freed when nobody draws with it, never under a picture."""

import gc
import shutil
import threading
import time
import weakref
from pathlib import Path

import pytest

from dalle2.families.published import known, published
from dalle2.serving.model_cache import Loading
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import TextToImage

SECONDS = 60


@pytest.fixture
def two(tiny_checkpoint: Path, tmp_path: Path) -> tuple[str, str]:
    """Two checkpoints of other names."""
    return str(tiny_checkpoint), str(shutil.copytree(tiny_checkpoint, tmp_path / "other"))


def needed(service: Service, name: str) -> list[Loading]:
    """What is told until the checkpoint is there, which is then given up."""
    with service.lease(name) as lease:
        return list(lease.coming())


def names(service: Service) -> set[str]:
    return set(service.checkpoints)


def test_a_checkpoint_is_loaded_when_it_is_needed_and_the_other_is_freed(two: tuple[str, str]) -> None:
    service = Service.open(*two, keep=1)
    first = service.checkpoints[0]
    assert names(service) == {first} and not needed(service, first)
    freed = weakref.ref(service.model(first))
    decoder = weakref.ref(service.model(first).parts.decoder)
    told = needed(service, "other")
    assert told and all(one.checkpoint == "other" for one in told)
    gc.collect()
    assert names(service) == {"other"} and freed() is None and decoder() is None
    with pytest.raises(Refusal, match="There is no checkpoint"):
        service.model(first)
    needed(service, first)
    with service.lease(first) as lease:
        lease.wait()
        assert next(iter(service.draw(TextToImage(["a cat"]), 1, checkpoint=first)))
    assert names(service) == {first}
    with pytest.raises(ValueError, match="Of 2 checkpoints 1 to 2 can be kept"):
        Service.open(*two, keep=3)


def test_two_are_kept_where_there_is_room(two: tuple[str, str]) -> None:
    service = Service.open(*two)
    assert len(service.checkpoints) == 2 and not needed(service, "other")


def test_nothing_changes_under_a_picture_and_nobody_is_passed_over(two: tuple[str, str]) -> None:
    service = Service.open(*two, keep=1)
    first = service.checkpoints[0]
    came: list[str] = []

    def visit(name: str) -> None:
        with service.lease(name) as lease:
            lease.wait()
            came.append(name)
            time.sleep(0.05)

    with service.lease(first) as drawing:
        drawing.wait()
        model = service.model(first)
        other = threading.Thread(target=visit, args=("other",))
        other.start()
        with service.cache.changed:
            assert service.cache.changed.wait_for(lambda: any(lease._read for lease in service.cache.waiting), SECONDS)
        # Read, it waits for the picture that is being drawn; who comes now for the first one waits behind it.
        late = threading.Thread(target=visit, args=(first,))
        late.start()
        time.sleep(0.1)
        assert service.model(first) is model and came == []
    for thread in (other, late):
        thread.join(SECONDS)
    assert came == ["other", first] and names(service) == {first}


def _library_fault() -> None:
    raise ValueError("Can't load /usr/lib/python3/some/library.json")


def test_what_cannot_be_read_leaves_all_as_it_was(two: tuple[str, str]) -> None:
    service = Service.open(*two, keep=1)
    first = service.checkpoints[0]
    model = service.model(first)
    weights = next(Path(two[1]).glob("decoder/*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(Refusal, match=r"^other/decoder/") as refused:  # where it lies is nobody's business
            needed(service, "other")
        assert str(Path(two[1]).parent) not in str(refused.value)
    assert service.model(first) is model and not service.cache.waiting and not service.cache.loads
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Refusal) as refused:
        patch.setattr(service.opener.__class__, "__call__", lambda *_: _library_fault())
        needed(service, "other")
    assert str(refused.value) == "other cannot be opened here, and the server's log says why: choose another one."
    weights.write_bytes(whole)  # once it is mended it loads
    needed(service, "other")
    assert names(service) == {"other"}


def test_published_ones_are_picked_and_not_loaded_by_the_way(two: tuple[str, str]) -> None:
    service = Service.open(two[0])
    assert [offer.name for offer in service.offers] == list(service.checkpoints)
    service.offer_published()
    assert len(service.offers) == 1 + len(published())
    with pytest.raises(Refusal, match="kakaobrain/karlo-v1-alpha has not been loaded here: pick it"):
        service.lease("kakaobrain/karlo-v1-alpha")
    with pytest.raises(Refusal, match="There is no checkpoint 'nobody/nothing' here"):
        service.lease("nobody/nothing")
    first = service.model()
    with service.lease("emoji", pick=True) as lease:
        lease.wait()
        assert service.checkpoints == ("emoji",) and service.model("emoji").styles
    del first
    service.opener.check_memory("kakaobrain/karlo-v1-alpha-image")  # of which nothing is known


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(
    two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dalle2.serving.opening._free", lambda: 4.0)
    service = Service.open(two[0])
    service.offer_published()
    with (
        service.lease("kakaobrain/karlo-v1-alpha", pick=True) as lease,
        pytest.raises(Refusal, match=r"kakaobrain/karlo-v1-alpha takes 13\.7 GB of memory, and 4\.0 GB are free"),
    ):
        lease.wait()
    assert len(service.checkpoints) == 1


def test_a_name_with_the_prior_that_was_found_is_known_too() -> None:
    found = known("kandinsky-community/kandinsky-2-2-prior+kandinsky-community/kandinsky-2-2-decoder@main")
    assert found and found.title == "Kandinsky 2.2" and known("someone/else") is None
    assert found.memory() == 19.5 and found.memory(2) == 9.8


def test_no_more_comes_than_is_read() -> None:
    """Of a prior's repository its prior alone; Kandinsky 2.2 keeps its image encoder, 1845 million, in halves."""
    for one in published():
        if one.source != "emoji":
            kept_in_half = 1845 * 2 / 1000 if "kandinsky-2-2" in one.source else 0
            assert one.download == pytest.approx(one.memory() - kept_in_half, abs=0.11), one.source


def test_the_tables_of_the_documentation_say_the_same() -> None:
    root = Path(__file__).parents[2]
    sizes = (root / "docs/families.md").read_text(encoding="utf-8")
    rows = [line for line in sizes.splitlines() if line.startswith("| `")]
    for one in published():
        parts = one.source.split("/")
        row = next(
            (row for row in rows if f"`{one.source}`" in row or f"`…-{parts[-1].removeprefix('kandinsky-')}`" in row),
            "",
        )
        if one.source == "emoji" or "image-variations" in one.source:  # said beside the table, and in a row of another
            continue
        assert row, one.source
        assert one.licence.split(" (prior)")[0] in row, one.source
        if "GB |" in row and "more than" not in row:
            assert f"{one.download:g} GB" in row, one.source
    for source, row in (
        ("kakaobrain/karlo-v1-alpha", "Karlo, from prompts"),
        ("kandinsky-community/kandinsky-2-1", "Kandinsky 2.1"),
    ):
        line = next(line for line in sizes.splitlines() if line.startswith(f"| {row}"))
        assert (
            f"| {known(source).parameters} | {known(source).memory():g} GB | {known(source).memory(2):g} GB |" in line
        )
