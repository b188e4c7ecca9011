"""DINO, self-supervised, with all prototypes or a sample of them in each step's softmax:

    cliptail train dino:data=cifar100_lt --workdir=runs/dino --config.data.data_dir=DIR

The paper's runs have 100 epochs at batch size 1024. They are evaluated by transfer (configs/transfer.py):

    configs/dino.py:data=imagenet2012
    configs/dino.py:data=laionet
    configs/dino.py:data=laionet,prototypes=16384
    configs/dino.py:data=laionet,vocabulary=1024      and 4096, 16384

The arguments of cliptail_jax/experiments/training.py select the data. This file adds:

    prototypes=N        the number of prototypes: 65,536 by default, or 512 for small images
    vocabulary=N        a sample of N prototypes in each step
"""

import math

from cliptail_jax.experiments import arguments, training
from cliptail_jax.experiments.own_data import find_preset
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.transforms import side_for_crops


def get_config(arg: str = ""):
    args = training.read(arg, "prototypes", "vocabulary")
    if "sets" in args:
        raise UserError(
            "the config argument sets is not for DINO, which learns no classes: measure it with cliptail transfer"
        )
    config, is_small = training.start(args)
    config.objective = "dino"
    config.eval.update(dict(sets=(), tail_classes=0))
    default = training.SMALL_PROTOTYPES if is_small else training.PROTOTYPES
    config.dino.prototypes = arguments.number(args, "prototypes", default)
    config.vocabulary.size = arguments.number(args, "vocabulary", 0)
    config.optimizer.update(
        dict(clip_each_norm=3.0, schedule="cosine_steps", final_learning_rate=1e-6, warmup_from_zero=True)
    )
    config.optimizer.sgd.decay_vectors = False
    config.data.drop_last = True
    if is_small:
        return small(config, args)
    config.total_epochs = 100
    config.batch_size = arguments.number(args, "batch_size", 1024)
    is_default = config.dino.prototypes == default and not config.vocabulary.size
    config.dino.freeze_last_layer = 1 if is_default else 0
    config.model.image.initialization = "pytorch"
    config.data.update(dict(crop_scale=(0.14, 1.0), flip=True, resize="step"))
    config.optimizer.update(dict(learning_rate=0.03 * config.batch_size / 256, warmup_epochs=10))
    return config


def small(config, args: arguments.Arguments):
    """Two crops of 32 pixels in small batches, which learn more in equal time than local crops and larger batches.

    configs/study/old_results.md lists what else was tried. Runs with and without a sample of prototypes have the same recipe.
    """
    config.update(training.small_images(args, bool(config.data.profile.name)))
    config.total_epochs = 25
    config.batch_size = arguments.number(args, "batch_size", 64)
    preset, size = find_preset(args["data"], args.get("data_dir", "")), config.data.image_size
    side = preset.side if preset.small else math.inf  # larger images are reduced before they are cropped
    canvas = max(size, min(side, side_for_crops(size, 0.3)))
    config.data.update(dict(shift=0, crop_scale=(0.3, 1.0), resize="step", canvas=canvas))
    config.data.multi_crop.update(dict(num_local=0, local_size=16, local_scale=(0.08, 0.3), max_blur=0.0))
    config.dino.update(dict(hidden=256, bottleneck=64, teacher_momentum=0.99))
    # In minutes, SGD at the paper's rate learns too little.
    config.optimizer.update(dict(name="adamw", learning_rate=2e-3, weight_decay=0.01, warmup_epochs=2))
    return config
