"""The controlled factors in which two runs differ: two runs that differ in several cannot show which one matters."""

import math
from collections.abc import Mapping
from typing import Any

from cliptail_jax.config.fields import fields_of
from cliptail_jax.objectives import FIELDS, OBJECTIVES, completed
from cliptail_jax.training.configuration import Training

OBJECTIVE = "objective"
SHARED_KEYS = {field.key for field in fields_of(Training())}  # other fields belong to an objective
# Fields of evaluation are incidental, except for these, on which measures depend.
EVALUATION = ("eval.templates", "eval.logit_adjustment", "eval.estimate_prior", "eval.without_prior")
# Whether the last, partial batch of an epoch is used changes little.
NO_FACTORS = ("seed", "data.seed", "data.drop_last")
KEYS = [field.key for field in FIELDS if not field.is_incidental or field.key in EVALUATION]
# The beginnings of the fields of each factor. Other fields are one factor with those of their section, such as data.profile.
FACTORS = {
    "captions": ("data.captions.", "model.text.context_length", "eval.templates"),
    "text tower": ("model.text.",),
    "image tower": ("model.image.", "model.activation", "image.", "freeze"),
    "images": ("data.image_size", "data.crop_scale", "data.flip", "data.shift", "data.resize", "data.canvas",
               "data.eval_resize", "data.multi_crop.", "data.scaled_decoding"),
    "scale": ("data.n", "data.fraction", "data.keep_all_classes"),
    "batch": ("data.batch_", "data.balanced_sampling"),
    "batch size": ("batch_size", "accumulate_steps", "batch_norm."),
    "length": ("total_epochs", "total_steps"),
    "adjustment after training": ("eval.logit_adjustment", "eval.estimate_prior", "eval.without_prior"),
    "optimizer": ("optimizer.",),
}  # fmt: skip
ROUNDING = 0.05  # of lengths to whole epochs or steps
NOISE = "noise"
NOISE_KEYS = ("data.labels.", "data.captions.distractor")
TEXT = ("captions", "text tower")


def factors_between(a: Mapping[str, Any], b: Mapping[str, Any], equal_records: bool = False) -> dict[str, list[str]]:
    """The controlled factors in which two training configs differ, with the fields of each.

    The objective, its own sections (of SL: `head`, `loss` and `vocabulary`) and the fields that only one of the two configs
    uses, such as those of captions, are one factor. So are the fields of each entry of `FACTORS`. Seeds, and fields that
    change no trained number, are no factors. A selection of the data may change the number of records or keep it by
    `data.n`: both are one factor.

    Args:
        a, b: the values by dotted key, from this or an earlier version. Missing ones have their defaults.
        equal_records: whether both are known to train on the same number of records.
    """
    configs = [completed(a), completed(b)]
    factors: dict[str, list[str]] = {OBJECTIVE: []}  # comes first
    for key in KEYS:
        if configs[0][key] != configs[1][key] and differs(key, *configs):
            factors.setdefault(factor_of(key, configs[0]["objective"] == configs[1]["objective"]), []).append(key)
    if noise_of(configs[0]) != noise_of(configs[1]):
        factors[NOISE] = [
            key for key in ("data.labels.noise", "data.captions.distractors") if any(config[key] for config in configs)
        ]
    irrelevant = set() if all(uses_prompts(config) for config in configs) else set(TEXT)
    if equal_records:
        irrelevant |= {"scale", "data.class_match"}
    if any(factor.startswith("data.") for factor in factors.keys() - irrelevant):
        irrelevant.add("scale")
    return {factor: keys for factor, keys in factors.items() if keys and factor not in irrelevant}


def factor_of(key: str, same_objective: bool) -> str:
    """The factor of a field. Balanced sampling is an alternative to the corrections of a loss, so it is one factor with them."""
    if key == OBJECTIVE or key not in SHARED_KEYS or key == "data.balanced_sampling" and same_objective:
        return OBJECTIVE
    parts = key.split(".")
    factor = next((factor for factor, beginnings in FACTORS.items() if key.startswith(beginnings)), "")
    return factor or ".".join(parts[:2])


def differs(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether a field, which has other values in the two configs, makes them differ."""
    if key in NO_FACTORS or key.startswith(NOISE_KEYS):
        return False
    if key == "total_epochs":  # if numbers of steps are equal, one config has a part of the data
        return not (a["total_steps"] and b["total_steps"] or equal(key, "data.fraction", a, b))
    if key in ("total_steps", "optimizer.warmup_steps"):  # no difference if both take as many images, in other batches
        return not equal(key, "batch_size", a, b)
    if key.startswith("data.class_match."):
        return bool(a["data.class_match.classes"] or b["data.class_match.classes"])
    parts = key.split(".")
    if parts[0] == "optimizer" and len(parts) == 3:
        return parts[1] in (a["optimizer.name"], b["optimizer.name"])
    return True


def equal(length: str, size: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two lengths times their sizes are equal, up to rounding; False if a damaged config has no numbers."""
    try:
        return math.isclose(a[length] * a[size], b[length] * b[size], rel_tol=ROUNDING)
    except TypeError:
        return False


def uses_prompts(config: Mapping[str, Any]) -> bool:
    """Whether a run has captions and is evaluated by prompts. A user's objective is not imported for this; its captions show it."""
    if config["objective"] in OBJECTIVES:
        return OBJECTIVES[config["objective"]].uses_prompts
    return bool(config["data.captions.template"] or config["data.captions.words"])


def trains_on_labels(config: Mapping[str, Any]) -> bool:
    """Whether the loss of a run takes labels. One of a user's counts as such if the run has no captions."""
    if config["objective"] in OBJECTIVES:
        return OBJECTIVES[config["objective"]].trains_on_labels
    return not uses_prompts(config)


def noise_of(config: Mapping[str, Any]) -> tuple[float, str]:
    """The share of images with a wrong class, and how it is drawn: in the label or the caption, whichever is trained on."""
    part, sampling = "captions.distractors", "captions.distractor"
    if trains_on_labels(config):
        part = sampling = "labels.noise"
    share = config[f"data.{part}"]
    return share, config[f"data.{sampling}_sampling"] if share else ""
