"""Measure predictions of any model: accuracy, bias, logit adjustment, differences:

    cliptail measure a.csv b.csv --frequency=counts.tsv
    cliptail measure sl=sl_0.csv,sl_1.csv logits.npz --train=train_labels.csv --output=runs/mine

Files have a row for each test example, with its label and prediction: CSV, TSV, Parquet or JSON lines with these columns, or
.npz with the arrays labels and predictions, or labels and logits (or probabilities) [example, class]. Classes are names or
numbers from 0 on. Give the files of one model, trained with several seeds, as NAME=FILE,FILE. Files on the same examples are
compared by a paired bootstrap over classes.

With logits, it begins with whether to adjust them, logits − τ log n, with the number n of training images of a class (1 for a
class without any), and by which τ. τ is chosen by the mean accuracy over classes. NAME_adjusted judges it: τ is chosen on one half
of the examples and measured on the other half, in both directions. With --trained_with, what the model's loss adds for frequent
classes is known: NAME_without_prior has it subtracted, and what other losses would give is forecast.
"""

import argparse

from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or NAME=FILE,FILE for several seeds")
    parser.add_argument(
        "--frequency", metavar="FILE", help="the number of training images of each class: a name and a count"
    )
    parser.add_argument("--train", metavar="FILE", help="instead: the labels of the training images, which are counted")
    parser.add_argument(
        "--labels", metavar="FILE", help="labels for files without; by file name, if both files have these"
    )
    parser.add_argument(
        "--trained_with",
        metavar="RECIPE",
        help="the recipe of models with logits, such as sl, batch:64 or adjusted:1 (`cliptail forecast --help` lists them): also "
        "measure the logits minus its effective log-prior",
    )
    parser.add_argument("--tau", type=float, metavar="T", help="adjust logits by this τ, without a choice")
    parser.add_argument("--all", action="store_true", help="print all measures, not only the main three")
    parser.add_argument("--label_column", default="label", metavar="NAME", help="default: label")
    parser.add_argument("--prediction_column", default="prediction", metavar="NAME", help="default: prediction")
    parser.add_argument(
        "--output", type=work_path, metavar="DIR", help="write report.html, measures.json and figures to this folder"
    )
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.predictions.measure import measure_command

    measure_command(options)
