"""A hub on this machine: the few answers of the Hugging Face hub that its client asks for."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 512  # bytes; larger files are kept by their sha256, as the hub keeps weights


class Hub:
    """Repositories by id: revision -> folder; the first revision is the main one."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Path]] = {}
        self.asked: list[str] = []
        self.corrupt: set[str] = set()  # files that arrive changed
        self.status: dict[str, int] = {}  # ids that are refused

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a request."""
        path = unquote(urlsplit(path).path)
        self.asked.append(path)
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            return self._listing("/".join(words[2:4]), words[4:])
        name, rest = "/".join(words[:2]), words[2:]
        if name not in self.models or rest[0] != "resolve":
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        return self._file(name, rest[1], "/".join(rest[2:]))

    def _folder(self, name: str, revision: str) -> tuple[str, Path] | None:
        revisions = self.models[name]
        commit = next(iter(revisions)) if revision == "main" else revision
        return (commit, revisions[commit]) if commit in revisions else None

    def _listing(self, name: str, rest: list[str]) -> tuple[int, dict[str, str], bytes]:
        if name in self.status:
            return self.status[name], {}, b""
        if name not in self.models:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        revision = rest[1] if len(rest) > 1 else "main"
        found = self._folder(name, revision)
        if found is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        commit, folder = found
        files = [self._entry(f, folder) for f in sorted(folder.rglob("*")) if f.is_file()]
        if rest[:1] == ["tree"]:
            tree = [{"type": "file", "path": f["rfilename"], "oid": "0", **f} for f in files]
            return 200, {}, json.dumps(tree).encode()
        body = {"id": name, "sha": commit, "siblings": files, "private": False, "tags": []}
        return 200, {}, json.dumps({**body, "downloads": 0}).encode()

    def _entry(self, file: Path, folder: Path) -> dict[str, object]:
        data = file.read_bytes()
        entry = {"rfilename": str(file.relative_to(folder)), "size": len(data), "blobId": "0"}
        if len(data) <= LARGE:
            return entry
        digest = hashlib.sha256(data).hexdigest()
        lfs = {"sha256": digest, "oid": digest, "size": len(data), "pointerSize": 99}
        return {**entry, "lfs": lfs}

    def _file(self, name: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        found = self._folder(name, revision)
        if found is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        commit, folder = found
        if not (folder / path).is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        data = (folder / path).read_bytes()
        large = hashlib.sha256 if len(data) > LARGE else hashlib.sha1
        etag = large(data).hexdigest()
        if path in self.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}, data


@contextmanager
def serve(hub: Hub):
    """Yield the address of a server that answers for ``hub``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
