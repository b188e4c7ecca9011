"""Supervised training (SL). On long-tailed CIFAR-100, about four minutes on two CPU cores:

    python -m cliptail_jax.train --config=configs/sup.py:data=cifar100_lt --workdir=runs/sup --config.data.data_dir=DIR

With a sampled vocabulary, the study's remedy for the bias towards frequent classes (a softmax over the classes of the
batch, which at batch 128 are about 50, filled up to 20 where they are fewer):

    ... --config.vocabulary.size=20
"""

from configs import common


def get_config(arg: str = ""):
    config, preset = common.start(arg, batch_size=256)
    config.objective = "supervised"
    if preset in common.SMALL:
        common.small_images(config, preset)
        config.optimizer.update({"learning_rate": 0.1, "warmup_steps": 100})
        return config
    # The study's recipe: RN50, batch 256 on four GPUs, hence groups of a quarter.
    config.total_epochs = 90
    config.batch_norm.group_size = config.batch_size // 4
    config.vocabulary.group_size = config.batch_size // 4
    config.optimizer.learning_rate = 0.1 * config.batch_size / 256
    return config
