"""Files and folders appear whole or not at all: after an error, a kill, a full disk, and beside other processes."""

import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dalle2 import atomic
from dalle2.training.resuming import read_snapshot, write_snapshot

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from dalle2 import atomic
path = Path(sys.argv[2])
with getattr(atomic, sys.argv[1])(path) as partial:
    (partial if sys.argv[1] == "file" else partial / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITER = """
import sys
import time
from pathlib import Path
from dalle2 import atomic
path, letter = Path(sys.argv[1]), sys.argv[2]
for _ in range(40):
    with atomic.file(path) as partial:
        partial.write_text(100_000 * letter)
try:
    with atomic.file(path.with_name("once.txt"), overwrite=False) as partial:
        partial.write_text(letter)
    print("took")
except FileExistsError:
    print("taken")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_leaves_the_old_one_and_a_hidden_name_that_the_next_run_removes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "set[1].txt"
    if kind == "file":
        path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, kind, path], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {path}
    assert re.fullmatch(r"\.set\[1\]\.txt\.[0-9a-f]{8}\.partial", left.name)
    assert path.read_text() == "old" if kind == "file" else not path.exists()
    atomic.remove_partials(tmp_path, "another.txt")
    assert left.exists()
    atomic.remove_partials(tmp_path, path.name)
    assert not left.exists() and path.exists() == (kind == "file")


def test_of_two_processes_at_once_each_file_is_wholly_ones_and_one_takes_a_free_name(tmp_path: Path) -> None:
    path = tmp_path / "made" / "both.txt"
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, letter], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for letter in "ab"
    ]
    seen = set()
    while any(process.poll() is None for process in started):
        if path.exists():
            text = path.read_text()
            assert len(text) == 100_000 and len(set(text)) == 1
            seen.add(text[0])
        time.sleep(0.001)
    assert seen <= {"a", "b"} and seen
    assert sorted(process.communicate()[0] for process in started) == ["taken\n", "took\n"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["both.txt", "once.txt"]


@pytest.fixture
def full_disk() -> None:
    """No file may grow beyond 10 kB: writing more is refused by the system, in the middle."""
    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError), atomic.file(path) as partial:
        partial.write_bytes(bytes(20_000))
    with pytest.raises(OSError), atomic.folder(tmp_path / "b") as partial:
        (partial / "small.txt").write_text("fits")
        (partial / "large.txt").write_bytes(bytes(20_000))
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_the_callers_sentence_and_leaves_the_old_snapshot(tmp_path: Path, full_disk: None) -> None:
    path = tmp_path / "snapshots" / "clip.pt"
    write_snapshot(path, {"step": 1})
    with pytest.raises(OSError, match=r"Cannot write the snapshot .*clip\.pt \(is the disk full\?\)"):
        write_snapshot(path, {"step": 2, "trained": torch.zeros(5_000)})
    assert read_snapshot(path) == {"step": 1} and list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_nothing_but_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "own.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("full", "file"):
        with pytest.raises(FileExistsError, match=name), atomic.folder(tmp_path / name) as partial:
            (partial / "new.txt").write_text("new")
    with atomic.folder(tmp_path / "empty") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "new.txt").write_text("new")
    files = {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"full/own.txt": "mine", "file": "mine", "empty/inner/new.txt": "new"}


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    for kind in (atomic.file, atomic.folder):
        with pytest.raises(KeyboardInterrupt), kind(tmp_path / "a"):
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_temporary_names_are_made_in_one_place() -> None:
    idiom = re.compile(r"""\.partial["'}]|\.tmp["'}]|os\.replace|os\.rename""")
    files = [file for room in ("dalle2", "demo", "evaluation") for file in (ROOT / room).rglob("*.py")]
    found = {str(file.relative_to(ROOT)) for file in files if idiom.search(file.read_text(encoding="utf-8"))}
    # train.py stands alone on a machine without our packages; pip fills its folder again under the same name.
    assert found == {"dalle2/atomic.py", "dalle2/offline/train.py"}
