"""Counts concepts as `cliptail_jax.concepts.count` does, on a cluster: an Apache Beam pipeline.

    python -m cliptail_jax.concepts.beam --captions='gs://bucket/laion/*.parquet' --vocabulary=imagenet1k \\
        --output=gs://bucket/counts.tsv --runner=DataflowRunner --project=... --temp_location=...

Flags that are not its own are Beam's. Files and output must be where all workers reach them; a worker counts whole
files. A damaged file ends the pipeline. Beam's counters `captions` and `undecodable` say how many captions were read,
and how many of them were not UTF-8.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO

try:
    import apache_beam as beam
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics
    from apache_beam.options.pipeline_options import PipelineOptions
except ImportError:  # it is an extra
    beam = None

from cliptail_jax.concepts.captions import USUAL_COLUMNS, check_kind, check_part, find_parts, read_part
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.readers import DamagedError
from cliptail_jax.concepts.tally import RunningTotal
from cliptail_jax.concepts.vocabulary import load_vocabulary
from cliptail_jax.errors import UserError


def main(arguments: list[str]) -> int:
    """Runs the pipeline that the command line asks for, to its end; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cliptail_jax.concepts.beam",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--captions", required=True, help="a file or a glob, of any file system that Beam knows")
    parser.add_argument("--column", help=f"default: {', '.join(USUAL_COLUMNS)}, else the only one of text")
    parser.add_argument("--vocabulary", required=True, help="a built-in vocabulary's name, or a JSON file")
    parser.add_argument("--output", required=True, help="the .tsv file to write")
    options, beam_options = parser.parse_known_args(arguments)
    try:
        run(options.captions, options.column, options.vocabulary, options.output, beam_options)
    except (UserError, DamagedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(captions: str, column: str | None, vocabulary: str, output: str, beam_options: Sequence[str]) -> None:
    """
    Raises:
        UserError: Beam is not installed, or a flag is wrong.
        DamagedError: a file of captions is not what it should be.
    """
    if beam is None:
        raise UserError("Apache Beam is not installed: pip install 'cliptail_jax[beam]'")
    parts, counter = match(captions), ConceptCounter(load_vocabulary(vocabulary))
    check_part(parts[0], column, open_any)
    unfinished = f"{output}.unfinished"
    try:
        write_counts({}, (), unfinished)  # should that fail, then now and not after hours
    except (OSError, BeamIOError) as error:
        raise UserError(f"{output} cannot be written: {error}") from error
    with beam.Pipeline(options=PipelineOptions(beam_options)) as pipeline:
        (
            pipeline
            | "Parts" >> beam.Create(parts)
            | "Spread" >> beam.Reshuffle()
            | "Count" >> beam.FlatMap(count_part, counter, column)
            | "Add" >> beam.CombinePerKey(sum)
            | "Gather" >> beam.combiners.ToDict()
            | "Write" >> beam.Map(write_counts, counter.names, unfinished)
        )
    FileSystems.rename([unfinished], [output])


def match(pattern: str) -> list[str]:
    """The files that a path or a glob stands for, in whatever file system; a folder, too, in the local one.

    Raises:
        UserError: there is none, or one is of no known kind.
    """
    if "://" not in pattern:
        return [os.path.abspath(path) for path in find_parts(pattern)]
    paths = [found.path for found in FileSystems.match([pattern])[0].metadata_list]
    if not paths:
        raise UserError(f"no captions file matches {pattern}")
    for path in paths:
        check_kind(path)
    return paths


def open_any(path: str) -> BinaryIO:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)  # the readers unpack


def count_part(part: str, counter: ConceptCounter, column: str | None) -> list[tuple[str, int]]:
    """The concepts that a file's captions carry, and how many do."""
    running = RunningTotal()
    for batch, _ in read_part(part, column, open_file=open_any):
        running.add(counter.tally(batch))
    tally = running.total()
    Metrics.counter("concepts", "captions").inc(tally.captions)
    Metrics.counter("concepts", "undecodable").inc(tally.undecodable)
    return list(zip(*(values.to_pylist() for values in tally.counts.columns)))


def write_counts(counts: Mapping[str, int], names: Sequence[str], path: str) -> None:
    with FileSystems.create(path) as file:
        file.write("".join(f"{name}\t{counts.get(name, 0)}\n" for name in names).encode())


if __name__ == "__main__":
    from cliptail_jax.concepts import beam as module  # so that workers find its functions by the module's name

    sys.exit(module.main(sys.argv[1:]))
