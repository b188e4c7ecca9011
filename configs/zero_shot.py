"""Zero-shot evaluation of a published CLIP:

    cliptail evaluate zero_shot:model=ViT-B-32/laion2b_s34b_b79k,sets=imagenet+imagenet_v2 \\
        --workdir=runs/vit --config.data.data_dir=DIR

    model=NAME       a name of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or a folder
    sets=A+B         short names of cliptail_jax.datasets.known_sources, or NAME:SPLIT
    template=NAME    a template set (default: CLIP's own for each set)

Correlations with class frequency in each model's training data need the paper's published tables:

    ... --config.eval.class_frequency=published --config.eval.frequency_dir=clip-beyond-tail/metadata/freqs

Further measures:

    ... --config.eval.confidence=sigmoid                                calibration of a SigLIP by the probabilities that its loss trains
    ... --config.eval.logit_adjustment=1 [--config.eval.estimate_prior] logits minus the log of class frequency
    ... --config.eval.similarity --config.eval.neural_collapse --config.eval.save_features
"""

from cliptail_jax.config.zero_shot import base_config
from cliptail_jax.experiments import arguments

ARGUMENTS = {"model": "RN50-quickgelu/cc12m", "sets": "imagenet", "template": ""}


def get_config(arg: str = ""):
    values = ARGUMENTS | arguments.read_only(arg, *ARGUMENTS)
    config = base_config()
    config.eval.models = (values["model"],)
    config.eval.sets = tuple(values["sets"].split("+"))
    config.eval.templates = values["template"]
    return config
