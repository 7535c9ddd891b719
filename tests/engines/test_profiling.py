"""`benchmarks.profile` tells where time goes, and `benchmarks.gpu` runs from end to end where there is no GPU."""

import argparse
import shutil
from pathlib import Path

import pytest
import tiny_graphs
import torch

from benchmarks import gpu, profile
from benchmarks.profile_kinds import ARITHMETIC, CONVOLUTIONS, KINDS, MOVING, NORMS, PRODUCTS, kinds_of
from benchmarks.text_to_image import OWN
from dalle2.engines import graphs

STAGES = {"prior", "decoder", "upsampler"}
NAMES = {
    CONVOLUTIONS: ["Conv", "FusedConv", "Convolution", "aten::mkldnn_convolution"],
    PRODUCTS: ["MatMul", "FusedMatMul", "Gemm", "FullyConnected", "aten::addmm", "aten::bmm", "Softmax"],
    NORMS: ["InstanceNormalization", "LayerNormalization", "MVN", "aten::native_group_norm", "ReduceMean"],
    ARITHMETIC: ["Add", "Mul", "Sigmoid", "QuickGelu", "Eltwise", "Subgraph", "aten::silu", "aten::mul"],
    MOVING: ["ReorderInput", "ReorderOutput", "Reorder", "Concat", "Transpose", "Resize", "aten::copy_", "aten::cat"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_an_operator_is_of_the_kind_that_it_is_called_after(kind: str) -> None:
    assert kinds_of(dict.fromkeys(NAMES[kind], 1.0)) == {kind: float(len(NAMES[kind]))}


@pytest.fixture
def options(tiny_checkpoint: Path, tmp_path: Path) -> argparse.Namespace:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "sample")
    shutil.copytree(tiny_graphs.BESIDE / graphs.FOLDER, folder / graphs.FOLDER)
    return argparse.Namespace(checkpoint=str(folder), pictures=2, rounds=1, threads=1)


@torch.no_grad()
@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_a_profile_divides_all_the_time_among_stages_and_kinds(engine: str, options: argparse.Namespace) -> None:
    found = profile.profiled(options, OWN, engine)
    assert set(found.stages) == STAGES | {profile.REST} and min(found.stages.values()) > 0
    assert sum(found.stages.values()) == pytest.approx(found.seconds)
    assert set(found.kinds) == set(KINDS) and sum(found.kinds.values()) == pytest.approx(1)
    assert min(found.kinds[kind] for kind in (CONVOLUTIONS, PRODUCTS, ARITHMETIC)) > 0


@torch.no_grad()
def test_operations_are_counted_by_stage_and_kind_and_grow_with_the_batch(options: argparse.Namespace) -> None:
    two = profile.operations(options, OWN)
    options.pictures = 4
    four = profile.operations(options, OWN)
    assert set(two) == STAGES and not two["prior"].get(CONVOLUTIONS) and two["upsampler"][CONVOLUTIONS] > 0
    for stage in STAGES:
        assert sum(four[stage].values()) == pytest.approx(2 * sum(two[stage].values()))


def test_a_table_says_how_near_the_machine_s_rate_each_row_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = profile.Profile(1.0, 1.5, {"decoder": 0.8, profile.REST: 0.2}, {CONVOLUTIONS: 0.75, PRODUCTS: 0.25})
    rates = {CONVOLUTIONS: 100e9, PRODUCTS: 50e9}
    profile.show("by hand", found, {"decoder": {CONVOLUTIONS: 30e9, PRODUCTS: 5e9}}, rates)
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["decoder", "0.800", "80%", "35.0", "44", "50%"] in rows  # 0.3 s + 0.1 s would do
    assert ["convolutions", "0.600", "60%", "30.0", "50", "50%"] in rows
    assert any("0.400 s: 2.50 times faster" in " ".join(row) for row in rows)


@pytest.mark.parametrize("size", gpu.SIZES, ids=lambda size: size.name)
def test_the_gpu_s_command_is_rehearsed_without_one(
    size: gpu.Size, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training is `dalle2.training --dry-run`, and FID `benchmarks.fid`."""
    monkeypatch.setattr(gpu, "SIZES", (size,))
    levers = ["--part", "levers"] if "Karlo" in size.name else []
    gpu.main(["--rehearse", "--part", "pictures", *levers])
    told = capsys.readouterr().out
    assert f"{size.name}, a picture at equal steps, float32: diffusers" in told
    for lever in ("channels_last: ", "bfloat16: ", "CUDA graph: left out", "float16: left out") if levers else ():
        assert f"{size.name}, a step, {lever}" in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        gpu.main([])
    assert stopped.value.code == 2 and "no CUDA device" in capsys.readouterr().err


def test_what_there_is_no_time_for_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--rehearse", "--minutes", "0.01"])
    assert "training: left out, for lack of time" in capsys.readouterr().out
