"""The command line of `predict`, in a module that is imported quickly."""

import argparse

from cliptail_jax.host.commands import program_parser
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite


def parse(arguments: list[str], description: str) -> argparse.Namespace:
    """The command line."""
    parser = program_parser("predict", description)
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
    add_overwrite(parser)
    return parser.parse_args(arguments)
