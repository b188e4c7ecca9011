"""Zero-shot evaluation of the 49 published CLIPs that the study counted, each compared with its own training data:

    python -m cliptail_jax.evaluate --config=configs/zero_shot_all.py --workdir=runs/zero_shot --config.data.data_dir=DIR \\
        --config.eval.frequency_dir=clip-beyond-tail/metadata/freqs

The arguments `sets=` and `template=` are those of configs/zero_shot.py. Writes a directory per model and table.md and
table.tsv. Three of them, EVA-CLIPs, have architectures that are not supported: they are reported and skipped, as what
cannot be fetched is, and so the exit status is 2. The study's figures leave them out, too.
"""

from cliptail_jax.errors import UserError
from cliptail_jax.pretrained.published import published_models
from configs import zero_shot


def get_config(arg: str = ""):
    if "model=" in arg:
        raise UserError("configs/zero_shot_all.py has its models: use configs/zero_shot.py for one")
    config = zero_shot.get_config(arg)
    config.eval.models = tuple(model.name for model in published_models())
    config.eval.class_frequency = "published"
    return config
