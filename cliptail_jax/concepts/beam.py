"""Counts concepts on a cluster with Apache Beam."""

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

try:
    import apache_beam as beam
    import grpc
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
except ImportError:  # it is an extra
    beam = None

from cliptail_jax.concepts.captions import check_format, check_part, find_parts
from cliptail_jax.concepts.class_lists import class_list_for
from cliptail_jax.concepts.corpus import count_part
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.formats.frequency_tables import COLUMNS
from cliptail_jax.host.dask import check_dask
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import tsv

DASK = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"


def count_on_beam(options: argparse.Namespace, beam_options: list[str]) -> None:
    """Runs the pipeline that the flags of `cliptail count_on_beam` describe, and waits for its end."""
    pipeline = open_pipeline(beam_options)
    parts = match(options.captions, options.data_dir)
    counter = ConceptCounter(class_list_for(options.classes, options.rule), options.rule)
    check_part(parts[0], options.column, open_any)
    partial_output = f"{options.output}.unfinished"
    try:
        write_counts({}, (), partial_output)  # fails now, and not after hours
    except (OSError, BeamIOError) as error:
        raise UserError(f"{options.output} cannot be written: {error}") from error
    try:
        with running(pipeline):
            (
                pipeline
                | "Parts" >> beam.Create(parts)
                | "Spread" >> beam.Reshuffle()
                | "Count" >> beam.FlatMap(counts_of, counter, options.column)
                | "Add" >> beam.CombinePerKey(sum)
                | "Gather" >> beam.combiners.ToDict()
                | "Write" >> beam.Map(write_counts, counter.names, partial_output)
            )
        FileSystems.rename([partial_output], [options.output])
    finally:
        if FileSystems.exists(partial_output):
            FileSystems.delete([partial_output])


def open_pipeline(arguments: Sequence[str]) -> "beam.Pipeline":
    """Makes a pipeline from Beam's command-line arguments; --runner=dask is short for the path of the class.

    Raises UserError if Beam is not installed or has no such runner, or if the runner lacks a package or a flag.
    """
    if beam is None:
        raise UserError("Apache Beam is not installed: pip install 'cliptail_jax[beam]'")
    arguments = [DASK if argument == "--runner=dask" else argument for argument in arguments]
    options = PipelineOptions(arguments)
    runner = options.view_as(StandardOptions).runner
    if DASK in arguments:
        check_dask()
        # Dask reads this when it is imported, also in its worker processes.
        os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
        from apache_beam.runners.dask.dask_runner import DaskOptions

        if not any(argument.startswith(("--dask_partition_size", "--dask_npartitions")) for argument in arguments):
            options.view_as(DaskOptions).partition_size = 1  # one file is enough work
    try:
        return beam.Pipeline(options=options)
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--runner={runner}: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def running(pipeline: "beam.Pipeline") -> Iterator["beam.Pipeline"]:
    """Runs the pipeline that the block has built.

    Raises UserError if the runner itself fails, for example to download, start or reach a server. Errors in workers are
    not changed.
    """
    try:
        with pipeline:
            yield pipeline
    except (RuntimeError, ValueError, grpc.RpcError, grpc.FutureTimeoutError) as error:
        reason = error.details() if isinstance(error, grpc.Call) else str(error).strip()
        is_from_worker = "\n" in reason or "while running" in reason
        if is_from_worker or (isinstance(error, ValueError) and not reason.startswith("Unable to parse")):
            raise
        runner = type(pipeline.runner).__name__
        raise UserError(f"--runner={runner}: {reason or 'nobody answers at its --job_endpoint'}") from error


def match(pattern: str, data_dir: str) -> list[str]:
    """Finds the files of a path or a glob of any file system, or of a local folder or prepared data set.

    Raises:
        UserError: There is none, or one is of an unknown format.
    """
    if "://" not in pattern:
        return [os.path.abspath(path) for path in find_parts(pattern, data_dir)]
    paths = [metadata.path for metadata in FileSystems.match([pattern])[0].metadata_list]
    if not paths:
        raise UserError(f"no captions file matches {pattern}")
    for path in paths:
        check_format(path)
    return paths


def open_any(path: str) -> BinaryIO:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)  # the readers decompress


def counts_of(part: str, counter: ConceptCounter, column: str | None) -> list[tuple[str, int]]:
    """Counts a file: the concepts that its captions name, each with the number of captions."""
    tally = count_part(part, counter, column, open_file=open_any)
    Metrics.counter("concepts", "captions").inc(tally.captions)
    Metrics.counter("concepts", "undecodable").inc(tally.undecodable)
    return list(zip(*(values.to_pylist() for values in tally.counts.columns)))


def write_counts(counts: Mapping[str, int], names: Sequence[str], path: str) -> None:
    with FileSystems.create(path) as file:
        file.write(tsv(COLUMNS, ((name, counts.get(name, 0)) for name in names)).encode())
