"""Time and memory of computing a variant from the metadata of millions of records.

    python scripts/benchmark/variant.py [--records=3000000]

Prints one JSON line.
"""

import argparse
import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
from common import peak_gib, print_report

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
    return Metadata(name="synthetic", split="train", class_names=names, metadata=table, wnids=None, encoding={})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=3_000_000)
    records = parser.parse_args(arguments).records
    source = synthetic_source(records)
    data = base_config().data
    data.update({"min_similarity": 0.7, "fraction": 0.5, "keep_all_classes": True})
    data.captions.update({"template": "openai80", "words": ("text",)})
    data.tail.update({"classes": 100, "shots": 1})
    start = time.perf_counter()
    variant = make_variant(source, data)
    made = time.perf_counter() - start
    variant.fingerprint()
    fingerprint = time.perf_counter() - start - made
    times = {"seconds": round(made, 3), "seconds_of_fingerprint": round(fingerprint, 3)}
    print_report("variant", records=records, kept=len(variant), **times, peak_gib=peak_gib())


if __name__ == "__main__":
    main()
