"""Stage 4: for each query caption the corpus row that is most like it and still free: an exact search.

The corpus goes by in blocks while each query keeps its best rows so far; no index is built. Then the queries choose, in
order, so that no corpus row is used twice.
"""

import functools
import hashlib
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jax import Array
from jaxtyping import Float, Int
from tqdm import tqdm

from cliptail_jax.concepts.vocabulary import imagenet_wnids
from cliptail_jax.curation.laion.parts import find_parts, tables, with_column
from cliptail_jax.curation.rows import labels_of, read_table
from cliptail_jax.devices import peak_flops
from cliptail_jax.errors import UserError
from cliptail_jax.text_embedder import TextEmbedder

NEIGHBOURS = 50
QUERIES, BLOCK = 8192, 32768  # compared at a time: scores of 1 GiB
NOBODY = -1


@functools.partial(jax.jit, donate_argnums=(0, 1))
def merge_block(
    scores: Float[Array, "query k"],
    rows: Int[Array, "query k"],
    queries: Float[Array, "query dim"],
    block: Float[Array, "row dim"],
    first: Int[Array, ""],
    size: Int[Array, ""],
) -> tuple[Float[Array, "query k"], Int[Array, "query k"]]:
    """The best k of what is there and of a block of corpus rows that starts at row `first` and holds `size` true ones."""
    number = jnp.arange(len(block))
    # At the devices' default precision, scores that are close would change places.
    products = jnp.matmul(queries, block.T, precision=jax.lax.Precision.HIGHEST)
    of_block = jnp.where(number < size, products, -jnp.inf)
    best, places = jax.lax.top_k(of_block, min(scores.shape[1], len(block)))
    joined = jnp.concatenate([scores, best], axis=1)
    joined_rows = jnp.concatenate([rows, first + places], axis=1)
    scores, places = jax.lax.top_k(joined, scores.shape[1])
    return scores, jnp.take_along_axis(joined_rows, places, axis=1)


class Search:
    """The running best rows of every query. Ties go to the row that comes first in the corpus."""

    def __init__(self, queries: Float[np.ndarray, "query dim"], neighbours: int = NEIGHBOURS):
        chunks = range(0, len(queries), QUERIES)
        self._queries = [jnp.asarray(queries[start : start + QUERIES]) for start in chunks]
        self._scores = [jnp.full((len(q), neighbours), -jnp.inf) for q in self._queries]
        self._rows = [jnp.full((len(q), neighbours), NOBODY, jnp.int32) for q in self._queries]
        self.seen = 0

    def add(self, rows: Float[np.ndarray, "row dim"]) -> None:
        """Take the next rows of the corpus into account."""
        for start in range(0, len(rows), BLOCK):
            size = min(BLOCK, len(rows) - start)
            block = jnp.asarray(np.resize(rows[start : start + size], (BLOCK, rows.shape[1])))  # one compiled shape
            for i, queries in enumerate(self._queries):
                self._scores[i], self._rows[i] = merge_block(
                    self._scores[i], self._rows[i], queries, block, jnp.int32(self.seen), jnp.int32(size)
                )
            self.seen += size

    def result(self) -> tuple[Float[np.ndarray, "query k"], Int[np.ndarray, "query k"]]:
        """Similarity and corpus row of each query's best, in falling order; -inf and -1 where the corpus is smaller."""
        return tuple(np.concatenate([np.asarray(part) for part in parts]) for parts in (self._scores, self._rows))

    def state(self) -> dict[str, np.ndarray]:
        scores, rows = self.result()
        return {"scores": scores, "rows": rows, "seen": np.array(self.seen)}

    def load(self, state: dict[str, np.ndarray]) -> None:
        cuts = np.cumsum([len(q) for q in self._queries])[:-1]
        self._scores = [jnp.asarray(part) for part in np.split(state["scores"], cuts)]
        self._rows = [jnp.asarray(part) for part in np.split(state["rows"], cuts)]
        self.seen = int(state["seen"])


def assign(rows: Int[np.ndarray, "query k"]) -> Int[np.ndarray, "query"]:
    """The corpus row of each query, -1 for none: in order, each takes its best that is still free."""
    taken: set[int] = set()
    chosen = np.full(len(rows), NOBODY, np.int64)
    for query, best in enumerate(rows):
        for row in best.tolist():
            if row != NOBODY and row not in taken:
                taken.add(row)
                chosen[query] = row
                break
    return chosen


