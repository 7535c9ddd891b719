"""deploy/Dockerfile, walked through without Docker: its steps run in a folder, with stand-ins for what installs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_INS = ("pip", "apt-get", "useradd", "chown", "rm")


def steps() -> list[tuple[str, str]]:
    """The instructions with their arguments; continued lines are one."""
    text = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_is_of_a_python_that_the_project_takes_and_ends_in_a_user_and_a_command() -> None:
    names = [name for name, _ in steps()]
    assert names[0] == "FROM" and set(names) <= {
        "FROM",
        "ARG",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "EXPOSE",
        "CMD",
    }
    version = re.fullmatch(r"python:3\.(\d+)-slim", steps()[0][1])
    assert version and int(version[1]) >= 11
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    (command,) = [given for name, given in steps() if name == "CMD"]
    assert (ROOT / yaml_list(command)[1]).is_file() and "0.0.0.0" in command


def yaml_list(text: str) -> list[str]:
    return re.findall(r'"([^"]*)"', text)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name, given in steps():
        if name == "COPY":
            for source in given.split()[:-1]:
                assert (ROOT / source).exists() and source not in ignored, source
    assert {".git", "runs", "data"} <= set(ignored)


@pytest.mark.parametrize("index", ["https://pypi.org/simple", "https://download.pytorch.org/whl/cpu"])
def test_its_steps_install_the_pinned_torch_from_the_index_that_is_asked_for(index: str, tmp_path: Path) -> None:
    binaries, app = tmp_path / "bin", tmp_path / "app"
    binaries.mkdir()
    app.mkdir()
    for name in STAND_INS:
        (binaries / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> {shlex.quote(str(tmp_path / "log"))}\n')
        (binaries / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "TORCH_INDEX": index}
    for name, given in steps():
        if name == "COPY" and given.split()[:-1] != ["."]:
            for source in given.split()[:-1]:
                (app / source).write_bytes((ROOT / source).read_bytes())
        elif name == "RUN":
            subprocess.run(["sh", "-euc", given], cwd=app, env=environment, check=True)
    done = (tmp_path / "log").read_text().splitlines()
    pin = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch=="))
    first, second, third = [line for line in done if line.startswith("pip ")]
    assert f"--index-url {index} " in first and first.endswith(pin)
    assert second.endswith("-r requirements-ray.txt") and third.endswith("--no-deps .")
