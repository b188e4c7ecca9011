"""The tables of an evaluation for a terminal: measures by set, and recall by the frequency of rare words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cliptail_jax.metrics.measures import title_of
from cliptail_jax.metrics.retrieval import CUTOFFS
from cliptail_jax.report.layout import plain_table
from cliptail_jax.report.published import summary_cell


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """One line per number, with its 95 % interval if it has one, and one column per set."""
    all_keys = dict.fromkeys(key for summary in summaries.values() for key in summary)
    keys = [
        key
        for key in all_keys
        if key not in ("step", "epoch", "set", "settings") and not key.endswith(("_interval", "_beyond"))
    ]
    rows = [["", *summaries], *([title_of(key), *(summary_cell(s, key) for s in summaries.values())] for key in keys)]
    return "\n".join(plain_table(rows))


def decile_table(arrays: Mapping[str, np.ndarray]) -> str:
    """Text-to-image recalls, one line per decile of the frequency of captions' rarest words.

    `arrays` are as from `cliptail_jax.metrics.retrieval.by_decile`.
    """
    rows = [["rarest word in training", "captions", *(title_of(f"text_to_image_r{k}") for k in CUTOFFS)]]
    for decile in np.flatnonzero(arrays["decile_captions"]):
        low, high = arrays["decile_frequency"][decile]
        recalls = (arrays[f"decile_r{k}"][decile] for k in CUTOFFS)
        frequency = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
        rows.append([frequency, f"{arrays['decile_captions'][decile]:,}", *(f"{recall:.1f}" for recall in recalls)])
    return "\n".join(plain_table(rows))
