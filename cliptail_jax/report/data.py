"""The data that a config selects, as text."""

from pathlib import Path

import numpy as np

from cliptail_jax.curation.variant import Variant
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio
from cliptail_jax.report.layout import plain_table

SAMPLES = 10
DIFFERENCES = 10


def describe(variant: Variant, head_classes: int = 0, tail_classes: int = 0) -> str:
    """A description of the variant. `head_classes` and `tail_classes` default to a third each."""
    records = f"{len(variant):,}"
    if variant.dropped_without_caption:
        records += f"; {variant.dropped_without_caption:,} dropped without text"
    if variant.unlabelled:
        records += f"; {variant.unlabelled:,} without a class"
    rows = [
        ["source", f"{variant.source.name} ({variant.source.split}), {len(variant.source):,} records"],
        ["records", records],
        *(class_rows(variant, head_classes, tail_classes) if variant.class_names else [["classes", "none"]]),
        ["fingerprint", variant.fingerprint()],
        *(["note", note] for note in variant.notes),
    ]
    lines = plain_table(rows)
    if variant.captions:
        samples = np.linspace(0, len(variant) - 1, min(SAMPLES, len(variant))).astype(int)
        lines += ["captions", *(f"  {caption}" for caption in variant.captions(samples, epoch=0))]
    return "\n".join(lines)


def class_rows(variant: Variant, head_classes: int, tail_classes: int) -> list[list[str]]:
    """The rows of a description that are on classes: a label and a text each."""
    frequency = variant.class_frequency
    parts = head_mid_tail(frequency, head_classes or None, tail_classes or None)
    present = frequency[frequency > 0]
    largest, smallest = frequency.argmax(), np.where(frequency > 0, frequency, frequency.max() + 1).argmin()
    return [
        ["classes", f"{len(frequency):,}, {np.sum(frequency == 0):,} of them empty"],
        ["most", f"{frequency[largest]:,}  {variant.class_names[largest]}"],
        ["fewest", f"{frequency[smallest]:,}  {variant.class_names[smallest]}"],
        *(
            [name, f"{len(ids):,} classes, {frequency[ids].sum():,} records"]
            for name, ids in zip(("head", "mid", "tail"), parts)
        ),
        ["imbalance", f"{imbalance_ratio(present):,.1f} (most / fewest), Gini {gini(frequency):.2f}"],
    ]


def comparison(variant: Variant, table: Path) -> str:
    """Compare the variant's class frequency with a table's: rank correlation, and the largest differences."""
    ours, theirs = variant.class_frequency, frequency_of(variant.class_names, table)
    largest = np.argsort(-np.abs(ours - theirs), kind="stable")[:DIFFERENCES]
    rows = [[f"{ours[c]:,}", f"{theirs[c]:,}", variant.class_names[c]] for c in largest if ours[c] != theirs[c]]
    summary = (
        f"compared with {table}: {ours.sum():,} against {theirs.sum():,} in all, "
        f"Spearman {rank_correlation(ours, theirs):.4f}, {np.sum(ours == theirs):,} of {len(ours):,} classes equal"
    )
    return "\n".join([summary, *plain_table(rows, ">><", indent=2)])
