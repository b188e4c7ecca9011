"""Transfer of image features to other data sets, by linear probes, few-shot episodes and fine-tuning:

    cliptail transfer transfer:models=runs/sup+runs/clip,sets=cifar100+dtd \\
        --workdir=runs/transfer --config.data.data_dir=DIR

    models=A+B     work directories of runs (with DINO, the teacher is measured), names of cliptail_jax.pretrained.published,
                   hf-hub:OWNER/NAME, or folders of published weights
    sets=A+B       short names of cliptail_jax.datasets.known_sources (default: all twelve), NAME:TRAIN:TEST, or
                   NAME:TRAIN:VALIDATION:TEST
    methods=A+B    any of probe, few_shot and finetune (default: the first two)

The program writes tables to report.md and one line per result to results.jsonl in the work directory. The same command
resumes an interrupted transfer.
"""

from cliptail_jax.datasets.known_sources import TRANSFER_SETS
from cliptail_jax.experiments import arguments
from cliptail_jax.transfer.configuration import base_config


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "models", "sets", "methods")
    config = base_config()
    config.sets = tuple(TRANSFER_SETS)
    for key, value in args.items():
        config[key] = tuple(value.split("+"))
    return config
