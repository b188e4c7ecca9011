"""What more alike images of a class, and more even class frequencies, change (figure 5).

    python -m cliptail_jax.figures diversity --runs diversity.tsv --output diversity

The sheet:

    run                   group          x          axis
    laionet_070           random tower   0.7        similarity threshold
    laionet_082           random tower   0.82       similarity threshold
    laionet_070           random tower   LAIONet    class frequencies
    laionet_matched       random tower   matched    class frequencies
    imagenet_captions     random tower   -          class frequencies

Each `axis` is a row of panels. `x` is a number or, where one of them is not, a word; or -, for a dashed line across the
panels. Thin bars are 95 % intervals over classes. `--measures` takes any numbers of summary.jsonl.
"""

import argparse
import functools

from cliptail_jax.figures import lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    lines.add_arguments(parser, measures=("top1", "corr_acc", "corr_pred"))


draw = functools.partial(lines.draw, axis="similarity threshold")
