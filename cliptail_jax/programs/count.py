"""Count the captions of a corpus that name each class, by the paper's rule:

    cliptail count --captions='laion400m/*.parquet' --classes=imagenet1k --output=counts.tsv

--output gets a header and one line per class, name <TAB> count, in the order of the list. --captions are files in parquet,
.tsv or .csv with a header, JSON lines, .tar in WebDataset's format, or .txt with one caption per line, each also with .gz; or
a prepared data set. The same command continues an interrupted count with the unfinished files. A damaged file is named and
skipped, and the exit status is not 0.
"""

import argparse

from cliptail_jax.concepts.captions import add_arguments
from cliptail_jax.host.cores import usable_cores
from cliptail_jax.host.errors import UserError, refuse_renamed
from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    concepts = parser.add_mutually_exclusive_group(required=True)
    concepts.add_argument("--classes", help="a built-in class list's name, or a .json or .txt file")
    concepts.add_argument("--words", action="store_true", help="count every word instead, the most frequent first")
    refuse_renamed(parser, "--vocabulary", "--classes")
    parser.add_argument("--sorted", action="store_true", help="also write OUTPUT.sorted.tsv, the most frequent first")
    parser.add_argument(
        "--weights", action="store_true", help="captions files are JSON objects from text to count, as MetaCLIP's"
    )
    parser.add_argument("--processes", type=int, default=usable_cores(), help="default: %(default)s, the usable cores")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.concepts.count import count

    if options.processes < 1:
        raise UserError("--processes must be at least 1")
    if options.weights and options.words:
        raise UserError("--weights needs --classes")
    count(options)
