"""The Hugging Face Hub as a server on this machine plays it."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.pretrained import hub as hub_module
from cliptail_jax.pretrained.published_clip import load, open_published
from tests.hub_cache import COMMIT
from tests.pretrained.tiny_models import write_model, write_tokenizer

constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `pretrained`")
file_download = pytest.importorskip("huggingface_hub.file_download")


class Hub(BaseHTTPRequestHandler):
    """/owner/name/resolve/REVISION/FILE for the files of `folder`, at the revisions main and COMMIT."""

    folder = None
    requests = []

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body: bool):
        if self.path == "/":
            return self.reply(200, {}, b"")
        owner, name, _, revision, file = self.path.lstrip("/").split("/")
        self.requests.append((self.command, file))
        path = self.folder / file
        for is_missing, code in (
            ((owner, name) != ("owner", "name"), "RepoNotFound"),
            (revision not in ("main", COMMIT), "RevisionNotFound"),
            (not path.is_file(), "EntryNotFound"),
        ):
            if is_missing:
                return self.reply(404, {"X-Error-Code": code}, b"")
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self.reply(200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content, with_body)

    def reply(self, status: int, headers: dict[str, str], content: bytes, with_body: bool = True):
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The server, with one model that has no tokenizer, and an empty cache."""
    monkeypatch.setattr(Hub, "folder", write_model(tmp_path / "published", "vit"))
    monkeypatch.setattr(Hub, "requests", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(hub_module, "_last_contact", None)
    for module in (constants, file_download):  # older versions have a copy there
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()


def test_a_repository_is_fetched_once_and_pinned(hub):
    pretrained = load("hf-hub:owner/name")
    assert pretrained.weights.revision == COMMIT
    assert ("GET", "open_clip_model.safetensors") in Hub.requests
    Hub.requests.clear()
    assert load(f"hf-hub:owner/name@{COMMIT}").digest == pretrained.digest
    assert not [request for request in Hub.requests if request[0] == "GET"]


def test_a_tokenizer_is_fetched_with_what_says_how_it_pads(hub):
    write_tokenizer(Hub.folder, "siglip")
    document = json.loads((Hub.folder / "open_clip_config.json").read_text())
    document["model_cfg"]["text_cfg"] |= {"vocab_size": 183, "context_length": 8, "pool_type": "last"}
    document["model_cfg"]["text_cfg"]["no_causal_mask"] = True
    (Hub.folder / "open_clip_config.json").write_text(json.dumps(document))
    assert open_published("hf-hub:owner/name").tokenizer([""]).tolist() == [[1] * 8]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("owner/other", "hf-hub:owner/other: the Hub has no such repository"),
        ("not a name", "hf-hub:not a name: the Hub was not asked, since it names its repositories OWNER/NAME"),
        ("../x", "hf-hub:../x: the Hub was not asked"),
        ("owner/name@v2", "hf-hub:owner/name at revision v2: the repository has no such revision"),
        (
            "owner/name",
            r"has no open_clip_model.safetensors or .*model.safetensors; scripts/convert_pytorch_weights\.py",
        ),
    ],
)
def test_a_repository_revision_or_file_that_the_hub_lacks_is_named(hub, name, expected):
    (Hub.folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(UserError, match=expected):
        load(f"hf-hub:{name}")


def test_a_hub_that_does_not_answer_is_asked_once_for_all_models(hub, monkeypatch, capsys):
    first = load("hf-hub:owner/name")
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr(hub_module, "_last_contact", None)
    monkeypatch.setattr(hub_module.time, "sleep", lambda seconds: None)
    start = time.monotonic()
    for i in range(49):
        with pytest.raises(UserError, match="open_clip_config.json is not in the cache, and the Hub cannot be reached"):
            load(f"hf-hub:owner/model{i}")
    assert load("hf-hub:owner/name").digest == first.digest
    assert time.monotonic() - start < 5
    assert capsys.readouterr().err.count("note: the Hugging Face Hub cannot be reached") == 1
