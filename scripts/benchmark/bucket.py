"""Checks that a run in a bucket with failing and slow requests has the losses of a run in a local folder.

    pip install -e '.[gcs]' gcp-storage-emulator
    python scripts/benchmark/bucket.py [--fails=0.05] [--slow=0.05] [--seed=3]

Trains a tiny model for 30 steps in both. An emulator on this machine provides the bucket; it ignores conditions on writes.
Prints one JSON line: the requests, how many of them were answered with status 503 or after a second, and whether the
losses are the same.
"""

import argparse
import json
import logging
import os
import random
import socketserver
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

from common import ROOT, print_report

TINY = (
    "data.classes.first=12 data.profile.ratio=4.0 batch_size=16 eval.batch_size=16 log_every_steps=1 "
    "model.image.width=4 model.image.output_dim=16 optimizer.warmup_steps=0 total_steps=30 checkpoint.every_steps=10"
).split()
PORT = 9023


def train(workdir: str, data_dir: str, environment: dict[str, str]) -> None:
    """Trains the tiny model. Its log goes to stderr."""
    program = [sys.executable, "-m", "cliptail_jax", "train", "sup:data=glyphs_lt"]
    arguments = [f"--config.{value}" for value in (*TINY, f"data.data_dir={data_dir}")]
    subprocess.run([*program, f"--workdir={workdir}", *arguments], cwd=ROOT, env=os.environ | environment, check=True)


def losses(log: str) -> list[tuple[int, float]]:
    return [(record["step"], record["train/loss"]) for record in map(json.loads, log.splitlines())]


def with_faults(handle: Callable, options: argparse.Namespace, counts: dict[str, int]) -> Callable:
    """The emulator's function that handles a request; some requests fail before, or take long."""
    draw = random.Random(options.seed)

    def handle_or_fail(router, method: str) -> None:
        chance = draw.random()
        counts["requests"] += 1
        if chance < options.fails:
            counts["failed"] += 1
            router._request_handler.close_connection = True  # the rest of the request is not read
            return router._request_handler.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        if chance < options.fails + options.slow:
            counts["slow"] += 1
            time.sleep(1.0)
        return handle(router, method)

    return handle_or_fail


def with_generation(download: Callable) -> Callable:
    """The emulator's function that answers with an object's content, and a header that TensorStore needs."""

    def download_with_generation(request, response, storage, *args, **options) -> None:
        download(request, response, storage, *args, **options)
        if response.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            place = request.params["bucket_name"], request.params["object_id"]
            response["x-goog-generation"] = storage.get_file_obj(*place)["generation"]

    return download_with_generation


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fails", type=float, default=0.05, help="share of requests that fail")
    parser.add_argument("--slow", type=float, default=0.05, help="share of requests that take a second longer")
    parser.add_argument("--seed", type=int, default=0, help="of the requests that are chosen")
    options = parser.parse_args(arguments)
    from gcp_storage_emulator import server
    from gcp_storage_emulator.handlers import objects

    logging.disable(logging.ERROR)  # the emulator logs each request, and prints errors of clients that no longer wait
    socketserver.BaseServer.handle_error = lambda *_: None
    counts = {"requests": 0, "failed": 0, "slow": 0}
    server.Router.handle = with_faults(server.Router.handle, options, counts)
    objects.download = with_generation(objects.download)
    address = f"http://127.0.0.1:{PORT}"
    environment = {"STORAGE_EMULATOR_HOST": address, "TENSORSTORE_GCS_HTTP_URL": address, "JAX_PLATFORMS": "cpu"}
    environment |= {"GOOGLE_AUTH_TOKEN_FOR_TESTING": "none", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    bucket = server.create_server("127.0.0.1", PORT, in_memory=True, default_bucket="bucket")
    with tempfile.TemporaryDirectory() as folder, bucket:
        train(f"{folder}/run", f"{folder}/tfds", {"JAX_PLATFORMS": "cpu"})
        began = time.monotonic()
        train("gs://bucket/run", f"{folder}/tfds", environment)
        seconds = round(time.monotonic() - began)
        folder_losses = losses(Path(folder, "run/metrics.jsonl").read_text(encoding="utf-8"))
        bucket_losses = losses(bucket._storage.get_file("bucket", "run/metrics.jsonl").decode())
    print_report("bucket", **counts, seconds=seconds, steps=len(bucket_losses), same=bucket_losses == folder_losses)
    return int(bucket_losses != folder_losses)


if __name__ == "__main__":
    sys.exit(main())
