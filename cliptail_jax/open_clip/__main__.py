"""Train from a command line of open_clip: `cliptail open_clip [OPTIONS] -- FLAGS`, such as

    cliptail open_clip --gpus=4 -- --model ViT-B-32 --train-data 'shards/{00000..00331}.tar' \\
        --train-num-samples 3000000 --batch-size 256 --lr 5e-4 --wd 0.1 --warmup 2000 --epochs 32 --name first

FLAGS become a config, which is printed and saved as LOGS/NAME.py. Then shards, tables and evaluation sets are prepared as data
sets, once, and the run trains in LOGS/NAME, as `cliptail train --config=LOGS/NAME.py --workdir=LOGS/NAME` does; the same command
continues it. Lines explain the flags that have no effect. configs/open_clip.md lists all flags.

A text tower without weights has the tokenizer of its model, as in open_clip: CLIP's from the package open_clip or the Hugging
Face Hub, or the file in --tokenizer=FILE. --tokenizer=trained trains one on the captions.

FLAGS may begin with a launcher: `torchrun --nproc_per_node 4 -m open_clip_train.main --model ...`.
"""

import sys

from cliptail_jax.host.printing import checked_output
from cliptail_jax.open_clip.options import END, read_options

if __name__ == "__main__":  # before the slow imports, which --help does not need
    if {"-h", "--help"} & set(sys.argv):
        with checked_output():
            read_options(["--help"], __doc__)

import os
import runpy
import shlex
from pathlib import Path

import jax

from cliptail_jax.datasets.build import build, report
from cliptail_jax.datasets.folder import open_builder
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import is_remote, work_path, write_text
from cliptail_jax.open_clip.flags import parse
from cliptail_jax.open_clip.translate import TITLE, Translation, config_file, parameters, translate
from cliptail_jax.parallel import distributed
from cliptail_jax.runs.console import copy_lines, log_line
from cliptail_jax.runs.files import CONFIG


def device_count() -> int:
    """The number of this machine's devices. Raises UserError if there are other machines."""
    if (
        os.environ.get("JAX_COORDINATOR_ADDRESS")
        or distributed.slurm("STEP_NUM_TASKS") > 1
        or distributed.tpu_hosts() > 1
    ):
        raise UserError("--gpus is missing: several processes train together, so give the number of all their devices")
    return jax.device_count()


def config_path(workdir: str, text: str) -> Path:
    """The path of the config file, beside a local work directory.

    Raises UserError if another command's is there and its run has begun, or another program's.
    """
    folder = work_path(workdir)
    path = Path(f"{folder.name if is_remote(folder) else workdir}.py")
    before = path.read_text(encoding="utf-8") if path.exists() else text
    if before != text and ((folder / CONFIG).exists() or not before.startswith(TITLE)):
        raise UserError(f"{path} is there, of another command: remove it, or give another --name")
    return path


def prepare(translation: Translation, data_dir: str) -> None:
    """Build the data sets that are not there yet. Raises UserError if there are fewer pairs than the command states."""
    for name, options in translation.sets:
        folder = build(name, data_dir, **options)
        log_line(f"{name}: {folder} ({report(folder)})")
        if (
            "train" in options
            and (records := open_builder(folder).info.splits["train"].num_examples) < translation.samples
        ):
            raise UserError(
                f"--train-num-samples is {translation.samples}, and {options['train']} has {records} samples: give that number"
            )


@command_line
def main(arguments: list[str]) -> None:
    if END not in arguments:
        raise UserError(f"write open_clip's flags behind {END}, as in: cliptail open_clip {END} --model ViT-B-32 ...")
    own, flags = arguments[: arguments.index(END)], arguments[arguments.index(END) + 1 :]
    options, overrides = read_options(own, __doc__)
    if unknown := [each for each in overrides if not each.startswith("--config.")]:
        raise UserError(f"unknown option {unknown[0]}: open_clip's flags follow {END}")
    line = parse(flags)
    devices = options.gpus or line.processes or device_count()
    translation = translate(line, devices, options.data_dir, options.tokenizer)
    text = config_file(translation, shlex.join(flags))
    print(text)
    if options.print_config:
        return
    path, folder = config_path(translation.workdir, text), work_path(translation.workdir)
    distributed.initialize()
    prepare(translation, options.data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "params.txt", parameters(line, translation.config))
    copy_lines(folder / "out.log")
    command = [str(path), f"--workdir={translation.workdir}", *overrides]
    log_line(f"cliptail train {shlex.join(command)}")
    sys.argv[1:] = command


if __name__ == "__main__":
    if (status := main(sys.argv[1:])) or "--print_config" in sys.argv:
        sys.exit(status)
    runpy.run_module("cliptail_jax.jobs.train", run_name="__main__", alter_sys=True)
