"""The data that a config selects, as text."""

from pathlib import Path

import numpy as np

from cliptail_jax.curation.variant import Variant
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio

SAMPLES = 10
DIFFERENCES = 10


def describe(variant: Variant, head_classes: int = 0, tail_classes: int = 0) -> str:
    """A description of the variant. `head_classes` and `tail_classes` default to a third each."""
    lines = [
        f"source       {variant.source.name} ({variant.source.split}), {len(variant.source):,} records",
        f"records      {len(variant):,}"
        + (f"; {variant.dropped_without_caption:,} dropped without text" if variant.dropped_without_caption else "")
        + (f"; {variant.unlabelled:,} without a class" if variant.unlabelled else ""),
        *(describe_classes(variant, head_classes, tail_classes) if variant.class_names else ["classes      none"]),
        f"fingerprint  {variant.fingerprint()}",
        *(f"note         {note}" for note in variant.notes),
    ]
    if variant.captions:
        rows = np.linspace(0, len(variant) - 1, min(SAMPLES, len(variant))).astype(int)
        lines += ["captions", *(f"  {caption}" for caption in variant.captions(rows, epoch=0))]
    return "\n".join(lines)


def describe_classes(variant: Variant, head_classes: int, tail_classes: int) -> list[str]:
    """The lines on the variant's classes."""
    frequency = variant.class_frequency
    parts = head_mid_tail(frequency, head_classes or None, tail_classes or None)
    present = frequency[frequency > 0]
    most, least = frequency.argmax(), np.where(frequency > 0, frequency, frequency.max() + 1).argmin()
    return [
        f"classes      {len(frequency):,}, {np.sum(frequency == 0):,} of them empty",
        f"most         {frequency[most]:,}  {variant.class_names[most]}",
        f"fewest       {frequency[least]:,}  {variant.class_names[least]}",
        *(
            f"{name:<12} {len(ids):,} classes, {frequency[ids].sum():,} records"
            for name, ids in zip(("head", "mid", "tail"), parts)
        ),
        f"imbalance    {imbalance_ratio(present):,.1f} (most / fewest), Gini {gini(frequency):.2f}",
    ]


def comparison(variant: Variant, table: Path) -> str:
    """Compares the variant's class frequency with a table's: rank correlation, and the largest differences."""
    ours, theirs = variant.class_frequency, frequency_of(variant.class_names, table)
    largest = np.argsort(-np.abs(ours - theirs), kind="stable")[:DIFFERENCES]
    lines = [
        f"compared with {table}: {ours.sum():,} against {theirs.sum():,} in all, "
        f"Spearman {rank_correlation(ours, theirs):.4f}, {np.sum(ours == theirs):,} of {len(ours):,} classes equal",
        *(f"  {ours[c]:>10,} {theirs[c]:>10,}  {variant.class_names[c]}" for c in largest if ours[c] != theirs[c]),
    ]
    return "\n".join(lines)
