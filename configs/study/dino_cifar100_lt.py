"""DINO on long-tailed images with all prototypes or a sample of them in the softmax of each step, compared by linear probes on
the balanced set, with four seeds, each in about 20 minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/dino_cifar100_lt.py --workdir=runs/dino_cifar100_lt \\
        --config.data_dir=DIR

DIR holds CIFAR-100, prepared as described in configs/study/cifar100_lt.py. Every run sees each of the 10,847 images 25 times,
as two views of 32 pixels. Each seed has its own assignment of frequencies to classes.
"""

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies, training
from cliptail_jax.transfer.configuration import base_config as transfer_config

SAMPLE = training.SMALL_PROTOTYPES // 4


def get_config(arg: str = ""):
    arguments.read_only(arg)
    data_dir, seed = FieldReference(""), FieldReference(0)
    runs = {
        "dino": load_config("dino:data=cifar100_lt"),
        "dino_sampled": load_config(f"dino:data=cifar100_lt,vocabulary={SAMPLE}"),
    }
    for config in runs.values():
        config.seed = config.data.seed = seed
        config.data.data_dir = data_dir
    transfer = transfer_config()
    transfer.sets, transfer.data.data_dir, transfer.seed = ("cifar100",), data_dir, seed
    text = f"A sample of {SAMPLE} of the {training.SMALL_PROTOTYPES} prototypes helps DINO's linear probe"
    claims = {"sampled": studies.claim(text, "probe", "dino_sampled", "dino")}
    study = dict(title="DINO on CIFAR-100-LT (ratio 100)", seeds=4, data_dir=data_dir, seed=seed)
    study |= dict(runs=studies.in_order(runs), claims=studies.in_order(claims), transfer=transfer)
    return ConfigDict(study)
