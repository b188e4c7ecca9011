"""The common parts of training configs: arguments, data presets, and the recipe for small images.

    data=NAME                        a preset of cliptail_jax/datasets/known_sources.py, or any data set that is prepared, such as
                                     image_folder/mine or image_text/mine: its texts are the captions, and it is evaluated on
                                     its split val, validation or test
    sets=A+B                         the sets to evaluate on instead: short names, or NAME:SPLIT
    data_dir=DIR                     where it is prepared; by default $TFDS_DATA_DIR or ~/tensorflow_datasets
    recipe=small, recipe=paper       a small network, which trains in minutes on a CPU, or the paper's; by default, small for
                                     images of up to 64 pixels, or a size of up to 64
    size=N                           the side of the images in pixels; by default 32, or that of the small images, or 224
    classes=LIST                     only the classes of a built-in class list or file, such as imagenet100
    threshold=S                      only records whose caption has this similarity to the class's definition (LAIONet)
    match=TSV                        the class frequency of another variant; laionet/retrieved fills up LAIONet
    n=N, fraction=1/4                a sample of the records
    tail_classes=K, tail_shots=M     the K rarest classes, which become the tail, with M records each, by default 0
    batch_size=B                     the batch size, with the fields that the recipe scales with it
    batch_classes=K                  batches of K classes each; a record is used at most once an epoch
    batch_composition=distinct       batches of as many different classes as possible; every record is used once

Each argument sets fields that configs/README.md lists.
"""

from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config.training import DISTINCT, SHUFFLED
from cliptail_jax.experiments.arguments import Arguments, choice, number, read_only, real
from cliptail_jax.experiments.own_data import MAX_SMALL_SIDE, find_preset
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import base_config

BATCH = ("batch_size", "batch_classes", "batch_composition")
ARGUMENTS = (
    "data",
    "data_dir",
    "sets",
    "recipe",
    "size",
    "classes",
    "threshold",
    "match",
    "n",
    "fraction",
    "tail_classes",
    "tail_shots",
    *BATCH,
)
SMALL, PAPER = "small", "paper"  # recipes
ALL_TEXT = "cname+title+tags+description"  # all that ImageNet-Captions has, behind the class name
CLIP_HEAD = "heads/rn50.npy"  # configs/sup.py explains how to make it
PROTOTYPES, SMALL_PROTOTYPES = 65536, 512  # DINO's
OWN_WARMUP_SHARE = 0.2  # a user's data set may be so small that all steps of a recipe would be warm-up


def read(arg: str, *names: str) -> Arguments:
    """The arguments in `arg`, such as 'data=laionet,fraction=1/4', which may be those above and `names`, the config file's own.

    `data` is always among them.
    """
    return {"data": "glyphs_lt"} | read_only(arg, *ARGUMENTS, *names)


def start(args: Arguments, retrieves: bool = False) -> tuple[ConfigDict, bool]:
    """The base config with the data of the arguments, and whether the recipe is the one for small images.

    `retrieves` is whether the run can be evaluated by retrieval, on sets without labels.
    """
    name, config = args["data"], base_config()
    config.data.data_dir = args.get("data_dir", "")
    preset = find_preset(name, config.data.data_dir, retrieves)
    size = number(args, "size", 0)
    default = SMALL if preset.small or 0 < size <= MAX_SMALL_SIDE else PAPER
    is_small = choice({"recipe": default} | args, "recipe", (SMALL, PAPER)) == SMALL
    config.eval.sets = preset.evaluation_sets
    if sets := args.get("sets"):
        config.eval.sets = tuple(sets.split("+"))
    config.data.update(preset.fields)
    if preset.records:
        config.optimizer.max_warmup_share = OWN_WARMUP_SHARE
    if "size" in args:
        config.data.update(dict(image_size=size, eval_resize=size))
    config.data.min_similarity = real(args, "threshold", config.data.min_similarity)
    config.data.n = number(args, "n", 0)
    config.data.fraction = real(args, "fraction", 1.0)
    config.data.batch_classes = number(args, "batch_classes", 0)
    config.data.batch_composition = choice(args, "batch_composition", (SHUFFLED, DISTINCT))
    if classes := args.get("classes"):
        config.data.classes.list = classes
    if classes == "imagenet100" and not sets:
        config.eval.sets = ("imagenet100",)
    if table := args.get("match"):
        config.data.match.update(dict(frequency=table, fill=preset.fill))
    if "tail_shots" in args and not number(args, "tail_classes", 0):
        raise UserError("the config argument tail_shots is for the tail_classes: give their number, too")
    if tail := number(args, "tail_classes", 0):
        config.data.tail.update(dict(classes=tail, shots=number(args, "tail_shots", 0)))
        config.eval.tail_classes = tail
        config.eval.sets = tuple(
            name for name in config.eval.sets if name != "imagenet100"
        )  # it has fewer tail classes
    return config, is_small


def small_images(args: Arguments, is_long_tailed: bool) -> dict[str, Any]:
    """The recipe for small images: 32 pixels and a ResNet of 0.1 M parameters, which train in minutes on two CPU cores."""
    batch_size, preset = number(args, "batch_size", 128), find_preset(args["data"], args.get("data_dir", ""))
    size = number(args, "size", preset.fields.get("image_size", preset.side))
    epochs = 30 if is_long_tailed else 10
    if preset.records:  # 1,000 steps
        epochs = min(max(1000 * batch_size // preset.records, 10), 50)
    return dict(
        total_epochs=epochs,
        batch_size=batch_size,
        data=dict(image_size=size, eval_resize=size, crop_scale=(1.0, 1.0), shift=4, cache=True),
        model=dict(
            image=dict(name="basic_resnet", layers=(1, 1, 1), width=16, output_dim=128),
            # Each word is a token, unless there are very many: else the tokenizer splits the words of rare class names.
            text=dict(width=64, layers=1, heads=2, context_length=16, vocab_size=32768),
        ),
        eval=dict(templates="cname", every_epochs=max(5, epochs // 6)),
    )
