"""A stand-in of the Hugging Face hub on this machine: its HTTP API for a few repositories, and what can go wrong."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

LARGE = (".bin", ".safetensors")  # what git-lfs keeps, and the hub sends from elsewhere


@dataclass
class Hub:
    """What it has, and how it behaves.

    Attributes:
        folders: by "owner/name@revision"; "main" is a revision like others.
        private, gated: names of repositories that not everybody gets.
        cut: after how many bytes of a large file the connection is lost, each time; None never.
        left: how many answers it gives yet before it is gone; None for ever.
        ranges: whether it knows ranges.
        false: whether it sends something else.
        asked: what was asked of it: (method, path, range).
        pause: an event for which it waits in the middle of each large file.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    cut: int | None = None
    left: int | None = None
    ranges: bool = True
    false: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    pause: threading.Event | None = None
    address: str = ""

    def add(self, name: str, folder: Path, revision: str = "main") -> str:
        """Publish a folder, and return its name."""
        self.folders[f"{name}@{revision}"] = folder
        return name

    def sent(self) -> list[str]:
        """The large files that were sent, or begun to be, one after another."""
        return [path.removeprefix("/blob") for how, path, _ in self.asked if how == "GET" and path.startswith("/blob/")]

    def commit(self, name: str, revision: str) -> str | None:
        """The commit of a revision, which may be one itself."""
        for key in self.folders:
            repo, _, known = key.partition("@")
            commit = hashlib.sha1(key.encode()).hexdigest()
            if repo == name and revision in (known, commit):
                return commit
        return None

    def folder(self, name: str, commit: str) -> Path:
        """The folder of a commit."""
        return next(
            folder
            for key, folder in self.folders.items()
            if key.startswith(f"{name}@") and hashlib.sha1(key.encode()).hexdigest() == commit
        )


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        if hub.left is not None:
            if hub.left <= 0:
                return self._hang_up()
            hub.left -= 1
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if path.startswith("/api/models/"):
            return self._tell_of(path.removeprefix("/api/models/"))
        if path.startswith("/api/"):
            return self._refuse(404, "")
        if path.startswith("/blob/"):  # without a token: it is sent from elsewhere
            return self._send_large(Path(path.removeprefix("/blob")))
        owner, repo, _, commit, *file = path.strip("/").split("/")
        name = f"{owner}/{repo}"
        if name in hub.gated:
            return self._refuse(403, "GatedRepo")
        return self._resolve(name, commit, "/".join(file))

    do_HEAD = do_GET

    def _tell_of(self, path: str) -> None:
        owner, repo, *rest = path.split("/")
        name, kind = f"{owner}/{repo}", rest[0] if rest else "revision"
        known = any(key.startswith(f"{name}@") for key in self.hub.folders)
        if not known or name in self.hub.private:  # which is the same to a stranger
            return self._refuse(401, "RepoNotFound")
        revision = "/".join(rest[1:]) or "main"
        commit = self.hub.commit(name, revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        files = [_described(file, self.hub.folder(name, commit)) for file in _files(self.hub.folder(name, commit))]
        if kind == "tree":
            return self._answer([{"type": "file", **file} for file in files])
        siblings = [
            {"rfilename": file["path"], "size": file["size"], "blobId": file["oid"]} | _lfs(file) for file in files
        ]
        self._answer({"id": name, "sha": commit, "private": False, "siblings": siblings, "tags": [], "downloads": 0})

    def _resolve(self, name: str, commit: str, file: str) -> None:
        path = self.hub.folder(name, commit) / file
        if not path.is_file():
            return self._refuse(404, "EntryNotFound")
        data = path.read_bytes()
        self.send_response(302 if path.suffix in LARGE else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(data)))
        if path.suffix in LARGE:
            elsewhere = self.hub.address.replace("127.0.0.1", "localhost")  # to which tokens are not sent, as to a CDN
            self.send_header("Location", f"{elsewhere}/blob{path}")
            data = b""
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _send_large(self, path: Path) -> None:
        data = path.read_bytes()
        if self.hub.false:
            data = bytes(len(data))
        asked = self.headers.get("Range") if self.hub.ranges else None
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "HEAD":
            return None
        end = len(data) if self.hub.cut is None else min(begin + self.hub.cut, len(data))
        middle = (begin + end) // 2
        self.wfile.write(data[begin:middle])
        if self.hub.pause is not None:
            self.hub.pause.wait(60)
        self.wfile.write(data[middle:end])
        return self._hang_up() if end < len(data) else None

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, values: object) -> None:
        body = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _described(file: Path, folder: Path) -> dict[str, object]:
    data = file.read_bytes()
    said: dict[str, object] = {"path": file.relative_to(folder).as_posix(), "size": len(data)}
    said["oid"] = hashlib.sha1(data).hexdigest()
    if file.suffix in LARGE:
        said["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return said


def _lfs(file: dict) -> dict[str, object]:
    """As the API says it of a repository, where it calls the hash otherwise than in a listing."""
    if "lfs" not in file:
        return {}
    return {"lfs": {"sha256": file["lfs"]["oid"], "size": file["size"], "pointerSize": 130}}


@contextmanager
def serving(cache: Path) -> Iterator[Hub]:
    """A hub with nothing on it, which is asked in the place of the real one; what comes goes into `cache`."""
    made = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": made}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_port}"
    template = f"{made.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", made.address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr("dalle2.families.downloads.PAUSE_SECONDS", 0.01)
        yield made
    if made.pause is not None:
        made.pause.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of this test's own, and an empty cache."""
    with serving(tmp_path_factory.mktemp("hub")) as made:
        yield made
