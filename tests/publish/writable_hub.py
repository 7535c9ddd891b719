"""A stand-in of the Hub's HTTP API, as far as publishing asks it, on this machine."""

import base64
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

LARGE = 20_000  # bytes from which a file goes the way of large ones

TOKENS = {
    "writer": {"name": "someone", "auth": {"accessToken": {"role": "write"}}, "orgs": [{"name": "club"}]},
    "reader": {"name": "someone", "auth": {"accessToken": {"role": "read"}}, "orgs": []},
    # fine-grained: the Hub does not tell here what it may do
    "narrow": {"name": "someone", "auth": {"accessToken": {"role": "fineGrained"}}, "orgs": []},
}


class Hub(ThreadingHTTPServer):
    """Repositories by kind and name: their files, by commit. `cuts` large uploads break off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[tuple[str, str], dict[str, bytes]] = {}
        self.commits: list[tuple[str, str, list[str]]] = []
        self.made: list[dict] = []
        self.large: dict[str, bytes] = {}
        self.cuts = 0
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def answer(self, status: int, value: object = None, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def repository(self) -> tuple[str, str]:
        _, _, kind, owner, name, *_ = self.path.split("/")
        return kind.removesuffix("s"), f"{owner}/{name.partition('?')[0]}"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/api/whoami-v2":
            known = TOKENS.get(self.token)
            return self.answer(200, known) if known else self.answer(401, {"error": "Invalid credentials"})
        kind, name = self.repository()
        files = self.server.repositories.get((kind, name))
        if files is None:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        told = {"id": name, "siblings": [{"rfilename": file} for file in files], "sha": "0" * 40}
        return self.answer(200, told)

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if self.path.endswith("/info/lfs/objects/batch"):
            return self.batch(json.loads(body))
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["size"] > LARGE else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in files
            ]
            return self.answer(200, {"files": modes})
        return self.commit([json.loads(line) for line in body.splitlines()])

    def create(self, asked: dict) -> None:
        if self.token == "narrow":
            return self.answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        name = f"{asked['organization']}/{asked['name']}"
        self.server.made.append(asked)
        self.server.repositories[asked.get("type") or "model", name] = {".gitattributes": b""}
        return self.answer(200, {"url": f"{self.server.address}/{name}", "name": name})

    def batch(self, asked: dict) -> None:
        objects = []
        for one in asked["objects"]:
            there = one["oid"] in self.server.large
            upload = {"upload": {"href": f"{self.server.address}/large/{one['oid']}"}}
            objects.append({**one, **({} if there else {"actions": upload})})
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        self.server.asked.append("PUT")
        if self.server.cuts:
            self.server.cuts -= 1
            self.close_connection = True
            self.connection.close()  # in the middle of the file
            return
        self.server.large[urlparse(self.path).path.rpartition("/")[2]] = self.rfile.read(
            int(self.headers["Content-Length"])
        )
        self.answer(200)

    def commit(self, lines: list[dict]) -> None:
        if self.token == "narrow":
            return self.answer(403, {"error": "Forbidden: pass `create_pr=1` as a query parameter"})
        kind, name = self.repository()
        files = self.server.repositories[kind, name]
        for line in lines:
            match line:
                case {"key": "file", "value": {"path": path, "content": content}}:
                    files[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": oid}}:
                    files[path] = self.server.large[oid]
        self.server.commits.append((kind, name, sorted(files)))
        address = f"{self.server.address}/{name}/commit/1"
        return self.answer(200, {"commitUrl": address, "commitOid": "1" * 40})


@contextmanager
def stand_in() -> Generator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
