"""Time and memory of computing a variant from the metadata of millions of records. Prints one JSON line:

python scripts/benchmark/variant.py --records 3000000
"""

import argparse
import json
import resource
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
from machine import machine

from cliptail_jax.curation.variant import make_variant
from cliptail_jax.objectives import base_config

CLASSES = 1000
WORDS = np.array("a photo of the red old house in summer with my two friends near lake view from boat".split())


class Metadata(SimpleNamespace):
    """A source that is nothing but its metadata."""

    def __len__(self) -> int:
        return self.metadata.num_rows


def synthetic_source(records: int) -> Metadata:
    """Long-tailed labels, captions of five words, similarities in 0.6 to 0.95."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, CLASSES + 1)
    labels = rng.choice(CLASSES, size=records, p=share / share.sum())
    some = pa.array([" ".join(WORDS[rng.integers(len(WORDS), size=5)]) for _ in range(10_000)])
    texts = some.take(pa.array(rng.integers(len(some), size=records)))
    table = pa.table({"label": labels, "text": texts, "similarity": rng.uniform(0.6, 0.95, records)})
    names = tuple(f"class {i}" for i in range(CLASSES))
    return Metadata(name="synthetic", split="train", class_names=names, metadata=table, wnids=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=3_000_000)
    records = parser.parse_args().records
    source = synthetic_source(records)
    data = base_config().data
    data.update({"min_similarity": 0.7, "fraction": 0.5, "keep_all_classes": True})
    data.captions.update({"template": "openai80", "words": ("text",)})
    data.tail.update({"classes": 100, "shots": 1})
    start = time.perf_counter()
    variant = make_variant(source, data)
    made = time.perf_counter() - start
    variant.fingerprint()
    result = {
        "benchmark": "variant",
        "records": records,
        "kept": len(variant),
        "seconds": round(made, 2),
        "seconds_of_fingerprint": round(time.perf_counter() - start - made, 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "machine": machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
