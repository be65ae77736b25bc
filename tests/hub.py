"""A stand-in for the Hugging Face hub, in a thread of the test."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huggingface_hub import constants


class Hub(BaseHTTPRequestHandler):
    """Answers for one model, ``some/ast``, with some commits."""

    def do_GET(self):
        self.server.asked.append(self.path)
        owner, name, resolve, revision, file = self.path.strip("/").split("/")
        if self.server.broken:
            self.answer(503)
        elif (owner, name) != ("some", "ast"):
            self.answer(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in self.server.commits:
            self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            commit, folder = self.server.commits[revision]
            self.give(folder / file, {"X-Repo-Commit": commit})

    do_HEAD = do_GET

    def give(self, file, headers):
        if not file.is_file():
            self.answer(404, {**headers, "X-Error-Code": "EntryNotFound"})
            return
        content = file.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self.answer(200, {**headers, "ETag": f'"{etag}"'}, content)

    def answer(self, code, headers=None, content=b""):
        self.send_response(code)
        for pair in (headers or {}).items():
            self.send_header(*pair)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(commits, cache, monkeypatch, handler=Hub):
    """Let the hub's client ask a stand-in.

    Arguments
    ---------
    commits : dict
        By revision: the commit, and the folder of its files.
    cache : pathlib.Path
        The client's cache.
    monkeypatch : pytest.MonkeyPatch
        Sets where the client asks.
    handler : type
        Answers the requests.

    Yields
    ------
    http.server.ThreadingHTTPServer
        ``asked`` are the paths of requests; while ``broken`` is set, nothing
        is served.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked, server.broken, server.commits = [], False, commits
    end = f"http://127.0.0.1:{server.server_port}"
    template = end + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", end)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("petl_modules.backbones.hub.WAITS", (0.01, 0.01))
    thread = threading.Thread(
        target=server.serve_forever, args=(0.01,), daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
