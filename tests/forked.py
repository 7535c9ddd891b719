"""A command in a process of its own that starts at once: forked off one that has loaded the libraries already.

Loading torch and the rest takes every new process seconds of a core. `Popen` is the standard library's but for that: it
runs `python -m MODULE …` and `python -c CODE …`. A test whose subject is the loading itself (what is imported, what an
environment variable or a missing library changes) starts Python.
"""

import functools
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOADED = ["dalle2.families.karlo.model", "dalle2.training.parallel", "evaluation.drawing.generation"]


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        forkserver.ensure_running()
    return context


class Popen(subprocess.Popen):
    """The standard library's; its three methods that know how a child begins and ends are replaced."""

    def _execute_child(self, args: Sequence[Any], *given: Any) -> None:
        _, preexec_fn, _, _, cwd, env, _, _, shell, *pipes = given[:15]  # the rest are users, groups and sessions
        python, how, what, *arguments = map(os.fsdecode, args)
        assert python == sys.executable and how in ("-m", "-c") and not shell and not preexec_fn
        theirs = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes[:1] + pipes[3:6:2])]
        given = (how, what, arguments, cwd, dict(env or os.environ), list(map(_Stream, theirs)))
        self._process = _context().Process(target=_begin, args=given, daemon=True)
        self._process.start()
        self.pid, self._child_created = self._process.pid, True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            self.returncode = self._process.exitcode
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        self._process.join(timeout)
        if self._internal_poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode


class _Stream:
    """A file descriptor, in this process and then in the other."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getstate__(self) -> Any:
        return DupFd(self.number)

    def __setstate__(self, sent: Any) -> None:
        self.number = sent.detach()


def run(command: Sequence[Any], timeout: float = 300, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and keep what it says."""
    pipe = subprocess.PIPE
    with Popen(command, stdout=pipe, stderr=pipe, text=True, **options) as process:
        try:
            said = process.communicate(timeout=timeout)
        finally:
            process.kill()  # nothing outlives a failure
    return subprocess.CompletedProcess(command, process.returncode, *said)


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever starts Python get a process that is forked."""
    monkeypatch.setattr(subprocess, "Popen", Popen)


def _begin(
    how: str, what: str, arguments: list[str], folder: str | None, environment: dict[str, str], streams: list[_Stream]
) -> None:
    """Be the process."""
    multiprocessing.current_process().daemon = False  # it may have children
    signal.signal(signal.SIGINT, signal.default_int_handler)  # though who runs the tests in the background ignores it
    for number, stream in enumerate(streams):
        os.dup2(stream.number, number)
        os.close(stream.number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (to the process's end)
    os.environ.clear()
    os.environ.update(environment)
    if folder:
        os.chdir(folder)
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))
