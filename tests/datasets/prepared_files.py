"""Builds data sets; and what the tests of prepared ones do to their files."""

import json

from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.source import open_source


def built(name, data_dir, **options):
    """Builds a data set from raw data at paths, and opens its training split."""
    build(name, str(data_dir), **{option: str(value) for option, value in options.items()})
    return open_source(name, str(data_dir), "train")


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip_bit(path, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 4
    path.write_bytes(content)


def damage(folder, place):
    """Flips a bit of the training shard: in the chunk of a record, or at the end, without which no record can be read."""
    shard = folder / "glyphs-train.array_record-00000-of-00001"
    size = len(shard.read_bytes().rstrip(b"\0"))
    flip_bit(shard, size // 3 if place == "chunk" else size - 40)
    return shard
