"""Describe the data of a config, before training:

    cliptail describe clip:data=glyphs_lt [--workdir=DIR] [--export=TSV]
        [--import=TSV] [--compare=TSV] [--croissant=JSON] [--config.data.x=v ...]

It prints size, classes, imbalance, fingerprint and ten captions, and writes class_frequency.tsv and a figure to --workdir,
by default runs/described. --export writes file path, label and caption of each record, and --import uses such a table
as the variant. --compare compares the class frequency with a published one. --croissant writes Croissant metadata and,
beside it, the described table in JSON lines.
"""

import argparse

from ml_collections import ConfigDict

from cliptail_jax.host.outputs import add_overwrite
from cliptail_jax.programs.command_line import add_workdir

CONFIGS = ("sup", "clip", "dino")
WORKDIR = "runs/described"


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument(
        "--import",
        default="",
        help="a TSV (or *.jsonl) of filepath, label, caption to use as the variant, as data.table",
    )
    parser.add_argument(
        "--export", default="", help="write a TSV of filepath, label, caption here, or JSON lines for *.jsonl"
    )
    parser.add_argument(
        "--croissant", default="", help="write Croissant metadata here, and the records beside them as *.jsonl"
    )
    parser.add_argument("--compare", default="", help="a frequency table to compare the class frequency with")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.config import fields
    from cliptail_jax.config.training import Data, RunEvaluation, check_data
    from cliptail_jax.curation.export import BALANCE, FREQUENCY, PICTURE, check_outputs, export, write_croissant
    from cliptail_jax.curation.variant import open_variant
    from cliptail_jax.datasets.build import draw_missing
    from cliptail_jax.formats.frequency_tables import write_frequency
    from cliptail_jax.host.files import work_path, write_text
    from cliptail_jax.host.outputs import files_in
    from cliptail_jax.host.text import tsv
    from cliptail_jax.report.class_frequency import draw_class_frequency
    from cliptail_jax.report.data import comparison, describe
    from cliptail_jax.report.style import save

    config = options.config
    data = config.data
    if imported := vars(options)["import"]:  # its captions are complete
        as_they_are = {"words": (), "max_words": 0, "template": "", "synset": False, "distractors": 0.0}
        data.update({"table": imported, "captions": as_they_are})
    fields.check(data, Data(), "data.")
    fields.check(config.eval, RunEvaluation(), "eval.")
    data = fields.typed(Data(), data)
    check_data(data)
    folder = work_path(options.workdir or WORKDIR)
    table, metadata = (work_path(name) if name else None for name in (options.export, options.croissant))
    inputs = [*files_in(config), options.compare]
    check_outputs(folder, table, metadata, inputs, options.overwrite)
    draw_missing([data.name, data.match.fill], data.data_dir)
    variant = open_variant(data)
    print(describe(variant, config.eval.head_classes, config.eval.tail_classes))
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


def describe_config(config: ConfigDict | None) -> str:
    from cliptail_jax.config import fields
    from cliptail_jax.config.training import Data

    return fields.describe(Data(), config and config.data, "data.")