def retrieve(queries: Path, corpus: str, text: str, embedder: TextEmbedder, output: Path, neighbours: int) -> None:
    """Write `output`: the corpus rows that the captions of the `queries` parquet choose, under their labels.

    `queries` is a table as `describe --export` writes it, of labels of ImageNet. What has been searched is kept in
    OUTPUT.search.npz after each part.
    """
    wanted = read_queries(queries)
    parts = find_parts(corpus)
    embedded = embedder(wanted["caption"].to_pylist())
    search = Search(embedded, neighbours)
    identity = hashlib.sha256(
        embedded.tobytes() + repr([(p.name, p.stat().st_size) for p in parts]).encode()
    ).hexdigest()
    kept = output.with_name(f"{output.name}.search.npz")
    done = 0
    if kept.exists():
        with np.load(kept) as state:
            if str(state["identity"]) != identity or state["scores"].shape[1] != neighbours:
                raise UserError(f"{kept} is of another search, of other queries, another model or corpus: remove it")
            search.load(state)
            done = int(state["parts"])
    started, begun_at = time.perf_counter(), search.seen
    for number, part in enumerate(tqdm(parts, unit=" parts", desc="searching", initial=done, disable=None)):
        if number < done:
            continue
        for table in tables(part, [text]):
            search.add(embedder(table[text].to_pylist()))
        partial = kept.with_name(f".{kept.name}")  # NumPy would add another ending to .partial
        np.savez(partial, identity=identity, parts=number + 1, **search.state())
        partial.rename(kept)
    scores, rows = search.result()
    report_speed(len(wanted), search.seen - begun_at, embedder.dim, time.perf_counter() - started)
    chosen = assign(rows)
    found = np.flatnonzero(chosen != NOBODY)
    print(
        f"{len(found):,} of {len(wanted):,} captions have a row of their own; {len(wanted) - len(found):,} stay short"
    )
    write_chosen(wanted, chosen, found, scores, rows, parts, output)
    kept.unlink(missing_ok=True)


def read_queries(path: Path) -> pa.Table:
    """The captions, labels and wnids of a table as `describe --export` writes it."""
    table = read_table(path)
    absent = [name for name in ("caption", "label") if name not in table.column_names]
    if absent:
        raise UserError(f"--queries: {path} has no column '{absent[0]}'; it has {', '.join(table.column_names)}")
    labels = labels_of(table["label"], imagenet_wnids(), path)
    wnids = pa.array(imagenet_wnids()).take(pa.array(labels))
    return pa.table({"caption": table["caption"], "label": pa.array(labels), "wnid": wnids})


def report_speed(queries: int, rows: int, dim: int, seconds: float) -> None:
    """Rows a second, and where the device is known what share of its peak the products of the search alone took."""
    flops = 2.0 * queries * rows * dim / max(seconds, 1e-9)
    peak = peak_flops()
    share = f", {flops / peak:.1%} of the device's peak, embedding included" if peak else ""
    print(f"{rows / max(seconds, 1e-9):,.0f} rows/s, {flops / 1e12:.2f} TFLOP/s{share}")


def write_chosen(wanted: pa.Table, chosen, found, scores, rows, parts: list[Path], output: Path) -> None:
    """The chosen rows of the corpus with the wnid and label of their queries, and `similarity` of the two captions."""
    order = found[np.argsort(chosen[found], kind="stable")]
    picked, first = [], 0
    for part in parts:
        for table in tables(part):
            inside = order[(chosen[order] >= first) & (chosen[order] < first + len(table))]
            picked.append(table.take(pa.array(chosen[inside] - first)))
            first += len(table)
    result = pa.concat_tables(picked)
    similarity = np.array([scores[q, np.flatnonzero(rows[q] == chosen[q])[0]] for q in order], np.float32)
    result = with_column(result, "wnid", wanted["wnid"].take(pa.array(order)))
    result = with_column(result, "label", wanted["label"].take(pa.array(order)))
    result = with_column(result, "similarity", pa.array(similarity))
    result = with_column(result, "query", pa.array(order))
    partial = output.with_name(f".{output.name}.partial")
    pq.write_table(result, partial)
    partial.rename(output)
