"""Trains the run of an open_clip command line, or plans its training."""

import argparse
import shlex
import tempfile
from pathlib import Path

from cliptail_jax.config.command_line import quiet_libraries, read_config, with_fields
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path, write_text
from cliptail_jax.host.interrupts import exit_on_signal
from cliptail_jax.jobs.plan import plan_command
from cliptail_jax.jobs.train import train_command
from cliptail_jax.open_clip.flags import CommandLine
from cliptail_jax.open_clip.prepare import config_path, device_count, prepare
from cliptail_jax.open_clip.translate import config_file, parameters, translate
from cliptail_jax.parallel import distributed
from cliptail_jax.runs.console import copy_lines, log_line

CLASSES = 1000  # of ImageNet, on which open_clip evaluates; the step of CLIP does not depend on them


def train_line(options: argparse.Namespace, fields: list[str], line: CommandLine, text: str) -> None:
    """Train the run of a command line of open_clip, whose `text` the config file quotes."""
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
    exit_on_signal()
    train_command(config, folder)


def plan_line(options: argparse.Namespace, fields: list[str], line: CommandLine, text: str) -> None:
    """Plan the training of a command line of open_clip. `--train-num-samples` is the number of records.

    Raises UserError if the number of devices is missing.
    """
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
    plan_command(options)
