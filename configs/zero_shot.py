"""Zero-shot evaluation of a published CLIP:

    python -m cliptail_jax.evaluate --config=configs/zero_shot.py:model=ViT-B-32/laion2b_s34b_b79k,sets=imagenet+imagenet_v2 \\
        --workdir=runs/vit --config.data.data_dir=DIR

`model=` is a name of `cliptail_jax.pretrained.published`, hf-hub:OWNER/NAME or a folder; `sets=` short names of
`cliptail_jax.datasets.known_sources` or NAME:SPLIT; `template=` a template set in place of CLIP's own for each set. Correlations
with class frequency, here with that of each model's training data in the study's published files:

    ... --config.eval.class_frequency=published --config.eval.frequency_dir=clip-beyond-tail/metadata/freqs

What is said of the classes, in place of templates, and what else there is:

    ... --config.eval.descriptors=FILE.json                             NAME, which has DESCRIPTOR
    ... --config.eval.waffle=15 --config.eval.waffle_kind=characters    random ones
    ... --config.eval.similarity --config.eval.neural_collapse --config.eval.save_features
"""

from cliptail_jax.config.zero_shot import base_config
from configs import common

ARGUMENTS = {"model": "RN50-quickgelu/cc12m", "sets": "imagenet", "template": ""}


def get_config(arg: str = ""):
    chosen = ARGUMENTS | common.read_only(arg, *ARGUMENTS)
    config = base_config()
    config.eval.models = (chosen["model"],)
    config.eval.sets = tuple(chosen["sets"].split("+"))
    config.eval.templates = chosen["template"]
    return config
