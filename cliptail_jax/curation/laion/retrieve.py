"""Stage 4: finds the most similar corpus row for each query caption by exact search; each row is used once.

All queries are compared with one block of the corpus after the other, and keep their best rows of each part. No index
is built. The queries then choose their rows in order.
"""

import functools
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jax import Array
from jaxtyping import Float, Int
from tqdm import tqdm

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.curation.laion.parts import distinct_parts, run_on_beam, tables, with_columns
from cliptail_jax.curation.rows import labels_of, read_table
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, load_arrays, replacing, save_array, save_arrays
from cliptail_jax.host.outputs import check_output
from cliptail_jax.pretrained.text_embedder import TextEmbedder

QUERIES, BLOCK = 8192, 32768  # compared at a time, with scores of 1 GiB
NO_ROW = -1


@functools.partial(jax.jit, donate_argnums=(0, 1))
def merge_block(
    scores: Float[Array, "query k"],
    rows: Int[Array, "query k"],
    queries: Float[Array, "query dim"],
    block: Float[Array, "row dim"],
    first: Int[Array, ""],
    size: Int[Array, ""],
) -> tuple[Float[Array, "query k"], Int[Array, "query k"]]:
    """The best k rows out of the best so far and a block of corpus rows.

    The first `size` rows of the block are those of the corpus from row `first` on.
    """
    number = jnp.arange(len(block))
    # The devices' default precision would reorder similar scores.
    products = jnp.matmul(queries, block.T, precision=jax.lax.Precision.HIGHEST)
    block_scores = jnp.where(number < size, products, -jnp.inf)
    top_scores, places = jax.lax.top_k(block_scores, min(scores.shape[1], len(block)))
    return best_of(scores, rows, top_scores, first + places)


def best_rows(
    queries: Float[np.ndarray, "query dim"], corpus: Iterable[Float[np.ndarray, "_ dim"]], neighbours: int
) -> tuple[Float[np.ndarray, "query k"], Int[np.ndarray, "query k"], int]:
    """Each query's best similarities and corpus rows, best first, and the number of rows of the corpus.

    Of equally similar rows, the first in the corpus is better. If the corpus is too small, the rest is -inf and -1.
    """
    chunks = [jnp.asarray(queries[start : start + QUERIES]) for start in range(0, len(queries), QUERIES)]
    shapes = [(len(chunk), neighbours) for chunk in chunks]
    results = [(jnp.full(shape, -jnp.inf), jnp.full(shape, NO_ROW, jnp.int32)) for shape in shapes]
    rows_seen = 0
    for rows in corpus:
        for start in range(0, len(rows), BLOCK):
            size = min(BLOCK, len(rows) - start)
            block = jnp.asarray(np.resize(rows[start : start + size], (BLOCK, rows.shape[1])))  # one compiled shape
            place = jnp.int32(rows_seen), jnp.int32(size)
            results = [merge_block(*result, chunk, block, *place) for result, chunk in zip(results, chunks)]
            rows_seen += size
    scores, rows = (np.concatenate(parts) for parts in zip(*results))
    return scores, rows, rows_seen


def assign(rows: Int[np.ndarray, "query k"]) -> Int[np.ndarray, " query"]:
    """The corpus row of each query, or -1: in order, each query takes its best row that no earlier query has."""
    taken_rows: set[int] = set()
    assignment = np.full(len(rows), NO_ROW, np.int64)
    for query, candidates in enumerate(rows):
        for row in candidates.tolist():
            if row != NO_ROW and row not in taken_rows:
                taken_rows.add(row)
                assignment[query] = row
                break
    return assignment


