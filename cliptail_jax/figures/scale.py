"""What more data changes: accuracy, corr_acc, NC1 and NC2 against data size, a line for each text tower, SL beside (figure 4).

    python -m cliptail_jax.figures scale --runs scale.tsv --output scale

The sheet:

    run               group               x
    laionet_32nd      random text tower   101848
    laionet_16th      random text tower   203580
    laionet_sl        SL                  3256561

`x` is the number of training images (commas are allowed), or - for a dashed line across the panels. Runs of the
same group and x, as of several seeds, are points around a line through their means. Thin bars are 95 % intervals over
classes. `--measures` takes any numbers of summary.jsonl.
"""

import argparse
import functools

from cliptail_jax.figures import lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    lines.add_arguments(parser, measures=("top1", "corr_acc", "nc1", "nc2_mean"))


draw = functools.partial(lines.draw, axis="training images", logarithmic=True)
