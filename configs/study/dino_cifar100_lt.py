"""DINO on long-tailed images with all prototypes or a sample of them in the softmax of each step, compared with SL and CLIP
by linear probes on the balanced set, in about 30 minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/dino_cifar100_lt.py --workdir=runs/dino_cifar100_lt \\
        --config.data_dir=DIR

DIR holds CIFAR-100, prepared as described in configs/study/cifar100_lt.py. Every run sees each of the 10,847 images EPOCHS
times; DINO sees it as two views of 32 pixels and four of 16.
"""

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.transfer.configuration import base_config as transfer_config
from configs import clip, common, dino, sup

EPOCHS = 20


def get_config(arg: str = ""):
    common.read_only(arg)
    data_dir, seed = FieldReference(""), FieldReference(0)
    runs = {
        "dino": dino.get_config("data=cifar100_lt"),
        "dino_1024": dino.get_config("data=cifar100_lt,vocabulary=1024"),
        "dino_256": dino.get_config("data=cifar100_lt,vocabulary=256"),
        "sl": sup.get_config("data=cifar100_lt"),
        "clip": clip.get_config("data=cifar100_lt"),
    }
    for config in runs.values():
        config.seed, config.data.data_dir, config.total_epochs = seed, data_dir, EPOCHS
    runs["clip"].model.text.context_length = 8  # enough for names, and fast
    transfer = transfer_config()
    transfer.sets, transfer.data.data_dir, transfer.seed = ("cifar100",), data_dir, seed
    claims = {
        f"sampled_{size}": common.claim(
            f"A sample of {size} of the 4,096 prototypes helps DINO's linear probe", "probe", f"dino_{size}", "dino"
        )
        for size in (1024, 256)
    }
    study = dict(title="DINO on CIFAR-100-LT (ratio 100)", data_dir=data_dir, seed=seed)
    study |= dict(runs=common.in_order(runs), claims=common.in_order(claims), transfer=transfer)
    return ConfigDict(study)
