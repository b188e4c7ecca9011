"""DINO on long-tailed images, with all prototypes or a sample of them in the softmax of each step:

    cliptail study dino_cifar100_lt --workdir=runs/dino_cifar100_lt \\
        --config.data_dir=DIR

Linear probes on the balanced set compare the runs, with four seeds, each in about 14 minutes on two CPU cores. DIR
contains CIFAR-100, prepared as configs/study/cifar100_lt.py describes. Each of 25 epochs has 10,816 of the 10,847 images,
as two views of 32 pixels. Each seed has its own assignment of frequencies to classes.
"""

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies, training
from cliptail_jax.transfer.configuration import base_config as transfer_config

SAMPLE = training.SMALL_PROTOTYPES // 4


def get_config(arg: str = ""):
    arguments.read_only(arg)
    runs = {
        "dino": load_config("dino:data=cifar100_lt"),
        "dino_sampled": load_config(f"dino:data=cifar100_lt,vocabulary={SAMPLE}"),
    }
    text = f"A sample of {SAMPLE} of the {training.SMALL_PROTOTYPES} prototypes helps DINO's linear probe"
    claims = {"sampled": studies.claim(text, "probe", "dino_sampled", "dino")}
    study = studies.study("DINO on CIFAR-100-LT (ratio 100)", runs, claims, first_seed=0, seeds=4)
    study.transfer = transfer = transfer_config()
    transfer.sets = ("cifar100",)
    transfer.data.data_dir, transfer.seed = study.get_ref("data_dir"), study.get_ref("seed")
    return study
