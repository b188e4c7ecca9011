"""The data that a config selects, as text and as files."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data, RunEvaluation, check_data
from cliptail_jax.curation.export import BALANCE, FREQUENCY, PICTURE, check_outputs, export, write_croissant
from cliptail_jax.curation.variant import Variant, caption_tokenizer, open_variant
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.formats.frequency_tables import frequency_of, write_frequency
from cliptail_jax.host.files import work_path, write_text
from cliptail_jax.host.outputs import files_in
from cliptail_jax.host.text import tsv
from cliptail_jax.input.name_tokens import splitting_note, tokens_per_word
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio
from cliptail_jax.pretrained.tokenizers import TextTokenizer, read_tokenizer
from cliptail_jax.report.class_frequency import draw_class_frequency
from cliptail_jax.report.layout import Column, label_lines, table_of, text_lines
from cliptail_jax.report.style import save

CLIP_OBJECTIVES = ("contrastive", "sigmoid")
SAMPLES = 10
DIFFERENCES = 10


def describe_command(options: argparse.Namespace, workdir: str) -> None:
    """Describe the data of a config, and write the files that the flags of `cliptail describe` ask for."""
    config = options.config
    data = config.data
    if table_name := vars(options)["import"]:  # its captions are complete
        whole_captions = {"words": (), "max_words": 0, "template": "", "synset": False, "distractors": 0.0}
        data.update({"table": table_name, "captions": whole_captions})
    fields.check(data, Data(), "data.")
    fields.check(config.eval, RunEvaluation(), "eval.")
    data = fields.typed(Data(), data)
    check_data(data)
    folder = work_path(workdir)
    table, metadata = (work_path(name) if name else None for name in (options.export, options.croissant))
    inputs = [*files_in(config), options.compare]
    check_outputs(folder, table, metadata, inputs, options.overwrite)
    draw_missing([data.name, data.match.fill], data.data_dir)
    variant = open_variant(data)
    tokens = []
    sizes = config.model.text
    # Encoders and open_clip's configurations have tokenizers of their own.
    trains_text_tower = (
        config.objective in CLIP_OBJECTIVES and config.text.init == "random" and sizes.name == "transformer"
    )
    if trains_text_tower and variant.captions and variant.class_names:
        if config.text.tokenizer:
            tokenizer = read_tokenizer(config.text.tokenizer, {"context_length": sizes.context_length})
        else:
            tokenizer = caption_tokenizer(variant, sizes.vocab_size, sizes.context_length)
        tokens = token_rows(tokenizer, variant)
    print(describe(variant, config.eval.head_classes, config.eval.tail_classes, tokens))
    if options.compare:
        print(comparison(variant, work_path(options.compare)))
    folder.mkdir(parents=True, exist_ok=True)
    if variant.class_names:
        write_frequency(folder / FREQUENCY, variant.class_names, variant.class_frequency)
        frequency = {variant.source.name: variant.class_frequency}
        save(draw_class_frequency(frequency, variant.class_frequency), folder / PICTURE)
        print(f"written      {folder}/{FREQUENCY} and {PICTURE}")
    if variant.balance:
        write_text(folder / BALANCE, tsv(("entry", "before", "after"), zip(*variant.balance)))
        print(f"written      {folder}/{BALANCE}, how often each entry occurs before and after")
    if table:
        export(variant, table)
        print(f"written      {table}")
    if metadata:
        write_croissant(variant, data, metadata)


def token_rows(tokenizer: TextTokenizer, variant: Variant) -> list[tuple[str, str]]:
    """The tokens per word of the class names by class frequency, and a note if they go with it: a label and a text each."""
    tokens = tokens_per_word(tokenizer, variant.class_names)
    means = ", ".join(f"{tokens[classes].mean():.2f}" for classes in head_mid_tail(variant.class_frequency))
    notes = splitting_note(variant.source.name, tokens, variant.class_frequency)
    return [
        ("tokens", f"{means} per word of the class names, in head, mid and tail"),
        *(("note", note.removeprefix("note: ")) for note in notes),
    ]


def describe(
    variant: Variant, head_classes: int = 0, tail_classes: int = 0, tokens: Sequence[tuple[str, str]] = ()
) -> str:
    """A description of the variant. `head_classes` and `tail_classes` default to a third each."""
    records = f"{len(variant):,}"
    if variant.dropped_without_caption:
        records += f"; {variant.dropped_without_caption:,} dropped without text"
    if variant.unlabelled:
        records += f"; {variant.unlabelled:,} without a class"
    rows = [
        ("source", f"{variant.source.name} ({variant.source.split}), {len(variant.source):,} records"),
        ("records", records),
        *(class_rows(variant, head_classes, tail_classes) if variant.class_names else [("classes", "none")]),
        *tokens,
        ("fingerprint", variant.fingerprint()),
        *(("note", note) for note in variant.notes),
    ]
    lines = label_lines(rows)
    if variant.captions:
        samples = np.linspace(0, len(variant) - 1, min(SAMPLES, len(variant))).astype(int)
        lines += ["captions", *(f"  {caption}" for caption in variant.captions(samples, epoch=0))]
    return "\n".join(lines)


def class_rows(variant: Variant, head_classes: int, tail_classes: int) -> list[tuple[str, str]]:
    """The rows of a description that are on classes: a label and a text each."""
    frequency = variant.class_frequency
    parts = head_mid_tail(frequency, head_classes or None, tail_classes or None)
    present = frequency[frequency > 0]
    largest, smallest = frequency.argmax(), np.where(frequency > 0, frequency, frequency.max() + 1).argmin()
    return [
        ("classes", f"{len(frequency):,}, {np.sum(frequency == 0):,} of them empty"),
        ("most", f"{frequency[largest]:,}  {variant.class_names[largest]}"),
        ("fewest", f"{frequency[smallest]:,}  {variant.class_names[smallest]}"),
        *(
            (name, f"{len(ids):,} classes, {frequency[ids].sum():,} records")
            for name, ids in zip(("head", "mid", "tail"), parts)
        ),
        ("imbalance", f"{imbalance_ratio(present):,.1f} (most / fewest), Gini {gini(frequency):.2f}"),
    ]


def comparison(variant: Variant, table: Path) -> str:
    """Compare the variant's class frequency with a table's: rank correlation, and the largest differences."""
    ours, theirs = variant.class_frequency, frequency_of(variant.class_names, table)
    largest = np.argsort(-np.abs(ours - theirs), kind="stable")[:DIFFERENCES]
    columns = [
        Column("ours", "records", "", ",", ours.__getitem__),
        Column("theirs", table.name, "", ",", theirs.__getitem__),
    ]
    classes = [number for number in largest if ours[number] != theirs[number]]
    differences = table_of("class", columns, classes, lambda number: variant.class_names[number])
    summary = (
        f"compared with {table}: {ours.sum():,} against {theirs.sum():,} in all, "
        f"Spearman {rank_correlation(ours, theirs):.4f}, {np.sum(ours == theirs):,} of {len(ours):,} classes equal"
    )
    return "\n".join([summary, *(text_lines(differences, "<>") if classes else [])])
