"""Several sources with the same classes as one source."""

import functools
import pathlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.host.errors import UserError


class JoinedSource:
    """The records of `first`, followed by those of `second`."""

    def __init__(self, first: "Source | JoinedSource", second: Source):
        """
        Raises:
            UserError: Their class lists differ.
        """
        a, b = first.class_names, second.class_names
        if a != b:
            odd_name = next((name for name in [*a, *b] if name not in a or name not in b), "")
            reason = f"only one of them has '{odd_name}'" if odd_name else "they have the same classes in another order"
            raise UserError(f"data.match.fill: {first.name} and {second.name} have different class lists: {reason}")
        self.first, self.second = first, second
        self.name = first.name if first.name == second.name else f"{first.name}+{second.name}"
        self.split = f"{first.split}+{second.split}"
        self.class_names, self.wnids = first.class_names, first.wnids

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "metadata"}  # it is cached

    @functools.cached_property
    def metadata(self) -> pa.Table:
        """All columns of both sources, with nulls where a source lacks one."""
        return pa.concat_tables([self.first.metadata, self.second.metadata], promote_options="permissive")

    @property
    def encoding(self) -> dict[str, dict]:
        encodings = {"first": self.first.encoding, "second": self.second.encoding}
        return encodings if any(encodings.values()) else {}

    def encoded_images(self, indices: Iterable[int | np.integer]) -> list[bytes]:
        indices, border = [int(i) for i in indices], len(self.first)
        first = iter(self.first.encoded_images([i for i in indices if i < border]))
        second = iter(self.second.encoded_images([i - border for i in indices if i >= border]))
        return [next(first if i < border else second) for i in indices]

    def file_of(self, record: int) -> pathlib.Path:
        border = len(self.first)
        return self.first.file_of(record) if record < border else self.second.file_of(record - border)


def open_splits(name: str, data_dir: str, split: str, class_names: str = "") -> Source | JoinedSource:
    """The source of a split, or of several splits such as 'train+validation', with their records in that order."""
    sources = [open_source(name, data_dir, part, class_names) for part in split.split("+")]
    return functools.reduce(JoinedSource, sources)
