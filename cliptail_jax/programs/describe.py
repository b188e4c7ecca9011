"""Describe the data of a config, before training:

    cliptail describe clip:data=glyphs_lt [--workdir=DIR] [--export=TSV]
        [--import=TSV] [--compare=TSV] [--croissant=JSON] [--config.data.x=v ...]

It prints size, classes, imbalance, the tokens per word of the class names, fingerprint and ten captions, and writes
class_frequency.tsv and a figure to --workdir, by default runs/described. --export writes file path, label and caption of
each record, and --import uses such a table as the variant. --compare compares the class frequency with a published one.
--croissant writes Croissant metadata and, beside it, the described table in JSON lines.
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
    from cliptail_jax.report.data import describe_command

    describe_command(options, options.workdir or WORKDIR)


def describe_config(config: ConfigDict | None) -> str:
    from cliptail_jax.config import fields
    from cliptail_jax.config.training import Data

    return fields.describe(Data(), config and config.data, "data.")
