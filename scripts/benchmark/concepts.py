"""Captions per second of concept counting, beside the rule taken at its word (direct_concepts.py).

    python scripts/benchmark/concepts.py --captions=FILE    # repeated, or cut, to 2,000,000 rows
    python scripts/benchmark/concepts.py                    # captions made of ImageNet's phrases and common words

Prints one JSON line. `per_core` divides by CPU time, as does the direct implementation's rate, which is taken from some
of the same captions: on a busy machine that is what repeats. Both count imagenet1k in captions that are in memory;
`file_per_second` is by the clock, with one process that reads them from parquet files, and `speed_up_of_2_processes`
what two gain on that, their start included. `cost_of_10000_classes` is the CPU time of 10,000 concepts, WordNet's nouns
in a random order, over that of the first 1,000 of them. `peak_gib` is the command line's peak memory for the same file.
"""

import argparse
import functools
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable

import direct_concepts
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from machine import machine

from cliptail_jax.concepts.captions import find_parts, read_part
from cliptail_jax.concepts.corpus import count_part
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.vocabulary import Concept, load_vocabulary
from cliptail_jax.concepts.wordnet import wordnet
from cliptail_jax.concepts.workers import completed

COMMON_WORDS = "a the of in on with and for to at man woman people photo white black red standing street new".split()


def synthetic_captions(vocabulary: Iterable[Concept], number: int) -> pa.Array:
    """Captions of ten words or so, of which one in three is from a concept's phrases."""
    rng = np.random.default_rng(0)
    rare = [phrase for concept in vocabulary for phrase in concept.synonyms]
    captions = []
    for _ in range(number):
        words = rng.choice(COMMON_WORDS, 8).tolist()
        for phrase in rng.choice(rare, rng.integers(0, 3)):
            words.insert(rng.integers(len(words)), str(phrase))
        captions.append(" ".join(words).capitalize() + ".")
    return pa.array(captions, pa.large_string())


def captions_of(path: str, column: str | None) -> pa.Array:
    batches = (batch.captions for part in find_parts(path) for batch in read_part(part, column))
    return pa.concat_arrays(list(batches)).cast(pa.large_string())


def repeated(captions: pa.Array, rows: int) -> pa.Array:
    return pa.concat_arrays([captions] * -(-rows // len(captions)))[:rows]


def nouns(number: int) -> list[Concept]:
    """Concepts of WordNet, each with its lemmas."""
    synsets = [s for s in wordnet().all_synsets("n") if any(map(str.isalpha, s.lemma_names()[0]))]
    lemmas = {
        synsets[i].lemma_names()[0]: synsets[i].lemma_names()
        for i in np.random.default_rng(0).permutation(len(synsets))
    }
    return [Concept(name, tuple(names)) for name, names in itertools.islice(lemmas.items(), number)]


def cpu_seconds(counter: ConceptCounter, captions: pa.Array, times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        start = time.process_time()
        counter.count(captions)
        seconds.append(time.process_time() - start)
    return min(seconds)


def direct_rate(vocabulary: Iterable[Concept], captions: pa.Array, seconds: float = 10) -> float:
    """Captions per CPU second, once everything is loaded."""
    matches = direct_concepts.carried(vocabulary, itertools.cycle(captions.to_pylist()))
    next(matches)
    start = time.process_time()
    for done in itertools.count(1):
        next(matches)
        if (taken := time.process_time() - start) > seconds:
            return done / taken


def file_rate(counter: ConceptCounter, path: str, processes: int, passes: int) -> float:
    """Captions per second from a file that is read several times over."""
    start = time.perf_counter()
    tallies = completed(functools.partial(count_part, counter=counter), [path] * passes, processes)
    done = sum(tally.captions for _, tally in tallies)
    return done / (time.perf_counter() - start)


def peak_gib(path: str) -> float:
    """Of the command line, counting in one process, as Linux tells it at the end."""
    program = "import sys; from cliptail_jax.concepts.count import main; main(sys.argv[1:])"
    program += "; print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--captions={path}", "--vocabulary=imagenet1k", f"--output={folder}/counts.tsv", "--processes=1"]
        done = subprocess.run([sys.executable, "-c", program, *flags], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-2]) / 2**20  # KiB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", help="a captions file, a glob or a folder; default: made up")
    parser.add_argument("--column", help="which holds the captions")
    parser.add_argument("--rows", type=int, default=2_000_000)
    args = parser.parse_args()

    vocabulary = load_vocabulary("imagenet1k")
    counter = ConceptCounter(vocabulary)
    captions = captions_of(args.captions, args.column) if args.captions else synthetic_captions(vocabulary, 20_000)
    captions = repeated(captions, args.rows)
    rate = len(captions) / cpu_seconds(counter, captions)
    direct = direct_rate(vocabulary, captions[:20_000])
    costs = [cpu_seconds(ConceptCounter(nouns(number)), captions) for number in (1000, 10_000)]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/captions.parquet"
        pa.parquet.write_table(pa.table({"TEXT": captions}), path)
        passes = 2 * -(-8_000_000 // args.rows)
        one, two = (file_rate(counter, path, processes, passes) for processes in (1, 2))
        peak = peak_gib(path)
    print(
        json.dumps(
            {
                "benchmark": "concepts",
                "captions": args.captions or "made up",
                "rows": len(captions),
                "per_core": round(rate),
                "direct_per_core": round(direct, 1),
                "ratio": round(rate / direct),
                "file_per_second": round(one),
                "speed_up_of_2_processes": round(two / one, 2),
                "cost_of_10000_classes": round(costs[1] / costs[0], 2),
                "peak_gib": round(peak, 2),
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
