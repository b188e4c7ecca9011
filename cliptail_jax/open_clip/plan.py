"""Plans the run of an open_clip command:

    cliptail plan open_clip --gpus=64 --on=h100x64 -- --model ViT-B-32 ...

Options precede `--`, with `=`: those of `cliptail plan`, and `--gpus=N`, the number of devices that multiplies `--batch-size`. A
launcher in front of open_clip's flags gives it, too.
"""

import os
import runpy
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cliptail_jax.host.printing import checked_output
from cliptail_jax.planning.environment import compiler_environment

if __name__ == "__main__":  # before JAX is imported
    if {"-h", "--help"} & {*sys.argv}:
        with checked_output():
            sys.exit(print(__doc__))
    os.environ.update(compiler_environment(sys.argv))

from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import write_text
from cliptail_jax.open_clip.flags import Parser, parse
from cliptail_jax.open_clip.options import END, count
from cliptail_jax.open_clip.translate import config_file, translate

CLASSES = 1000  # of ImageNet, on which open_clip evaluates; the step of CLIP does not depend on them


def plan_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments of `cliptail plan` for those of `cliptail plan open_clip`, whose config is written to a temporary file.

    Options of `plan`, with `--name=value`, precede `--`, and open_clip's flags follow. Without `--gpus=N`, whose number multiplies
    `--batch-size`, a launcher in front of the flags gives it. `--train-num-samples` is the number of records.

    Raises UserError if the number of devices is missing, or for a flag as `open_clip` does.
    """
    if END not in arguments:
        raise UserError(
            f"write open_clip's flags behind {END}, as in: cliptail plan open_clip --gpus=8 {END} --model ViT-B-32 ..."
        )
    place = arguments.index(END)
    options, line = arguments[:place], parse(arguments[place + 1 :])
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--gpus", type=count, default=line.processes)
    parsed, own = parser.parse_known_args(options)
    if not parsed.gpus:
        raise UserError(
            "--gpus=N is missing: --batch-size is of one GPU, so give the number of devices that train together"
        )
    translation = translate(line, parsed.gpus, tokenizer=None)
    path = Path(tempfile.mkdtemp(prefix="open_clip_")) / "plan.py"
    write_text(path, config_file(translation, shlex.join(arguments[place + 1 :])))
    resampled = line.values["dataset_resampled"] and line.values["train_num_samples"]
    samples = translation.samples or resampled
    if samples and not any(option.startswith("--records=") for option in own):
        own += [f"--records={samples}", f"--classes={CLASSES}"]
    return [str(path), *own]


@command_line
def main(arguments: list[str]) -> None:
    sys.argv[1:] = plan_arguments(arguments)


if __name__ == "__main__":
    if status := main(sys.argv[2:]):  # after `open_clip`
        sys.exit(status)
    runpy.run_module("cliptail_jax.jobs.plan", run_name="__main__", alter_sys=True)
