"""The FID benchmark's peers: in a folder of their own, which nobody else imports from."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fid, peers

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As pip leaves it, with one peer of two."""
    (tmp_path / "torch_fidelity").mkdir()
    (tmp_path / "torch_fidelity" / "__init__.py").write_text("import torchvision_that_is_not_here\n")
    return tmp_path


def test_who_is_absent_is_left_out_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.missing(("pytorch_fid", "torch_fidelity"), folder) == ["pytorch_fid"]
    monkeypatch.setattr(peers, "missing", lambda packages: ["cleanfid"])
    assert not fid._is_present(fid.PEERS[1])
    assert "clean-fid is left out, since cleanfid is not there: python -m benchmarks.peers" in capsys.readouterr().out


def test_only_who_enters_sees_them(folder: Path) -> None:
    """torchmetrics imports torch_fidelity where it finds it, which breaks it without torchvision."""
    code = (
        "import importlib.util as u, pathlib, sys; from benchmarks import peers; "
        "here = u.find_spec('torch_fidelity'); peers.enter(pathlib.Path(sys.argv[1])); "
        "print(here is None, u.find_spec('torch_fidelity').origin)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(folder / "torch_fidelity" / "__init__.py")]
    assert (ROOT / ".gitignore").read_text().splitlines().count("/runs/") == 1
