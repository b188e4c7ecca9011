"""Prepares a run of an open_clip command line: its number of devices, config file and data sets."""

import os
from pathlib import Path

import jax

from cliptail_jax.datasets.build import build, report
from cliptail_jax.datasets.folder import open_builder
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import is_remote, work_path
from cliptail_jax.open_clip.translate import TITLE, Translation
from cliptail_jax.parallel import distributed
from cliptail_jax.runs.console import log_line
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

    Raises UserError if the file exists and is that of another command whose run has begun, or of another program.
    """
    folder = work_path(workdir)
    path = Path(f"{folder.name if is_remote(folder) else workdir}.py")
    content = path.read_text(encoding="utf-8") if path.exists() else text
    if content != text and ((folder / CONFIG).exists() or not content.startswith(TITLE)):
        raise UserError(f"{path} exists, and is that of another command: remove it, or give another --name")
    return path


def prepare(translation: Translation, data_dir: str) -> None:
    """Build data sets that do not exist yet. Raises UserError if there are fewer pairs than the command states."""
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
