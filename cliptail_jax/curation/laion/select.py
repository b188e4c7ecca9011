"""Stage 3: rows that mean their class and are safe to show, as the parquet that img2dataset takes."""

import pyarrow as pa
import pyarrow.compute as pc

SAFE = "UNLIKELY"  # of LAION's tag for what is not safe for work


def select(table: pa.Table, threshold: float, nsfw: str) -> pa.Table:
    """The rows above the similarity threshold whose NSFW tag is UNLIKELY; a row without a tag is not safe."""
    keep = pc.and_(pc.greater(table["similarity"], threshold), pc.equal(table[nsfw], SAFE))
    return table.filter(pc.fill_null(keep, False))
