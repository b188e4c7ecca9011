"""Make LAIONet from a caption corpus of parquet files, stage by stage:

    cliptail laion match      --input=laion400m --output=matched
    cliptail laion similarity --input=matched --output=similar --clip=RUN
    cliptail laion select     --input=similar --output=laionet --threshold=0.7
    cliptail laion retrieve   --input=matched --queries=captions.tsv --output=retrieved.parquet --clip=RUN

The same command resumes an interrupted stage. All stages also run on Beam: add its options, such as --runner=DirectRunner.
Its workers must be able to read the files.
"""

import argparse
from pathlib import Path

from cliptail_jax.host.cores import usable_cores
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.outputs import add_overwrite

TAKES_OTHERS = True  # the flags of Beam


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", choices=["match", "similarity", "select", "retrieve"])
    parser.add_argument("--input", required=True, help="a folder of parquet parts, or a glob")
    parser.add_argument("--output", required=True, type=Path, help="a folder; for retrieve a parquet file")
    parser.add_argument("--column", default="TEXT", help="the column of captions (default: TEXT)")
    parser.add_argument("--nsfw", default="NSFW", help="the column of the NSFW tag (default: NSFW)")
    parser.add_argument("--threshold", type=float, default=0.7, help="keep rows of greater similarity (default: 0.7)")
    parser.add_argument("--clip", help="the CLIP that embeds texts: a run's work directory, or a published model")
    parser.add_argument("--queries", type=Path, help="table of captions, as `cliptail describe --export` writes it")
    parser.add_argument("--neighbours", type=int, default=50, help="rows to consider for each query (default: 50)")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="default: %(default)s, the usable cores")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    if options.extra_arguments and not any(option.startswith("--runner") for option in options.extra_arguments):
        raise UserError(f"unknown argument {options.extra_arguments[0]}")
    from cliptail_jax.curation.laion.command import run_stage_command  # slow to import

    run_stage_command(options, options.extra_arguments)
