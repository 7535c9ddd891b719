"""A forked process is to a test what a started one is: streams, environment, exit codes, signals, children."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import forked

SPOKEN = """
import multiprocessing, os, sys
print(sys.stdin.read().upper(), sys.argv[1:], os.environ.get("WHO"), os.getcwd(), "torch" in sys.modules)
print(multiprocessing.current_process().daemon, file=sys.stderr)
sys.exit(int(sys.argv[2]))
"""


def test_it_reads_writes_and_ends_like_any_other(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SPOKEN, "a b", 3]
    with forked.Popen(
        list(map(str, command)), cwd=tmp_path, env=os.environ | {"WHO": "jane"}, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        said, complained = process.communicate(b"hello", timeout=60)
    assert said.decode().split("\n")[0] == f"HELLO ['a b', '3'] jane {tmp_path} True"
    assert (complained, process.returncode) == (b"False\n", 3)


def test_it_is_stopped_and_killed() -> None:
    waits = "import time\nprint('here', flush=True)\ntime.sleep(60)"
    for number, code in ((signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        command = [sys.executable, "-c", waits]
        with forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "here\n" and process.poll() is None
            process.send_signal(number)
            said = process.communicate(timeout=60)[1]
        assert process.returncode == code and ("KeyboardInterrupt" in said) is (number == signal.SIGINT)


def test_a_module_is_the_main_one() -> None:
    done = forked.run([sys.executable, "-m", "json.tool", os.devnull])
    assert done.returncode == 1 and "Expecting value" in done.stderr
