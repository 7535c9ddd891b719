"""Where graphs are kept: beside a checkpoint's weights, if it was published with them, and in the user's cache."""

import gzip
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dalle2 import atomic
from dalle2.engines.calls import Call
from dalle2.engines.export import OPSET, Graph, export

log = logging.getLogger(__name__)

FOLDER = "graphs"  # of a checkpoint
ENDING = ".onnx.gz"  # whose checksum tells a damaged file
FORMAT = 1
MAKERS = ("torch", "diffusers", "onnxscript")  # whose versions decide what a graph is


def cache() -> Path:
    """Return the folder of this user's graphs: DALLE2_CACHE, or open-dalle2 where caches are kept."""
    named = os.environ.get("DALLE2_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named).expanduser() if named else Path(base) / "open-dalle2" / FOLDER


def config_of(network: torch.nn.Module) -> dict[str, Any]:
    """Return what decides a network's graph: its class and its config."""
    config: Mapping[str, Any] = network.config  # ty: ignore[invalid-assignment]  (of diffusers)
    told = {name: value for name, value in config.items() if not name.startswith("_")}
    return {"class": type(network).__name__, "config": told, "opset": OPSET, "format": FORMAT}


@dataclass(frozen=True)
class Graphs:
    """The graphs of one network. `beside` is the folder of its checkpoint's own."""

    network: torch.nn.Module
    beside: Path | None

    @property
    def known(self) -> bool:
        """Whether there is any, so that nothing has to be exported before the first picture."""
        return any(any(folder.glob(f"{start}-*{ENDING}")) for folder, start in self._places())

    def read(self, signature: str) -> Graph | None:
        """Return the graph for calls of this signature; None where there is none that can be read."""
        for folder, start in self._places():
            file = folder / _name(start, signature)
            try:
                return Graph.of(gzip.decompress(file.read_bytes()))
            except FileNotFoundError:
                continue
            except (OSError, EOFError, ValueError, zlib.error) as error:
                log.warning("%s cannot be read (%s), and is made anew.", file, error)
        return None

    def make(self, call: Call, what: str) -> Graph:
        """Return the graph for such a call, exported and kept; CannotExport where that fails.

        `what` says what is exported. Of a cache that cannot be written a warning tells, and the graph serves all the
        same.
        """
        log.warning("The %s is exported to ONNX, once: half a minute or more.", what)
        graph = export(self.network, call)
        folder, start = self._places()[-1]
        file = folder / _name(start, call.signature)
        try:
            self._write(graph, file)
        except OSError as error:
            log.warning("The export is not kept, and will be made again, because %s cannot be written: %s", file, error)
        return graph

    def lay_beside(self, signature: str, folder: Path) -> Path:
        """Return the file beside a checkpoint's weights where the graph for such calls is from now on."""
        graph = self.read(signature)
        assert graph is not None, "it has been made"
        file = folder / FOLDER / _name(_digest(config_of(self.network)), signature)
        self._write(graph, file)
        return file

    @staticmethod
    def _write(graph: Graph, file: Path) -> None:
        """Write a graph; the file appears whole or not at all, also where several processes write it."""
        with atomic.file(file) as partial:
            partial.write_bytes(gzip.compress(graph.to_bytes(), mtime=0))

    def _places(self) -> list[tuple[Path, str]]:
        """Return folders, and how the names of this network's graphs begin there."""
        own = config_of(self.network)
        # Those of before they were optimised, which serve as well, are looked for beside the weights alone.
        made = own | {"versions": {name: _version(name) for name in MAKERS}, "optimised": True}
        places = [(cache(), _digest(made))]
        return places if self.beside is None else [(self.beside / FOLDER, _digest(own)), *places]


def _name(start: str, signature: str) -> str:
    return f"{start}-{_digest(signature)}{ENDING}"


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""
