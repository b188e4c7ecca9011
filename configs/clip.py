"""CLIP, trained from scratch on the captions of a variant:

    cliptail train clip:data=cifar100_lt --workdir=runs/clip --config.data.data_dir=DIR

The arguments of cliptail_jax/experiments/training.py select the data. This file adds:

    captions=title+tags         append these text fields of the source to the class name
    captions=openai80           put the class name into a template, drawn for each record: cname, a+cname, photo, simple,
                                openai80; openai80+synset replaces the name by a lemma of the class's synset, and
                                openai80+title+tags appends text fields
    text=random                 train the text tower from scratch
    text=init                   start from the text tower of OpenAI's RN50
    text=frozen                 use that tower, frozen
    text=roberta                use RoBERTa, frozen, with dropout as in the paper

    loss=softmax                CLIP's loss: find the caption among those of the batch, and vice versa
    loss=sigmoid                SigLIP's loss: classify each pair alone, without a softmax over the batch
    loss=words                  no contrast and no text tower: classify images linearly into the words of their captions

By default captions are class names. In ImageNet-Captions, all texts of a record follow the name. LAIONet, YFCC15M-Cls,
CC12M-Cls and your own data with texts use raw captions instead. configs/README.md describes the paper's runs.
"""

from ml_collections import ConfigDict

from cliptail_jax.concepts.templates import TEMPLATE_SETS
from cliptail_jax.experiments import arguments, training
from cliptail_jax.experiments.own_data import find_preset

CLIP = "hf-hub:timm/resnet50_clip.openai"
TEXT = {
    "random": {},
    "init": dict(init=CLIP),
    "frozen": dict(init=CLIP, freeze=True),
    "roberta": dict(init="hf-hub:FacebookAI/roberta-base", freeze=True, dropout=0.1),
}
LOSS = {"softmax": "contrastive", "sigmoid": "sigmoid", "words": "bag_of_words"}  # by objective


def get_config(arg: str = ""):
    args = training.read(arg, "captions", "text", "loss")
    config, is_small = training.start(args, retrieves=args.get("loss") != "words")
    config.objective = LOSS[arguments.choice(args, "loss", tuple(LOSS))]
    config.data.captions.words = config.data.captions.words or find_preset(args["data"], config.data.data_dir).texts
    captions(config, args.get("captions", training.ALL_TEXT if args["data"] == "imagenet_captions" else ""))
    config.text.update(TEXT[arguments.choice(args, "text", tuple(TEXT))])
    config.data.drop_last = True
    config.optimizer.update(
        dict(name="adamw", learning_rate=1e-3, weight_decay=0.2, schedule="cosine_steps", warmup_steps=500)
    )
    if is_small:
        config.update(training.small_images(args, bool(config.data.profile.name)))
        config.optimizer.update({"learning_rate": 2e-3, "warmup_steps": 100})
        if config.data.captions.template:  # such a small text tower learns no other words
            config.eval.templates = config.data.captions.template
        else:
            config.model.text.context_length = 32
        if "description" in config.data.captions.words:
            config.model.text.context_length = 48
        return config
    # The paper's recipe: RN50, and batch norm over the whole batch of 1024.
    config.total_epochs = 32
    config.batch_size = arguments.number(args, "batch_size", 1024)
    config.data.eval_resize = config.data.image_size
    config.eval.neural_collapse = True
    return config


def captions(config: ConfigDict, value: str) -> None:
    """Set template, synset and text fields from a value of `captions=`; '' keeps raw captions if the source has them."""
    has_raw_captions = bool(config.data.captions.words)
    template = next((name for name in TEMPLATE_SETS if f"{value}+".startswith(f"{name}+")), "")
    words = [word for word in value.removeprefix(template).split("+") if word]
    config.data.captions.template = template or ("" if has_raw_captions else "cname")
    config.data.captions.synset = "synset" in words
    if value:
        config.data.captions.words = tuple(word for word in words if word != "synset")
