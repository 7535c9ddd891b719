"""Engines in torch's place: the same pictures, for all families' networks; their graphs, kept, damaged or missing."""

import errno
import importlib.util
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tiny_graphs
import torch

from dalle2 import images
from dalle2.__main__ import main
from dalle2.engines import export, graphs, hosting
from dalle2.engines.calls import Call
from dalle2.families import EMBEDDED, load
from dalle2.model import UnclipModel, generators
from dalle2.serving.service import Service
from dalle2.settings import Settings
from evaluation.generation import main as generate
from evaluation.pictures.manifest import read_manifest

ENGINES = ["onnxruntime", "openvino"]
TOLERANCE = 1e-4
HALF = 0.1  # of a range of 2: what bfloat16 may change in a picture of few steps
PROMPTS, SEEDS = ["a cat face, twemoji style", "a dog", "a red heart"], [7, 2**32 - 1, 0]


@pytest.fixture(scope="module", autouse=True)
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this file's own: each network is exported once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graphs")
        patch.setenv("DALLE2_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def embedded(embedded_by_torch: UnclipModel) -> dict[str, UnclipModel]:
    return {"torch": embedded_by_torch, "auto": load(EMBEDDED, engine="auto")}


def drawn(model: UnclipModel, settings: Settings | None = None, count: int = 3) -> np.ndarray:
    noise = generators(SEEDS[:count])
    embeddings = model.embed_prompt(PROMPTS[:count], noise, settings)
    return model.decode_pixels(embeddings, noise, PROMPTS[:count], settings).numpy()


@torch.no_grad()
@pytest.mark.parametrize("name", tiny_graphs.CALLS)
def test_the_networks_of_all_families_predict_the_same(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network, x, conditions = tiny_graphs.CALLS[name]()
    expected = network(x, torch.tensor(300), **conditions)[0]
    for engine in ENGINES:
        host = hosting.Host(engine, half=False, exports=True)
        host.invite(name, network, None if name == "prior" else tiny_graphs.BESIDE)
        for first, last in ((0, 3), (1, 2)):  # in any number of rows
            some = {key: cut(value, first, last) for key, value in conditions.items()}
            predicted = network(x[first:last], torch.tensor(300), **some)
            assert host.name == engine and set(vars(predicted)) == {"sample", "predicted_image_embedding"}
            assert (predicted.sample - expected[first:last]).abs().max() <= TOLERANCE
        del network.forward
    assert ("is exported" in caplog.text) == (name == "prior"), "PYTHONPATH=. python tests/tiny_graphs.py"


def cut(value: object, first: int, last: int) -> object:
    if isinstance(value, dict):
        return {key: one[first:last] for key, one in value.items()}
    return None if value is None else value[first:last]


@pytest.fixture(scope="module")
def with_graphs(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with graphs beside its weights, as a published one may have them."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("with graphs") / "sample")
    shutil.copytree(tiny_graphs.BESIDE / graphs.FOLDER, folder / graphs.FOLDER)
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_a_checkpoint_s_pictures_are_torch_s(
    engine: str,
    with_graphs: Path,
    model: UnclipModel,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # which share out rows, and work at one together
    other = load(with_graphs, engine=engine)
    assert other.engine == engine and model.engine == "torch"
    assert np.abs(drawn(other) - drawn(model)).max() <= TOLERANCE
    assert np.abs(drawn(other, count=1) - drawn(other)[:1]).max() <= TOLERANCE  # a seed is one picture in any batch
    small = torch.zeros(1, 3, 16, 16)
    large = [one.upsample(small, [3], side=48) for one in (other, model)]  # a size that is not its own
    assert (large[0] - large[1]).abs().max() <= TOLERANCE and other.engine == engine
    assert not caplog.records


def test_the_embedded_checkpoint_is_drawn_by_onnx_runtime_without_an_export(
    embedded: dict[str, UnclipModel], exports: Path
) -> None:
    ours, expected = embedded["auto"], embedded["torch"]
    before = set(exports.iterdir())
    assert np.abs(drawn(ours) - drawn(expected)).max() <= TOLERANCE
    assert (ours.engine, expected.engine, set(exports.iterdir()) - before) == ("onnxruntime", "torch", set())


def test_bfloat16_by_openvino_deviates_a_little(with_graphs: Path, model: UnclipModel) -> None:
    half = load(with_graphs, dtype=torch.bfloat16, engine="openvino")
    assert half.engine == "openvino"
    assert np.abs(drawn(half) - drawn(model)).max() <= HALF


def test_a_record_says_the_engine_and_is_drawn_again_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    picture, again, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    assert main(["a cat face", "--draft", "--seed", "5", "-o", str(picture)]) == 0
    record = images.read_record(picture)
    assert record["engine"] == "onnxruntime" and record["versions"]["onnxruntime"] and record["dtype"] == "float32"
    assert main(["--from", str(picture), "-o", str(again)]) == 0
    assert np.array_equal(pixels(picture), pixels(again))
    uninstall("onnxruntime", monkeypatch)
    assert main(["--from", str(picture), "-o", str(other)]) == 0
    assert np.abs(pixels(picture) - pixels(other)).max() <= 1 and images.read_record(other)["engine"] == "torch"
    assert "comes out the same" in caplog.text


def uninstall(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one, *more: None if one == package else found(one, *more))


def pixels(file: Path) -> np.ndarray:
    return np.asarray(images.open_picture(file)).astype(int)


def test_records_of_before_are_drawn_again_by_torch() -> None:
    from dalle2.cli.drawing import _engine_of

    assert [_engine_of(record) for record in ({}, {"engine": "abacus"}, {"engine": ["torch"]})] == ["torch"] * 3


def test_where_the_decoder_looks_is_seen_by_torch(embedded: dict[str, UnclipModel]) -> None:
    maps = [one.attend("a cat face", 3)[1].maps for one in embedded.values()]
    assert maps[0].sum() > 0 and torch.allclose(*maps, atol=1e-3)


def test_without_a_graph_auto_is_torch_and_the_service_takes_an_engine(
    tiny_checkpoint: Path, with_graphs: Path
) -> None:
    assert (load(tiny_checkpoint).engine, load(with_graphs).engine) == ("torch", "onnxruntime")
    service = Service.open(str(with_graphs), engine="openvino")
    assert service.model().engine == "openvino"


def test_the_ruler_names_the_engine_and_resumes_with_it(with_graphs: Path, tmp_path: Path) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out"
    prompts.write_text("a cat\na dog\n")
    words = ["--prompts", str(prompts), "--checkpoint", str(with_graphs), "--out", str(out)]
    assert generate([*words, "--engine", "openvino"]) == 0
    found = read_manifest(out)
    assert found is not None and found.engine == "openvino" and found.versions["openvino"]
    assert generate(words) == 0  # of itself it would take what it likes
    assert generate([*words, "--engine", "torch"]) == 2


@pytest.mark.parametrize("engine, name", [("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")])
def test_an_engine_that_is_not_installed_is_refused_in_a_sentence(
    engine: str, name: str, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(engine, monkeypatch)
    with pytest.raises(ValueError, match=f"^{name} is not installed: pip install 'open-dalle2.edge.'"):
        load(tiny_checkpoint, engine=engine)
    assert load(EMBEDDED).engine == ("torch" if engine == "onnxruntime" else "onnxruntime")


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"engine": "abacus"}, "There is no engine 'abacus'"),
        ({"engine": "onnxruntime", "compile": True}, "compile and offload are torch's"),
        ({"engine": "onnxruntime", "dtype": torch.bfloat16}, "ONNX Runtime draws in float32"),
    ],
)
def test_what_no_engine_does_is_refused(how: dict, sentence: str, tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        load(tiny_checkpoint, **how)


class Small(torch.nn.Module):
    """A network that is exported at once."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.config = torch.nn.Linear(4, 4), {"size": 4}

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, return_dict: bool = True) -> tuple:
        return (self.layer(sample) * timestep,)


@pytest.fixture(scope="module")
def its_graph() -> export.Graph:
    return export.export(Small(), a_call(Small()))


def a_call(network: Small) -> Call:
    call = Call.of(network, (torch.ones(1, 4), torch.tensor(2)), {})
    assert call is not None
    return call


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, its_graph: export.Graph) -> tuple[Small, Path]:
    """It, whose export takes no time, and an empty cache."""
    monkeypatch.setenv("DALLE2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(graphs, "export", lambda *_: its_graph)
    return Small(), tmp_path / "cache"


@torch.no_grad()
def predicted(network: Small) -> tuple[torch.Tensor, str]:
    host = hosting.Host("onnxruntime", half=False, exports=True)
    host.invite("small", network, None)
    answer = network(torch.ones(5, 4), torch.tensor(2))
    del network.forward
    return (answer[0] if isinstance(answer, tuple) else answer.sample), host.name


@pytest.mark.parametrize("damage", [b"", b"no archive", "half"])
def test_a_damaged_graph_is_made_anew(
    damage: bytes | str, small: tuple[Small, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network, cache = small
    predicted(network)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if isinstance(damage, str) else damage)
    values, engine = predicted(network)
    assert engine == "onnxruntime" and torch.allclose(values, network(torch.ones(5, 4), 2)[0], atol=1e-6)
    assert "cannot be read" in caplog.text and file.read_bytes() == whole


def test_a_graph_of_another_version_is_not_taken(small: tuple[Small, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    network, cache = small
    predicted(network)
    monkeypatch.setattr(graphs, "version", lambda name: "0.0")
    assert graphs.Graphs(network, None).read(a_call(network).signature) is None
    predicted(network)
    assert len(list(cache.iterdir())) == 2


def test_new_weights_need_no_new_graph(small: tuple[Small, Path]) -> None:
    network, cache = small
    before = predicted(network)[0]
    torch.nn.init.ones_(network.layer.weight)
    after = predicted(network)[0]
    assert len(list(cache.iterdir())) == 1 and not torch.equal(before, after)
    assert torch.allclose(after, network(torch.ones(5, 4), 2)[0], atol=1e-6)


def test_no_memory_is_kept_for_each_number_of_rows(small: tuple[Small, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime keeps a plan and a run's memory for every one that it meets, unless it is told not to."""
    plans: list[bool] = []
    run = onnxruntime.InferenceSession.run

    def watched(session: onnxruntime.InferenceSession, *asked: Any) -> list[np.ndarray]:
        plans.append(session.get_session_options().enable_mem_pattern)
        return run(session, *asked)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", watched)
    predicted(small[0])
    assert set(plans) == {False}


def test_a_disk_that_takes_nothing_is_told_of_and_the_engine_draws_all_the_same(
    small: tuple[Small, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network, cache = small
    cache.write_text("a file where the folder should be")
    values, engine = predicted(network)
    assert engine == "onnxruntime" and "is not kept" in caplog.text and values.shape == (5, 4)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_disk_and_one_that_is_read_only_leave_nothing_half_written(
    error: int, small: tuple[Small, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, cache = small
    written = Path.write_bytes

    def stops(path: Path, content: bytes) -> int:
        written(path, content[: len(content) // 2])
        raise OSError(error, os.strerror(error), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", stops)
        assert predicted(network)[1] == "onnxruntime"
    assert "is not kept" in caplog.text and list(cache.iterdir()) == []
    assert predicted(network)[1] == "onnxruntime" and len(list(cache.iterdir())) == 1


def test_a_graph_that_may_not_be_read_is_made_anew(
    small: tuple[Small, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network, cache = small
    predicted(network)

    def refuses(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuses)
        assert predicted(network)[1] == "onnxruntime"
    assert "cannot be read" in caplog.text and len(list(cache.iterdir())) == 1


def test_several_that_export_at_once_leave_one_whole_graph(small: tuple[Small, Path]) -> None:
    network, cache = small
    call = a_call(network)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: graphs.Graphs(network, None).make(call, "small"), range(16)))
    assert len(list(cache.iterdir())) == 1 and graphs.Graphs(network, None).read(call.signature) == made[0]


def test_what_cannot_be_exported_is_drawn_by_torch_which_is_told(
    small: tuple[Small, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    network = small[0]
    monkeypatch.setattr(graphs, "export", export.export)
    monkeypatch.setattr(export, "nested", lambda *_: 1 / 0)
    values, engine = predicted(network)
    assert engine == "torch" and torch.equal(values, network(torch.ones(5, 4), 2)[0])
    assert "is drawn by torch instead of onnxruntime: ZeroDivisionError" in caplog.text
