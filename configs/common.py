"""What the config files share: the data presets that `data=NAME` selects, and the recipe for small images."""

from collections.abc import Mapping

from ml_collections import ConfigDict

from cliptail_jax.configuration import base_config
from cliptail_jax.errors import UserError


def named_classes(source: str, words: tuple[str, ...]) -> dict:
    """The records of an image–text source whose words name ImageNet's classes."""
    return dict(name=source, captions=dict(words=words), class_match=dict(vocabulary="imagenet1k", unique=False))


LONG_TAILED = dict(name="exponential", ratio=100.0, exponent=1.0)

# Fields of config.data, and the sets to evaluate on.
PRESETS = {
    "glyphs": (dict(name="glyphs"), ("glyphs:test",)),
    "glyphs_lt": (dict(name="glyphs", profile=LONG_TAILED), ("glyphs:test",)),
    "cifar100": (dict(name="cifar100"), ("cifar100:test",)),
    "cifar100_lt": (dict(name="cifar100", profile=LONG_TAILED), ("cifar100:test",)),
    "imagenet_captions": (dict(name="imagenet_captions"), ("imagenet2012:validation",)),
    "laionet": (
        dict(name="laionet", captions=dict(words=("text",)), min_similarity=0.7, keep_all_classes=True),
        ("imagenet2012:validation",),
    ),
    "yfcc15m_cls": (named_classes("image_text/yfcc15m", ("title", "description")), ("imagenet2012:validation",)),
    "cc12m_cls": (named_classes("image_text/cc12m", ("caption",)), ("imagenet2012:validation",)),
    "imagenet2012": (dict(name="imagenet2012"), ("imagenet2012:validation",)),
}
SMALL = ("glyphs", "glyphs_lt", "cifar100", "cifar100_lt")


def start(arg: str, fields: Mapping[str, str] = {}, **defaults: int) -> tuple[ConfigDict, str]:
    """The base config with the data of `arg`, such as 'data=cifar100_lt', and the preset's name.

    The other arguments are whole numbers with `defaults`; each is the config field of its name, or that in `fields`. What a
    recipe scales with them follows them, as the learning rate does in 'data=laionet,batch_size=512'.
    """
    arguments = dict(item.partition("=")[::2] for item in arg.split(",") if item)
    preset = arguments.pop("data", "glyphs_lt")
    for name, given in arguments.items():
        if name not in defaults:
            known = ", ".join(f"{known}=NUMBER" for known in defaults)
            raise UserError(f"unknown config argument '{name}'; there are data=NAME, {known}")
        if not given.isdigit():
            raise UserError(f"the config argument {name} is '{given}'; it is a whole number")
    if preset not in PRESETS:
        raise UserError(f"unknown data preset '{preset}'; choose one of {', '.join(PRESETS)}")
    config = base_config()
    numbers = {name: int(arguments.get(name, default)) for name, default in defaults.items()}
    config.update_from_flattened_dict({fields.get(name, name): number for name, number in numbers.items()})
    data, sets = PRESETS[preset]
    config.data.update(data)
    config.eval.sets = sets
    return config, preset


def small_images(config: ConfigDict, preset: str) -> None:
    """32-pixel images, a ResNet of 0.1 M parameters, minutes on two CPU cores."""
    config.total_epochs = 30 if preset.endswith("_lt") else 10
    config.batch_size = 128
    config.data.update(dict(image_size=32, eval_resize=32, crop_scale=(1.0, 1.0), shift=4, cache=True))
    config.data.flip = preset.startswith("cifar")
    config.model.image.update(dict(name="basic_resnet", layers=(1, 1, 1), width=16, output_dim=128))
    config.model.text.update(dict(width=64, layers=1, heads=2, context_length=16, vocab_size=1024))
    config.batch_norm.group_size = 0
    config.eval.templates = "cname"
    config.eval.every_epochs = 5
