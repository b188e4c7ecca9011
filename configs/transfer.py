"""Transfer of trained image towers to other sets, by linear probes, few-shot episodes and fine-tuning:

    python -m cliptail_jax.transfer --config=configs/transfer.py:models=runs/sup+runs/clip,sets=cifar100+dtd \\
        --workdir=runs/transfer --config.data.data_dir=DIR

`models=` are work directories of runs (SL, CLIP, DINO's teacher), names of `cliptail_jax.pretrained.published`,
hf-hub:OWNER/NAME or folders; `sets=` short names of `cliptail_jax.datasets.known_sources`, by default all twelve, or
NAME:TRAIN:TEST or NAME:TRAIN:VALIDATION:TEST; `methods=` of probe, few_shot and finetune, by default the first two. The
tables are in report.md, a line for each finished cell in results.jsonl. The same command goes on where it was stopped.
"""

from cliptail_jax.datasets.known_sources import TRANSFER_SETS
from cliptail_jax.transfer.configuration import base_config
from configs import common


def get_config(arg: str = ""):
    given = common.read_only(arg, "models", "sets", "methods")
    config = base_config()
    config.sets = tuple(TRANSFER_SETS)
    for key, value in given.items():
        config[key] = tuple(value.split("+"))
    return config
