"""Forecast the accuracy and bias of other losses, without training:

    cliptail forecast sl batch:64 counts --workdir=runs/adjusted
    cliptail forecast sl counts --logits=logits.npz --frequency=counts.tsv --trained_with=adjusted:1 --output=forecasts.tsv
    cliptail forecast sl batch:64 batch:4096 clip --frequency=counts.tsv

All these losses learn the logits log P(image | class) + ψ_class, and differ in the effective log-prior ψ: log p of the class for
SL, and 0 for CLIP (configs/effective_prior.md). The logits of a model, minus its own ψ, plus that of another recipe, are a
forecast of the other recipe's logits. Forecasts are for equal training. They are too good for recipes that learn more slowly.

Recipes are configs, such as sup:data=cifar100_lt,logit_adjustment=0.5, or short names (below). For a command of open_clip, write its
config with `cliptail open_clip --print_config -- FLAGS > mine.py`. A study's config stands for all its kinds of runs; with
`--output=DIR/forecasts.tsv` in the study's directory, its report shows the forecasts beside what training gave:

    cliptail study quickstart --workdir=runs/quickstart --only=sl
    cliptail forecast quickstart --workdir=runs/quickstart --runs=sl --output=runs/quickstart/forecasts.tsv


"""

import argparse

from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite
from cliptail_jax.metrics.recipes import RECIPES, USAGES
from cliptail_jax.report.layout import label_lines

__doc__ += "\n".join(label_lines(((USAGES[name], recipe.meaning) for name, recipe in RECIPES.items()), indent=4))


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipes",
        nargs="*",
        metavar="RECIPE",
        help="recipes to forecast (default: sl, batches, adjusted:0.5 and counts)",
    )
    parser.add_argument("--workdir", type=work_path, metavar="DIR", help="a trained run, or a study that has it")
    parser.add_argument("--runs", metavar="NAME", help="which runs of the study; pairs and seeds are averaged")
    parser.add_argument("--data_dir", default="", help="the folder of prepared sets (default: the run's)")
    parser.add_argument(
        "--logits", metavar="FILE", help="instead: logits [example, class] and labels, as `measure` takes them"
    )
    parser.add_argument(
        "--frequency", metavar="FILE", help="with --logits, or for priors alone: the training images of each class"
    )
    parser.add_argument("--labels", metavar="FILE", help="with --logits: labels for a file without")
    parser.add_argument(
        "--trained_with", metavar="RECIPE", help="the recipe, or the config, of the model that computed the logits"
    )
    parser.add_argument(
        "--output", type=work_path, metavar="FILE.tsv", help="write the forecasts to a table, with a picture beside it"
    )
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.predictions.forecast import forecast_command

    forecast_command(options)
