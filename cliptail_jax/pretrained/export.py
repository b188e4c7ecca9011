"""Writes a run's model for open_clip."""

import sys
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.outputs import check_writable_folder
from cliptail_jax.host.printing import one_line


def export(workdir: Path, folder: Path, overwrite: bool = False) -> None:
    """Write the model of the run in `workdir` to `folder`.

    Raises:
        UserError: there is no run in `workdir`; open_clip cannot represent the model; or, without `overwrite`, the folder
            is not an earlier export.
    """
    from cliptail_jax.input.pipeline import num_steps_per_epoch  # these modules are slow to import
    from cliptail_jax.pretrained.model import open_run
    from cliptail_jax.pretrained.save import is_export, open_clip_config, save
    from cliptail_jax.runs.files import number_of_records, read_config

    check_writable_folder(folder)
    if folder.exists() and not overwrite and not is_export(folder):
        raise UserError(f"{folder} is not an earlier export: choose another --output, or pass --overwrite")
    model = open_run(workdir)
    size = model.preprocess.size
    if size != (position_size := model.config["vision_cfg"].get("image_size", size)):
        raise UserError(
            f"the run resamples positions for images of {position_size} pixels to {size} in each pass, as DINO does, and open_clip's "
            "models do not: use the run's checkpoints"
        )
    tokenizer = model.tokenizer if model.has_text else None
    save(model.model, folder, open_clip_config(model.description), model.preprocess, tokenizer)
    preprocess = model.preprocess
    if preprocess.short_side not in (0, preprocess.size):
        print(
            f"note: the run's images are resized to {preprocess.short_side} pixels, of which the centre of {preprocess.size} is "
            f"used; open_clip resizes them to {preprocess.size}, so features differ",
            file=sys.stderr,
        )
    config = read_config(workdir)
    steps_per_epoch = num_steps_per_epoch(number_of_records(workdir), config["batch_size"], config["data.drop_last"])
    total_steps = config["total_steps"] or config["total_epochs"] * steps_per_epoch
    if model.step < total_steps:
        print(one_line(f"note: {workdir} is trained to step {model.step:,} of {total_steps:,}"), file=sys.stderr)
