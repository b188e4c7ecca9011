"""Train from a command line of open_clip:

    cliptail open_clip --gpus=4 -- --model ViT-B-32 --train-data 'shards/{00000..00331}.tar' \\
        --train-num-samples 3000000 --batch-size 256 --lr 5e-4 --wd 0.1 --warmup 2000 --epochs 32 --name first

FLAGS become a config, which is printed and saved as LOGS/NAME.py, with a note for each flag that has no effect. Then shards,
tables and evaluation sets are prepared as data sets, once, and the run trains in LOGS/NAME, as `cliptail train LOGS/NAME.py
--workdir=LOGS/NAME` does. The same command continues it. configs/open_clip.md lists all flags.

A text tower without weights has the tokenizer of its model, as in open_clip: CLIP's from the package open_clip or the Hugging
Face Hub, or the file in --tokenizer=FILE. --tokenizer=trained trains one on the captions.

FLAGS may begin with a launcher: `torchrun --nproc_per_node 4 -m open_clip_train.main --model ...`.

With `--plan`, nothing is trained: the training step is compiled for the accelerators of `--on`, as by `cliptail plan`.
"""

import argparse
import shlex

from cliptail_jax.host.errors import UserError
from cliptail_jax.open_clip.flags import TRAINED, count, parse
from cliptail_jax.programs import plan

END = "--"  # of this program's flags, before open_clip's
CONFIGS = ()  # its flags become one
TAKES_OTHERS = True  # the flags of open_clip, and values of fields of the config


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [OPTIONS] {END} FLAGS"
    devices = "number of devices that open_clip's batch size is multiplied by; default: the launcher's, or those of this machine"
    parser.add_argument("--gpus", type=count, default=0, help=devices)
    parser.add_argument(
        "--data_dir", default="", help="folder of prepared data sets; default: the environment's TFDS_DATA_DIR"
    )
    parser.add_argument(
        "--tokenizer",
        default="",
        metavar="FILE",
        help="tokenizer of a text tower without weights: CLIP's bpe_simple_vocab_16e6.txt.gz or the model's tokenizer.json, or "
        f"'{TRAINED}' to train one on the captions; default: the model's own, of the package open_clip or the Hugging Face Hub",
    )
    parser.add_argument("--print_config", action="store_true", help="print the config, and exit")
    parser.add_argument(
        "--config.FIELD", dest="field", metavar="VALUE", help="sets a field of the config, as in training"
    )
    parser.add_argument("--plan", action="store_true", help="plan the training for the accelerators of --on, and exit")
    plan.add_flags(parser.add_argument_group("flags of --plan"))


def main(options: argparse.Namespace) -> None:
    if END not in options.extra_arguments:
        raise UserError(f"write open_clip's flags behind {END}, as in: cliptail open_clip {END} --model ViT-B-32 ...")
    place = options.extra_arguments.index(END)
    fields, flags = options.extra_arguments[:place], options.extra_arguments[place + 1 :]
    if unknown_options := [field for field in fields if not field.startswith("--config.")]:
        raise UserError(f"unknown option {unknown_options[0]}: open_clip's flags follow {END}")
    check_plan_flags(options)
    line = parse(flags)
    if options.plan:
        plan.set_environment(options)
    from cliptail_jax.open_clip.command import plan_line, train_line  # slow to import

    (plan_line if options.plan else train_line)(options, fields, line, shlex.join(flags))


def check_plan_flags(options: argparse.Namespace) -> None:
    """Raise UserError for a flag of --plan without --plan: it would have no effect."""
    parser = argparse.ArgumentParser()
    plan.add_flags(parser)
    defaults = vars(parser.parse_args([]))
    plan_flags = [name for name, default in defaults.items() if getattr(options, name) != default]
    if plan_flags and not options.plan:
        raise UserError(f"--{plan_flags[0]} needs --plan: add it")
