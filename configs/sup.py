"""Supervised training (SL). On long-tailed CIFAR-100, it takes about five minutes on two CPU cores:

    cliptail train sup:data=cifar100_lt --workdir=runs/sup --config.data.data_dir=DIR

The arguments of cliptail_jax/experiments/training.py select the data. This file adds:

    head=clip                               a frozen head of class embeddings of OpenAI's RN50, instead of head=random; read
                                            from heads/rn50.npy or from --config.head.init
    vocabulary=50                           a sampled vocabulary, the paper's remedy for the bias towards frequent classes:
                                            the softmax covers the classes of the batch and others, up to this number
    sampling=uniform, linear, sqrt          how the probability of sampling a class depends on its frequency
    group=64                                the number of images that share a sampled vocabulary; by default a quarter of the
                                            batch, or for small images the whole batch

It also has textbook remedies, which the paper does not use:

    logit_adjustment=1                      cross-entropy of the logits plus this factor times log(class frequency); 1 is
                                            balanced softmax
    margin=0.3                              LDAM: the margin of the cosine similarity with an image's own class, for the
                                            rarest class; more frequent classes have smaller margins
    class_weights=0.9999                    weight classes by the inverse of their effective number of records, with this β
    reweight_from=20                        ... only after this number of epochs; with margin, LDAM-DRW

This command makes the head:

    cliptail make_head --model=hf-hub:timm/resnet50_clip.openai --classes=imagenet1k \\
        --template=a+cname --output=heads/rn50.npy

configs/README.md describes the paper's runs.
"""

from cliptail_jax.experiments import arguments, training
from cliptail_jax.host.errors import UserError

HEAD = {"random": {}, "clip": dict(init=training.CLIP_HEAD, freeze=True)}
REMEDIES = ("logit_adjustment", "margin", "class_weights")


def get_config(arg: str = ""):
    args = training.read(arg, "head", "vocabulary", "sampling", "group", *REMEDIES, "reweight_from")
    config, is_small = training.start(args)
    config.objective = "supervised"
    config.data.class_match.unmatched = "drop"  # pairs without a class, which CLIP trains on
    config.head.update(HEAD[arguments.choice(args, "head", tuple(HEAD))])
    config.vocabulary.size = arguments.number(args, "vocabulary", 0)
    if not config.vocabulary.size and (unused_names := args.keys() & {"sampling", "group"}):
        raise UserError(
            f"the config argument {min(unused_names)} is for a sampled vocabulary: give its size, as vocabulary=50"
        )
    config.vocabulary.sampling = arguments.choice(args, "sampling", ("uniform", "linear", "sqrt"))
    config.vocabulary.group_size = arguments.number(args, "group", 0)
    config.loss.update({name: arguments.real(args, name, 0.0) for name in REMEDIES})
    config.loss.reweight_from = arguments.number(args, "reweight_from", 0)
    if is_small:
        config.update(training.small_images(args, bool(config.data.profile.name)))
        config.optimizer.update({"learning_rate": 0.1, "warmup_steps": 100})
        return config
    # The paper's recipe: RN50, and batches of 256 on four GPUs, hence groups of a quarter. A batch that four does not divide is
    # one group.
    config.total_epochs = 90
    config.batch_size = arguments.number(args, "batch_size", 256)
    group = 0 if config.batch_size % 4 else config.batch_size // 4
    config.batch_norm.group_size = group
    config.vocabulary.group_size = arguments.number(args, "group", group)
    config.optimizer.learning_rate = 0.1 * config.batch_size / 256
    config.eval.neural_collapse = True
    return config
