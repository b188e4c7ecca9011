"""Zero-shot evaluation of the paper's 49 published CLIPs, each compared with the class frequency of its training data:

    python -m cliptail_jax.evaluate --config=configs/zero_shot_all.py --workdir=runs/zero_shot --config.data.data_dir=DIR \\
        --config.eval.frequency_dir=clip-beyond-tail/metadata/freqs

It takes the arguments `sets=` and `template=` of configs/zero_shot.py, and writes a directory for each model, table.md and
table.tsv. Three EVA-CLIPs have architectures that are not supported. They are reported and skipped, as are models that
cannot be fetched, and therefore the exit status is 2. The paper's figures leave them out, too.
"""

from cliptail_jax.errors import UserError
from cliptail_jax.pretrained.published import published_models
from configs import zero_shot


def get_config(arg: str = ""):
    if "model=" in arg:
        raise UserError("configs/zero_shot_all.py evaluates all models: use configs/zero_shot.py for one")
    config = zero_shot.get_config(arg)
    config.eval.models = tuple(model.name for model in published_models())
    config.eval.class_frequency = "published"
    return config
