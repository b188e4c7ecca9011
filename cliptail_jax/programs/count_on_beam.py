"""Count on a cluster with Apache Beam, as `cliptail count` does on one machine:

    cliptail count_on_beam --captions='gs://bucket/laion/*.parquet' --classes=imagenet1k \\
        --output=gs://bucket/counts.tsv --runner=DataflowRunner --project=... --temp_location=...

Other flags are passed to Beam. --runner=dask counts on the processes of this machine, or with
--dask_client_address=HOST:PORT on a Dask cluster (extra `dask`). All workers must be able to read the files and write
the output. A worker counts whole files. A damaged file ends the pipeline. Beam's counters `captions` and `undecodable`
count all captions, and those that are not UTF-8.
"""

import argparse

from cliptail_jax.concepts.captions import add_arguments
from cliptail_jax.host.errors import refuse_renamed

TAKES_OTHERS = True  # the flags of Beam


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument("--classes", required=True, help="a built-in class list's name, or a .json or .txt file")
    refuse_renamed(parser, "--vocabulary", "--classes")


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.concepts.beam import count_on_beam

    count_on_beam(options, options.extra_arguments)
