"""A run in a bucket whose requests fail now and then, or are slow: its numbers are those of a run in a local folder.

    python scripts/benchmark/bucket.py [--fails=0.05] [--slow=0.05] [--seconds=1]

Trains a tiny model for 30 steps in both. The bucket is a server on this machine; needs the extra gcs. Prints a line of JSON:
the requests, how many of them were answered with status 503 or after so many seconds, and whether the losses are the same.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.benchmark.bucket_server import Bucket, serve  # noqa: E402

TINY = (
    "data.classes.first=12 data.profile.ratio=4.0 batch_size=16 eval.batch_size=16 log_every_steps=1 "
    "model.image.width=4 model.image.output_dim=16 optimizer.warmup_steps=0 total_steps=30 checkpoint.every_steps=10"
).split()


def train(workdir: str, data_dir: str, environment: dict[str, str]) -> None:
    """Trains the tiny model. What it says goes to stderr."""
    program = [sys.executable, "-m", "cliptail_jax.train", "--config=configs/sup.py:data=glyphs_lt"]
    arguments = [f"--config.{value}" for value in (*TINY, f"data.data_dir={data_dir}")]
    subprocess.run([*program, f"--workdir={workdir}", *arguments], cwd=ROOT, env=os.environ | environment, check=True)


def losses(log: str) -> list[tuple[int, float]]:
    return [(record["step"], record["train/loss"]) for record in map(json.loads, log.splitlines())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fails", type=float, default=0.05, help="share of requests that fail")
    parser.add_argument("--slow", type=float, default=0.05, help="share of requests that are slow")
    parser.add_argument("--seconds", type=float, default=1.0, help="how slow they are")
    options = parser.parse_args()
    if not importlib.util.find_spec("gcsfs"):
        print("this needs gcsfs: pip install -e '.[gcs]'", file=sys.stderr)
        return 2
    bucket = Bucket(options.fails, options.slow, options.seconds)
    server = serve(bucket)
    address = f"http://127.0.0.1:{server.server_port}"
    there = {"STORAGE_EMULATOR_HOST": address, "TENSORSTORE_GCS_HTTP_URL": address}
    there |= {"GOOGLE_AUTH_TOKEN_FOR_TESTING": "none", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    with tempfile.TemporaryDirectory() as folder:
        train(f"{folder}/run", f"{folder}/tfds", {"JAX_PLATFORMS": "cpu"})
        began = time.monotonic()
        train("gs://bucket/run", f"{folder}/tfds", {"JAX_PLATFORMS": "cpu"} | there)
        seconds = time.monotonic() - began
        local = losses(Path(folder, "run/metrics.jsonl").read_text())
    found = losses(bucket.objects["run/metrics.jsonl"][0].decode())
    line = {
        "benchmark": "bucket",
        **bucket.counts,
        "seconds": round(seconds),
        "steps": len(found),
        "same": found == local,
    }
    print(json.dumps(line))
    return int(found != local)


if __name__ == "__main__":
    sys.exit(main())
