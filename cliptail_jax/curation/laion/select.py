"""Stage 3: selects rows that match their class and are safe, as input of img2dataset."""

import pyarrow as pa
import pyarrow.compute as pc

SAFE = "UNLIKELY"  # LAION's tag: to be not safe for work


def select(table: pa.Table, threshold: float, nsfw: str) -> pa.Table:
    """The rows above the similarity threshold whose NSFW tag is UNLIKELY; rows without a tag are dropped."""
    keep = pc.and_(pc.greater(table["similarity"], threshold), pc.equal(table[nsfw], SAFE))
    return table.filter(pc.fill_null(keep, False))
