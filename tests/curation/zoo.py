"""A source that exists only as metadata: 200 records of six classes, one of them empty."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from cliptail_jax.config.fields import to_config, typed
from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import Source

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
EEL = 4  # the class without records
LABELS = np.resize([0, 1, 0, 2, 5, 0, 1, 3, 0, 2], 200)  # 80, 40, 40, 20, 0, 20 records


class Zoo(SimpleNamespace, Source):
    """A source in memory."""

    encoding = {}
    __setattr__ = object.__setattr__  # a source is frozen

    def __len__(self):
        return self.metadata.num_rows


def make_source(labels=LABELS, names=NAMES, **texts):
    number = range(len(labels))
    texts = {
        "title": [f"title {i}" for i in number],
        "tags": [None if i % 4 == 0 else f"tag{i}" for i in number],
    } | texts
    table = pa.table({"label": np.asarray(labels), "size": np.asarray(number), **texts})
    return Zoo(name="zoo", split="train", class_names=tuple(names), metadata=table, wnids=None)


SOURCE = make_source()


def variant_of(source=SOURCE, **fields):
    """The variant that `fields` select, those of a section as a dict."""
    data = to_config(Data())
    data.update(fields)
    return make_variant(source, typed(Data(), data))
