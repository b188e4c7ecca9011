"""Supervised training (SL). On long-tailed CIFAR-100, about four minutes on two CPU cores:

    python -m cliptail_jax.train --config=configs/sup.py:data=cifar100_lt --workdir=runs/sup --config.data.data_dir=DIR

With a sampled vocabulary of 20 classes per softmax, the study's remedy for the bias towards frequent classes:

    ... --config.vocabulary.size=20
"""

from configs import common


def get_config(arg: str = ""):
    config, preset = common.start(arg)
    config.objective = "supervised"
    if preset in common.SMALL:
        common.small_images(config, preset)
        config.optimizer.update({"learning_rate": 0.1, "warmup_steps": 100})
        return config
    # The study's recipe: RN50, batch 256 on four GPUs, hence groups of 64.
    config.total_epochs = 90
    config.batch_size = 256
    config.batch_norm.group_size = 64
    config.vocabulary.group_size = 64
    config.optimizer.learning_rate = 0.1 * config.batch_size / 256
    return config
