"""Train from a command line of open_clip: `cliptail open_clip [OPTIONS] -- FLAGS`, such as

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
import tempfile
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path, write_text
from cliptail_jax.open_clip.flags import TRAINED, CommandLine, count, parse
from cliptail_jax.programs import plan

END = "--"  # of this program's flags, before open_clip's
CLASSES = 1000  # of ImageNet, on which open_clip evaluates; the step of CLIP does not depend on them
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
    (plan_line if options.plan else train_line)(options, fields, parse(flags), shlex.join(flags))


def check_plan_flags(options: argparse.Namespace) -> None:
    """Raise UserError for a flag of --plan without --plan: it would have no effect."""
    parser = argparse.ArgumentParser()
    plan.add_flags(parser)
    defaults = vars(parser.parse_args([]))
    plan_flags = [name for name, default in defaults.items() if getattr(options, name) != default]
    if plan_flags and not options.plan:
        raise UserError(f"--{plan_flags[0]} needs --plan: add it")


def train_line(options: argparse.Namespace, fields: list[str], line: CommandLine, text: str) -> None:
    """Train the run of a command line of open_clip, whose `text` the config file quotes."""
    from cliptail_jax.config.command_line import quiet_libraries, read_config, with_fields
    from cliptail_jax.open_clip.prepare import config_path, device_count, prepare
    from cliptail_jax.open_clip.translate import config_file, parameters, translate
    from cliptail_jax.parallel import distributed
    from cliptail_jax.programs import train
    from cliptail_jax.runs.console import copy_lines, log_line

    devices = options.gpus or line.processes or device_count()
    translation = translate(line, devices, options.data_dir, options.tokenizer)
    content = config_file(translation, text)
    print(content)
    if options.print_config:
        return
    path, folder = config_path(translation.workdir, content), work_path(translation.workdir)
    quiet_libraries()
    distributed.initialize()
    prepare(translation, options.data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, content)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "params.txt", parameters(line, translation.config))
    copy_lines(folder / "out.log")
    log_line(f"cliptail train {shlex.join([str(path), f'--workdir={translation.workdir}', *fields])}")
    config = with_fields(read_config(str(path)), fields)
    train.main(argparse.Namespace(config=config, workdir=translation.workdir, overwrite=False))


def plan_line(options: argparse.Namespace, fields: list[str], line: CommandLine, text: str) -> None:
    """Plan the training of a command line of open_clip. `--train-num-samples` is the number of records.

    Raises UserError if the number of devices is missing.
    """
    plan.set_environment(options)
    from cliptail_jax.config.command_line import read_config, with_fields
    from cliptail_jax.open_clip.translate import config_file, translate

    if not (devices := options.gpus or line.processes):
        raise UserError(
            "--gpus=N is missing: --batch-size is that of one GPU, so give the number of devices that train together"
        )
    translation = translate(line, devices, tokenizer=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plan.py")
        write_text(path, config_file(translation, text))
        options.config = with_fields(read_config(str(path)), fields)
    samples = translation.samples or line.values["dataset_resampled"] and line.values["train_num_samples"]
    if samples and not options.records:
        options.records, options.classes = samples, CLASSES
    plan.main(options)
