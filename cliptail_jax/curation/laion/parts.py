"""Applies a stage to every parquet part of a corpus, in processes or on Beam; each output is written atomically."""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from cliptail_jax.concepts.captions import find_parts
from cliptail_jax.concepts.workers import completed
from cliptail_jax.config.fields import difference
from cliptail_jax.formats.batches import is_text
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, replacing, write_json
from cliptail_jax.host.outputs import check_writable_folder, is_same

SETTINGS = ".settings"  # in the folder of a stage's results: JSON
ROWS = 200_000  # in memory at a time

TableStage = Callable[[pa.Table], pa.Table]
KINDS = {
    "text": is_text,
    "a number": lambda type: pa.types.is_float32(type) or pa.types.is_float64(type) or pa.types.is_integer(type),
    "a whole number": pa.types.is_integer,
}
ColumnKinds = Mapping[str, str]  # the columns that a stage needs, and their kinds


def with_columns(table: pa.Table, **columns: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with columns added or replaced: LAION-400M has its own `similarity`."""
    other_columns = {name: table[name] for name in table.column_names if name not in columns}
    return pa.table(other_columns | columns)


def tables(part: Path, columns: ColumnKinds) -> Iterator[pa.Table]:
    """The rows of a part in tables of at most `ROWS`; an empty part gives one empty table.

    Text among `columns` becomes strings, whether the part has bytes, categories or strings.

    Raises:
        UserError: The part is damaged, or one of `columns` is missing or of another kind.
    """
    try:
        file = pq.ParquetFile(part)
        schema = file.schema_arrow
        for name, kind in columns.items():
            if name not in schema.names:
                raise UserError(f"{part} lacks the column '{name}'; it has {', '.join(schema.names)}")
            if not KINDS[kind](schema.field(name).type):
                raise UserError(f"column '{name}' of {part} is {schema.field(name).type}, not {kind}")
            if kind == "text":
                schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
        for batch in file.iter_batches(ROWS):
            yield pa.Table.from_batches([batch]).cast(schema)
        if not file.metadata.num_rows:
            yield schema.empty_table()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{part} is damaged: {str(error).splitlines()[0]}") from None


def distinct_parts(pattern: str) -> list[Path]:
    """The parts of a path, a folder or a glob. Raises UserError if two have the same name: results are stored by name."""
    parts = [Path(part) for part in find_parts(pattern)]
    name, count = Counter(part.name for part in parts).most_common(1)[0]
    if count > 1:
        raise UserError(
            f"{pattern} has {count} parts called {name}: rename them, or give the folders one after the other"
        )
    return parts


def check_settings(output: Path, settings: Mapping[str, object]) -> None:
    """Writes the settings of a stage to the folder of its results. Raises UserError if other settings made these."""
    old_settings = read_json(output / SETTINGS)
    if old_settings not in (None, settings) and any(output.glob("*.parquet")):
        raise UserError(
            f"{output} has results with other settings ({difference(old_settings, settings)}): choose another --output"
        )
    write_json(output / SETTINGS, settings)


def run_part(stage: TableStage, part: Path, output: Path, columns: ColumnKinds) -> tuple[int, int]:
    """Applies a stage to a part unless its output exists; returns the number of rows read and written."""
    path = output / part.name
    if path.exists():
        return 0, 0
    rows_read = rows_written = 0
    with replacing(path) as partial:
        writer = None
        for table in tables(part, columns):
            result = stage(table)
            writer = writer or pq.ParquetWriter(partial, result.schema)
            writer.write_table(result)
            rows_read, rows_written = rows_read + len(table), rows_written + len(result)
        writer.close()
    return rows_read, rows_written


def run_stage(
    stage: functools.partial[pa.Table],
    pattern: str,
    output: Path,
    columns: ColumnKinds,
    processes: int,
    beam_options: Sequence[str] = (),
) -> None:
    """Applies a stage to every part without an output, one part per process, or on Beam with options such as --runner=...

    Raises UserError if `output` is a folder of the input, or has results of the stage with other arguments.
    """
    check_writable_folder(output)
    parts = distinct_parts(pattern)
    if any(is_same(output, part.parent) for part in parts):
        raise UserError(f"{output} is the folder of the input: choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    check_settings(output, {"stage": stage.func.__name__, **stage.keywords})
    earlier_parts = sum((output / part.name).exists() for part in parts)
    work = functools.partial(run_part, stage, output=output, columns=columns)
    if beam_options:
        run_on_beam(work, parts, beam_options)
        return print(f"{output}: {len(parts)} parts")
    rows_read = rows_written = 0
    with contextlib.closing(completed(work, parts, processes)) as counts:
        progress = tqdm(counts, total=len(parts), unit=" parts", desc=output.name, disable=None)
        for _, (part_rows, part_results) in progress:
            rows_read, rows_written = rows_read + part_rows, rows_written + part_results
            progress.set_postfix_str(f"{rows_read:,} rows, {rows_written:,} kept")
    note = f", of which {earlier_parts} were done before" if earlier_parts else ""
    print(f"{output}: {rows_written:,} of {rows_read:,} rows kept, {len(parts)} parts{note}")


def run_on_beam(work: Callable[[Path], object], parts: Sequence[Path], options: Sequence[str]) -> None:
    """Calls `work` for every part on the runner's workers, which must be able to read the same files."""
    from cliptail_jax.concepts.beam import beam, open_pipeline, running  # they load slowly

    with running(open_pipeline(options)) as pipeline:
        paths = pipeline | beam.Create([str(part) for part in parts]) | beam.Reshuffle()
        paths | beam.Map(lambda path: work(Path(path)) and None)