def retrieve(
    queries: Path,
    corpus: str,
    text: str,
    load_embedder: Callable[[], TextEmbedder],
    output: Path,
    neighbours: int,
    beam_options: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Writes to `output` the corpus rows that the captions of `queries` choose, with the labels of the captions.

    The best rows of each part are kept in OUTPUT.search-IDENTITY/ until the end, so that an interrupted search continues; the
    identity is a digest of queries, model and corpus.

    Args:
        queries: a table with labels of ImageNet, as `describe --export` writes it.
        corpus: parquet files, as a path, a folder or a glob.
        text: the column of captions in the corpus.
        load_embedder: loads the text embedder, on each worker.
        neighbours: the number of rows from which each query chooses.
        beam_options: options of Beam, to search on its workers.
        overwrite: whether to replace an `output` that is not such a table.

    Raises:
        UserError: A table is damaged or lacks a column.
    """
    parts = distinct_parts(corpus)
    check_output(output, is_retrieved, [queries, *parts], overwrite)
    query_table = read_queries(queries)
    embeddings = load_embedder()(query_table["caption"].to_pylist())
    folder = output.with_name(f"{output.name}.search-{identity(embeddings, parts, neighbours, text)}")
    folder.mkdir(parents=True, exist_ok=True)
    save_array(folder / "queries.npy", embeddings)
    search = functools.partial(
        search_part, folder=folder, text=text, load_embedder=load_embedder, neighbours=neighbours
    )
    if beam_options:
        run_on_beam(search, parts, beam_options)
    else:
        for part in tqdm(parts, unit=" parts", desc="searching", disable=None):
            search(part)
    scores, rows = merged(folder, parts)
    assignment = assign(rows)
    count = np.sum(assignment != NO_ROW)
    print(f"{count:,} of {len(query_table):,} captions have a row of their own; {len(query_table) - count:,} have none")
    write_chosen(query_table, assignment, scores, rows, parts, output)
    shutil.rmtree(folder)


def identity(queries: Float[np.ndarray, "query dim"], parts: Sequence[Path], neighbours: int, text: str) -> str:
    """Sixteen digits that identify a search."""
    description = repr(
        (neighbours, text, [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in parts])
    )
    return digest_of([queries.tobytes(), description.encode()])[:16]


def search_part(part: Path, folder: Path, text: str, load_embedder: Callable[[], TextEmbedder], neighbours: int) -> int:
    """Saves the best rows of a part in the search's folder; returns the number of its rows, 0 if they are saved already."""
    path = folder / f"{part.name}.npz"
    if path.exists():
        return 0
    corpus = (load_embedder()(table[text].to_pylist()) for table in tables(part, {text: "text"}))
    scores, rows, corpus_rows = best_rows(np.load(folder / "queries.npy"), corpus, neighbours)
    save_arrays(path, scores=scores, rows=rows, seen=np.int64(corpus_rows))
    return corpus_rows


def merged(folder: Path, parts: Sequence[Path]) -> tuple[Float[np.ndarray, "query k"], Int[np.ndarray, "query k"]]:
    """The best rows over all parts, by their index in the corpus."""
    first, result = 0, None
    for part in parts:
        arrays = load_arrays(folder / f"{part.name}.npz")
        scores, rows = arrays["scores"], np.where(arrays["rows"] == NO_ROW, NO_ROW, arrays["rows"] + first)
        first += int(arrays["seen"])
        result = (scores, rows) if result is None else best_of(*result, scores, rows)
    return tuple(map(np.asarray, result))


@jax.jit
def best_of(scores: Array, rows: Array, more_scores: Array, more_rows: Array) -> tuple[Array, Array]:
    """The best k of two lists per query; of equal scores, those of the first list."""
    best_scores, places = jax.lax.top_k(jnp.concatenate([scores, more_scores], 1), scores.shape[1])
    return best_scores, jnp.take_along_axis(jnp.concatenate([rows, more_rows], 1), places, 1)


def read_queries(path: Path) -> pa.Table:
    """Reads the captions, labels and WordNet ids of a table that `describe --export` has written."""
    table = read_table(path)
    missing_names = [name for name in ("caption", "label") if name not in table.column_names]
    if missing_names:
        raise UserError(f"--queries: {path} has no column '{missing_names[0]}'; it has {', '.join(table.column_names)}")
    labels = labels_of(table["label"], imagenet_wnids(), path)
    wnids = pa.array(imagenet_wnids()).take(pa.array(labels))
    return pa.table({"caption": table["caption"], "label": pa.array(labels), "wnid": wnids})


def is_retrieved(path: Path) -> bool:
    """Whether a file has rows that were retrieved for queries."""
    return {"wnid", "similarity", "query"} <= set(pq.read_schema(path).names)


def write_chosen(
    query_table: pa.Table,
    assignment: Int[np.ndarray, " query"],
    scores: Float[np.ndarray, "query k"],
    rows: Int[np.ndarray, "query k"],
    parts: list[Path],
    output: Path,
) -> None:
    """Writes the chosen rows with the wnid and label of their queries, and the `similarity` of the two captions."""
    order = np.argsort(assignment, kind="stable")[np.sum(assignment == NO_ROW) :]  # NO_ROW comes first
    chosen_rows, first = [], 0
    for part in parts:
        for table in tables(part, {}):
            queries = order[(assignment[order] >= first) & (assignment[order] < first + len(table))]
            chosen_rows.append(table.take(pa.array(assignment[queries] - first)))
            first += len(table)
    similarity = np.array([scores[q, np.flatnonzero(rows[q] == assignment[q])[0]] for q in order], np.float32)
    query_columns = {name: query_table[name].take(pa.array(order)) for name in ("wnid", "label")}
    result = with_columns(
        pa.concat_tables(chosen_rows, promote_options="permissive"),
        **query_columns,
        similarity=pa.array(similarity),
        query=pa.array(order),
    )
    with replacing(output) as partial:
        pq.write_table(result, partial)
