"""Speed of concept counting, compared with a literal implementation (tests/concepts/direct_concepts.py).

    python scripts/benchmark/concepts.py --captions=FILE    # repeated, or cut, to 2,000,000 rows

Prints one JSON line. `per_core` and the direct implementation's rate divide by CPU time, which is repeatable on a busy
machine. Both count imagenet1k in captions in memory, the direct one in some of them. `file_per_second` is the wall-clock
speed of reading and counting a parquet file in one process. `cost_of_10000_classes` is the CPU time of 10,000 concepts,
WordNet's nouns in a random order, divided by that of the first 1,000 of them. `peak_gib` is the peak memory of the command
line for the same file.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from common import ROOT, print_report, rates

from cliptail_jax.concepts.captions import find_parts, read_part
from cliptail_jax.concepts.class_lists import Concept, load_class_list
from cliptail_jax.concepts.corpus import count_part
from cliptail_jax.concepts.counter import ConceptCounter

sys.path.insert(0, str(ROOT))
from tests.concepts import direct_concepts  # noqa: E402


def captions_of(path: str, column: str | None) -> pa.Array:
    batches = (batch for part in find_parts(path) for batch in read_part(part, column))
    return pa.concat_arrays(list(batches)).cast(pa.large_string())


def repeated(captions: pa.Array, rows: int) -> pa.Array:
    return pa.concat_arrays([captions] * -(-rows // len(captions)))[:rows]


def nouns(number: int) -> list[Concept]:
    """Concepts of WordNet, each with its lemmas."""
    synsets = [s for s in direct_concepts.NLTK.all_synsets("n") if any(map(str.isalpha, s.lemma_names()[0]))]
    synonyms = (synsets[i].lemma_names() for i in np.random.default_rng(0).permutation(len(synsets)))
    lemmas = {names[0]: Concept(names[0], tuple(names)) for names in synonyms}
    return list(itertools.islice(lemmas.values(), number))


def captions_per_core(counter: ConceptCounter, captions: pa.Array, seconds: float) -> float:
    return rates(lambda: counter.count(captions), len(captions), seconds)[1]


def peak_of_program(path: str) -> float:
    """Peak memory in GiB of the command line, counting in one process, as Linux reports it at the end."""
    program = "import sys; from cliptail_jax.programs import main; main(['count', *sys.argv[1:]])"
    program += "; print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"--captions={path}", "--classes=imagenet1k", f"--output={folder}/counts.tsv", "--processes=1"]
        done = subprocess.run([sys.executable, "-c", program, *flags], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[-2]) / 2**20  # KiB


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", required=True, help="a captions file, a glob or a folder")
    parser.add_argument("--column", help="the column of captions")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=float, default=10, help="how long each number is measured")
    options = parser.parse_args(arguments)

    concepts = load_class_list("imagenet1k")
    captions = repeated(captions_of(options.captions, options.column), options.rows)
    counter = ConceptCounter(concepts)
    per_core = captions_per_core(counter, captions, options.seconds)
    matches = direct_concepts.carried(concepts, itertools.cycle(captions[:20_000].to_pylist()))
    direct = rates(lambda: next(matches), 1, options.seconds)[1]
    concepts = nouns(10_000)
    speed, slower_speed = (
        captions_per_core(ConceptCounter(concepts[:n]), captions, options.seconds) for n in (1000, 10_000)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/captions.parquet"
        pa.parquet.write_table(pa.table({"TEXT": captions}), path)
        file_speed = rates(lambda: count_part(path, counter=counter), len(captions), options.seconds)[0]
        peak = peak_of_program(path)
    print_report(
        "concepts",
        captions=options.captions,
        rows=len(captions),
        per_core=round(per_core),
        direct_per_core=direct,
        ratio=round(per_core / direct),
        file_per_second=round(file_speed),
        cost_of_10000_classes=round(speed / slower_speed, 2),
        peak_gib=round(peak, 2),
    )


if __name__ == "__main__":
    main()
