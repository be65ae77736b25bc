"""A stand-in for the Hugging Face hub that takes uploads."""

import base64
import hashlib
import json

from tests.hub import Hub


class WritableHub(Hub):
    """Answers for the models in the folders ``owner/name`` of ``server.root``.

    ``server.private`` has the names of those that are private. Weights go the
    way of large files, as on the hub.
    """

    def do_GET(self):
        self.server.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[0] == "api":
            self.list_files("/".join(parts[2:4]))
        elif self.server.broken:
            self.answer(503)
        else:
            owner, name, _, revision, *file = parts
            folder = self.server.root / owner / name
            commit = self.commit_of(folder) if folder.is_dir() else None
            if commit is None:
                self.answer(404, {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", commit):
                self.answer(404, {"X-Error-Code": "RevisionNotFound"})
            else:
                file = folder / "/".join(file)
                self.give(file, {"X-Repo-Commit": commit})

    do_HEAD = do_GET

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        content = self.rfile.read(length)
        path = self.path.partition("?")[0]
        name = "/".join(path.strip("/").split("/")[2:4])
        if path == "/api/repos/create":
            self.create(json.loads(content))
        elif path == "/api/validate-yaml":
            self.say({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            self.say(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs"
                            if file["path"].endswith(".safetensors")
                            else "regular",
                            "shouldIgnore": False,
                        }
                        for file in json.loads(content)["files"]
                    ]
                }
            )
        elif path.endswith("/info/lfs/objects/batch"):
            self.say(
                {
                    "objects": [
                        {**part, "actions": {"upload": self.upload(part)}}
                        for part in json.loads(content)["objects"]
                    ]
                }
            )
        else:
            self.commit(name, content.decode().splitlines())

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = hashlib.sha256(content).hexdigest()
        assert self.path == f"/large/{oid}"
        self.server.large[oid] = content
        self.answer(200)

    def upload(self, part):
        port = self.server.server_port
        return {"href": f"http://127.0.0.1:{port}/large/{part['oid']}"}

    def say(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def create(self, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        (self.server.root / name).mkdir(parents=True, exist_ok=True)
        if wanted.get("visibility") == "private":
            self.server.private.add(name)
        self.say({"url": f"https://huggingface.co/{name}", "id": "1"})

    def commit(self, name, lines):
        folder = self.server.root / name
        for line in map(json.loads, lines):
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.server.large[value["oid"]]
            else:
                continue
            (folder / value["path"]).write_bytes(content)
        oid = self.commit_of(folder)
        url = f"https://huggingface.co/{name}/commit/{oid}"
        self.say({"success": True, "commitUrl": url, "commitOid": oid})

    def list_files(self, name):
        folder = self.server.root / name
        if not folder.is_dir():
            self.answer(404, {"X-Error-Code": "RepoNotFound"})
            return
        files = [{"rfilename": x.name} for x in sorted(folder.iterdir())]
        self.say({"id": name, "siblings": files})

    def commit_of(self, folder):
        """A commit is known by its files."""
        found = hashlib.sha1()
        for file in sorted(folder.iterdir()):
            found.update(file.name.encode() + file.read_bytes())
        return found.hexdigest()
