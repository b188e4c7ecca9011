"""The tables of an evaluation for a terminal: measures by set, and recall by the frequency of rare words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cliptail_jax.metrics.measures import title_of
from cliptail_jax.metrics.retrieval import CUTOFFS
from cliptail_jax.report.layout import Column, table_of, text_lines
from cliptail_jax.report.published import summary_cell


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """One line per number, with its 95 % interval if it has one, and one column per set."""
    all_keys = dict.fromkeys(key for summary in summaries.values() for key in summary)
    keys = [
        key
        for key in all_keys
        if key not in ("step", "epoch", "set", "settings") and not key.endswith(("_interval", "_beyond"))
    ]
    columns = [
        Column(name, name, value=lambda key, summary=summary: summary_cell(summary, key))
        for name, summary in summaries.items()
    ]
    return "\n".join(text_lines(table_of("", columns, keys, title_of)))


def decile_table(arrays: Mapping[str, np.ndarray]) -> str:
    """Text-to-image recalls, one line per decile of the frequency of captions' rarest words.

    `arrays` are as from `cliptail_jax.metrics.retrieval.by_decile`.
    """
    columns = [
        Column("captions", "captions", "", ",", lambda decile: arrays["decile_captions"][decile]),
        *(
            Column(key := f"text_to_image_r{k}", title_of(key), "", ".1f", arrays[f"decile_r{k}"].__getitem__)
            for k in CUTOFFS
        ),
    ]

    def frequency_of(decile: int) -> str:
        low, high = arrays["decile_frequency"][decile]
        return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"

    deciles = np.flatnonzero(arrays["decile_captions"])
    return "\n".join(text_lines(table_of("rarest word in training", columns, deciles, frequency_of)))
