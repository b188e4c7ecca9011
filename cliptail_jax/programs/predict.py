"""Predict the classes of images with a run or a published model:

    cliptail predict --workdir=runs/sl --images=photos/val --output=predictions.csv
    cliptail predict --model=RN50-quickgelu/cc12m --classes=names.txt --images='photos/**/*.jpg' --output=predictions.csv

The columns are filename, label, prediction and confidence, the softmax probability of the predicted class. The label is the
name of the folder that contains an image, if that is one of the classes, or the label in a prepared set, and else empty.
Logits are not adjusted, unless --without_prior is given: `cliptail measure` does that. Images that cannot be read are named and
left out. The same command continues after an interruption, and writes the same file.
"""

import argparse

from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--workdir", metavar="RUN", help="the directory of a run")
    model.add_argument("--model", metavar="NAME", help="a published model, hf-hub:OWNER/NAME, or a folder of weights")
    parser.add_argument(
        "--images",
        required=True,
        help="a folder of images or of one folder for each class, a file, a glob, or a prepared set as NAME:SPLIT",
    )
    parser.add_argument("--output", type=work_path, required=True, metavar="FILE", help="the table, as CSV")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="the number of predicted classes (default: 1)")
    parser.add_argument(
        "--logits",
        type=work_path,
        metavar="FILE.npz",
        help="also write the arrays logits [example, class], classes and filenames, and labels if any are known",
    )
    parser.add_argument(
        "--classes",
        metavar="FILE",
        help="the classes of a model with prompts: a .txt file with one name per line, or a built-in class list (default: "
        "those of the set, or of the run)",
    )
    parser.add_argument(
        "--templates",
        default="",
        metavar="FILE",
        help="the prompts of a model with prompts, as eval.templates (default: the set's, the run's, or 'a photo of a {}.')",
    )
    parser.add_argument("--batch_size", type=int, default=256, metavar="N", help="images per batch (default: 256)")
    parser.add_argument("--data_dir", default="", help="the folder of prepared sets (default: the run's)")
    parser.add_argument(
        "--without_prior",
        action="store_true",
        help="subtract from the logits what the run's loss adds for frequent classes, its effective log-prior",
    )
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.jobs.predict import predict_command

    predict_command(options)
