"""Google Cloud Storage's JSON API for one bucket in memory, as far as gcsfs and TensorStore use it; requests may fail or be slow.

On the loopback interface alone. Programs find it by STORAGE_EMULATOR_HOST and TENSORSTORE_GCS_HTTP_URL.
"""

import base64
import contextlib
import http.server
import itertools
import json
import random
import threading
import time
import urllib.parse


class Bucket:
    """Objects by name: their content and generation."""

    def __init__(self, fails: float = 0.0, slow: float = 0.0, seconds: float = 0.0, seed: int = 0):
        self.fails, self.slow, self.seconds, self.draw = fails, slow, seconds, random.Random(seed)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.uploads: dict[str, tuple[str, dict, bytearray]] = {}
        self.counts = {"requests": 0, "failed": 0, "slow": 0}
        self.generations, self.lock = itertools.count(1), threading.RLock()

    def mood(self) -> str:
        with self.lock:
            self.counts["requests"] += 1
            chance = self.draw.random()
            mood = "failed" if chance < self.fails else "slow" if chance < self.fails + self.slow else ""
            if mood:
                self.counts[mood] += 1
        if mood == "slow":
            time.sleep(self.seconds)
        return mood

    def resource(self, name: str) -> dict:
        content, generation = self.objects[name]
        crc = base64.b64encode(crc32c(content).to_bytes(4, "big")).decode() if len(content) < 1 << 16 else None
        found = {"kind": "storage#object", "name": name, "bucket": "bucket", "size": str(len(content))}
        found |= {"generation": str(generation), "metageneration": "1", "timeCreated": "2026-01-01T00:00:00.000Z"}
        return (
            found | {"updated": "2026-01-01T00:00:00.000Z", "etag": str(generation)} | ({"crc32c": crc} if crc else {})
        )

    def put(self, name: str, content: bytes, query: dict) -> dict | None:
        """The object's description; None where another generation was expected."""
        with self.lock:
            wanted = query.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != self.objects.get(name, (b"", 0))[1]:
                return None
            self.objects[name] = bytes(content), next(self.generations)
            return self.resource(name)


def crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


TABLE = [_entry(value) for value in range(256)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def handle_one(self) -> None:
        body = self.body()
        if self.bucket.mood() == "failed":
            return self.answer(503, b"unavailable")
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        path = url.path
        if path.startswith("/upload/"):
            return self.upload(query, body)
        marker = "/o/"
        if path.startswith("/download/"):
            query["alt"] = "media"
        if marker in path:
            name = urllib.parse.unquote(path.partition(marker)[2])
            return self.object(name, query)
        if path.rstrip("/").endswith("/o"):
            return self.listing(query)
        self.json({"kind": "storage#bucket", "name": "bucket", "storageClass": "STANDARD", "location": "US"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def object(self, name: str, query: dict) -> None:
        bucket = self.bucket
        with bucket.lock:
            if name not in bucket.objects:
                return self.answer(404, b'{"error": {"code": 404, "message": "Not Found"}}')
            content, generation = bucket.objects[name]
            if self.command == "DELETE":
                wanted = query.get("ifGenerationMatch")
                if wanted is not None and int(wanted) != generation:
                    return self.answer(412, b"{}")
                del bucket.objects[name]
                return self.answer(204, b"")
        if query.get("alt") != "media":
            return self.json(bucket.resource(name))
        if query.get("ifGenerationNotMatch") == str(generation):
            return self.answer(304, b"", {"x-goog-generation": str(generation)})
        headers, status = {"x-goog-generation": str(generation)}, 200
        if (ranged := self.headers.get("Range", "")).startswith("bytes="):
            first, _, last = ranged.removeprefix("bytes=").partition("-")
            total = len(content)
            start = int(first) if first else total - int(last)
            stop = min(int(last) + 1, total) if first and last else total
            if start >= total:
                return self.answer(416, b"", headers)
            content, status = content[start:stop], 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self.answer(status, content, headers)

    def listing(self, query: dict) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        first, last = query.get("startOffset", ""), query.get("endOffset", "")
        items, prefixes = [], set()
        with self.bucket.lock:
            for name in sorted(self.bucket.objects):
                if not name.startswith(prefix) or name < first or (last and name >= last):
                    continue
                head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                if found:
                    prefixes.add(prefix + head + delimiter)
                else:
                    items.append(self.bucket.resource(name))
        limit = int(query.get("maxResults") or 0)
        self.json({"kind": "storage#objects", "items": items[:limit] if limit else items, "prefixes": sorted(prefixes)})

    def upload(self, query: dict, body: bytes) -> None:
        bucket, kind = self.bucket, query.get("uploadType")
        if kind == "multipart":
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("\"'").encode()
            parts = body.split(b"--" + boundary)
            about = json.loads(parts[1].partition(b"\r\n\r\n")[2] or parts[1].partition(b"\n\n")[2])
            content = parts[2].partition(b"\r\n\r\n")[2] or parts[2].partition(b"\n\n")[2]
            content = content.removesuffix(b"\r\n") if content.endswith(b"\r\n") else content.removesuffix(b"\n")
            return self.stored(bucket.put(about.get("name") or query["name"], content, query))
        if kind == "resumable" and "upload_id" not in query:
            about = json.loads(body or b"{}")
            key = str(next(bucket.generations))
            bucket.uploads[key] = about.get("name") or query["name"], query, bytearray()
            place = f"http://{self.headers['Host']}/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id={key}"
            return self.answer(200, b"", {"Location": place})
        if kind == "resumable":
            name, asked, collected = bucket.uploads[query["upload_id"]]
            span = self.headers.get("Content-Range", "")
            if "-" in span:  # a repeated part overwrites itself
                start = int(span.split()[1].partition("-")[0])
                collected[start:] = body
            total = span.rpartition("/")[2]
            if total in ("", "*") or len(collected) < int(total):
                return self.answer(308, b"", {"Range": f"bytes=0-{len(collected) - 1}"} if collected else {})
            return self.stored(bucket.put(name, bytes(collected), asked))
        return self.stored(bucket.put(query["name"], body, query))

    def stored(self, resource: dict | None) -> None:
        self.answer(412, b'{"error": {"code": 412}}') if resource is None else self.json(resource)

    def json(self, value: dict) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, content: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            with contextlib.suppress(ConnectionError):  # of a client that no longer waits
                self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_one

    def log_message(self, *_) -> None:
        pass


def serve(bucket: Bucket, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of the bucket in threads of this process."""
    handler = type("Handler", (Handler,), {"bucket": bucket})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.handle_error = lambda *_: None  # of clients that no longer wait
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
