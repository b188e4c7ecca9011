"""Ranks in retrieval, counted on the devices with one block of the similarities at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from cliptail_jax.evaluation.counting import gather
from cliptail_jax.models.cosine import cosines
from cliptail_jax.parallel.sharding import batch_sharding, local_rows, replicated, to_devices

SIDE = 4096  # of a block: a device's queries at a time, and the candidates that they are compared with at once
MULTIPLE = 128  # of a smaller block's side: products of whole tiles are rounded alike in every column
NO_QUERY, NO_CANDIDATE = -2, -1  # the images of rows that fill up a block

# From queries, their images, candidates and their images to the ranks of the queries.
Rank = Callable[..., Int[np.ndarray, " query"] | None]


def make_rank(mesh: Mesh, side: int = SIDE) -> Rank:
    """The function that ranks the candidates of queries: captions of images, or images of captions.

    The rank of a query, from 0, is the number of candidates before the best of its own: those with a higher cosine, and
    those with the same cosine and a lower index. Ties are in the order of the set, as in a stable sort and in
    open_clip's ranks (src/open_clip_train/metrics.py). This function extends those to queries with several own
    candidates. CLIP_benchmark (`recall_at_k`) leaves ties to torch.topk.

    Each device has all candidates and ranks its part of the queries in two passes over them: the first finds a query's
    best own candidate, and the second counts. Both compute the same products, so equal features have equal cosines. A
    device needs memory for all candidates and `side`² cosines.
    """
    count_before = make_count_before(mesh)

    def rank(
        queries: Float[np.ndarray, "query dim"],
        query_images: Int[np.ndarray, " query"],
        candidates: Float[np.ndarray, "candidate dim"],
        candidate_images: Int[np.ndarray, " candidate"],
        give_up: Callable[[], bool] = lambda: False,
    ) -> Int[np.ndarray, " query"] | None:
        """The ranks, given features of unit length and the image of each; None if `give_up` returns True before the end."""
        width = min(side, _rounded_up(len(candidates), MULTIPLE))
        features, images = _padded(candidates, candidate_images, NO_CANDIDATE, width)
        blocks = features.reshape(-1, width, features.shape[1]), images.reshape(-1, width)
        blocks = jax.device_put(blocks, replicated(mesh))
        rows = mesh.size * min(side, _rounded_up(-(-len(queries) // mesh.size), MULTIPLE))
        ranks = []
        for start in tqdm(range(0, len(queries), rows), desc="ranking", unit=" blocks", disable=None, leave=False):
            if give_up():
                return None
            block = slice(start, start + rows)
            features, images = _padded(queries[block], query_images[block], NO_QUERY, rows)
            local = local_rows(rows)
            batch = to_devices(mesh, {"features": features[local], "images": images[local]})
            ranks.append(gather(count_before(batch["features"], batch["images"], *blocks)))
        return np.concatenate(ranks)[: len(queries)]

    return rank


def make_count_before(mesh: Mesh) -> Callable:
    """The jitted function from queries and blocks of candidates to the number that come before each query's best own one."""

    def count_before(
        queries: Float[Array, "rows dim"],
        images: Int[Array, " rows"],
        blocks: Float[Array, "blocks width dim"],
        block_images: Int[Array, "blocks width"],
    ) -> Int[Array, " rows"]:
        width = blocks.shape[1]
        starts = width * jnp.arange(len(blocks))

        def scores(block):
            # If a product were fused with what follows, its rounding could differ between the two passes.
            return jax.lax.optimization_barrier(cosines(queries, block))

        def find_own(best, block):
            features, candidate_images, start = block
            own_scores = jnp.where(candidate_images == images[:, None], scores(features), -jnp.inf)
            highest, first = best
            block_highest = own_scores.max(1)
            better = block_highest > highest  # of equals, the first one stays
            block_first = start + own_scores.argmax(1)
            return (jnp.where(better, block_highest, highest), jnp.where(better, block_first, first)), None

        def count(total, block):
            features, candidate_images, start = block
            cosine, columns = scores(features), start + jnp.arange(width)
            is_better = (cosine > highest) | ((cosine == highest) & (columns < first))
            is_other = (candidate_images != images[:, None]) & (candidate_images != NO_CANDIDATE)
            return total + jnp.sum(is_better & is_other, axis=1), None

        zeros = jnp.zeros(len(queries), jnp.int32)
        all_blocks = (blocks, block_images, starts)
        (highest, first), _ = jax.lax.scan(find_own, (jnp.full(len(queries), -jnp.inf), zeros), all_blocks)
        highest, first = highest[:, None], first[:, None]
        return jax.lax.scan(count, zeros, all_blocks)[0]

    rows, copies = batch_sharding(mesh), replicated(mesh)
    return jax.jit(count_before, in_shardings=(rows, rows, copies, copies), out_shardings=rows)


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _padded(
    features: Float[np.ndarray, "row dim"], images: Int[np.ndarray, " row"], filler: int, multiple: int
) -> tuple[Float[np.ndarray, "padded dim"], Int[np.ndarray, " padded"]]:
    """Both, padded to a multiple of rows; the image of the added rows is `filler`."""
    padding = -len(features) % multiple
    features = np.pad(features, ((0, padding), (0, 0)))
    return features, np.pad(images.astype(np.int32), (0, padding), constant_values=filler)
