"""What `pip install .` brings along."""

import itertools
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DESCRIPTION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pinned() -> dict[str, Requirement]:
    """The exact versions of the requirement files, by name."""
    lines = [
        line.split("#")[0].strip()
        for name in (
            "requirements.txt",
            "requirements-train.txt",
            "requirements-ray.txt",
            "requirements-dev.txt",
            "requirements-docs.txt",
        )
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    found = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    return {requirement.name: requirement for requirement in found}


def test_the_pinned_versions_lie_in_the_ranges_of_the_package() -> None:
    exact = pinned()
    ranges = itertools.chain(DESCRIPTION["dependencies"], *DESCRIPTION["optional-dependencies"].values())
    wanted = [requirement for requirement in map(Requirement, ranges) if requirement.name != DESCRIPTION["name"]]
    assert {requirement.name for requirement in wanted} == set(exact)
    for requirement in wanted:
        (version,) = exact[requirement.name].specifier
        assert version.operator == "==" and requirement.specifier.contains(version.version), str(requirement)


def test_a_wheel_holds_every_file_that_the_code_opens(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", "77", reason="building a wheel without a network needs setuptools 77")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout, so nobody says which files belong to the project")
    packages = ("dalle2/", "demo/", "evaluation/")
    tracked = {name for name in listed.stdout.splitlines() if name.startswith(packages)}
    source = tmp_path / "source"  # setuptools leaves its work beside the source, and would pack it the next time
    for name in {*tracked, "pyproject.toml", "README.md", "LICENSE"}:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    (wheel,) = tmp_path.glob("open_dalle2-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert tracked <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "benchmarks", "docs")]
    metadata = next(name for name in names if name.endswith("entry_points.txt"))
    assert "dalle2 = dalle2.__main__:main" in zipfile.ZipFile(wheel).read(metadata).decode()
