"""The controlled factors in which two runs differ: two runs that differ in several cannot show which one matters."""

import math
from collections.abc import Mapping
from typing import Any

from cliptail_jax.config.fields import fields_of
from cliptail_jax.objectives import FIELDS, OBJECTIVES, completed
from cliptail_jax.training.configuration import Training

OBJECTIVE = "objective"
SHARED = {field.key for field in fields_of(Training())}  # the others are of an objective
# Fields of evaluation on which a measure depends are no incidental ones here.
EVALUATION = ("eval.templates", "eval.logit_adjustment", "eval.estimate_prior")
# Whether the last, partial batch of an epoch is used changes little.
NO_FACTORS = ("seed", "data.seed", "data.drop_last")
COMPARED = [field.key for field in FIELDS if not field.is_incidental or field.key in EVALUATION]
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
    "adjustment after training": ("eval.logit_adjustment", "eval.estimate_prior"),
    "optimizer": ("optimizer.",),
}  # fmt: skip
ROUNDING = 0.05  # of lengths to whole epochs or steps
NOISE = "noise"
OF_NOISE = ("data.labels.", "data.captions.distractor")
TEXT = ("captions", "text tower")


def factors_between(
    one: Mapping[str, Any], other: Mapping[str, Any], as_many_records: bool = False
) -> dict[str, list[str]]:
    """The controlled factors in which two training configs differ, with the fields of each.

    The objective is one factor with its own sections (of SL: `head`, `loss` and `vocabulary`) and with what only one of the two
    uses, such as captions. So are the optimizer with its learning rate and schedule, and those of `FACTORS`. Seeds, and
    fields that change no trained number, are none. A selection of the data may change the number of records or keep it by
    `data.n`: both are one factor.

    Args:
        one: the values by dotted key, from this or an earlier version. Missing ones have their defaults.
        other: as `one`.
        as_many_records: whether both are known to train on the same number of records.
    """
    both = [completed(one), completed(other)]
    found: dict[str, list[str]] = {OBJECTIVE: []}  # which comes first
    for key in COMPARED:
        if both[0][key] != both[1][key] and differs(key, *both):
            found.setdefault(factor_of(key, both[0]["objective"] == both[1]["objective"]), []).append(key)
    if noise_of(both[0]) != noise_of(both[1]):
        found[NOISE] = [
            key for key in ("data.labels.noise", "data.captions.distractors") if any(of[key] for of in both)
        ]
    left_out = set() if all(OBJECTIVES[of["objective"]].uses_prompts for of in both) else set(TEXT)
    if as_many_records:
        left_out |= {"scale", "data.class_match"}
    if any(factor.startswith("data.") for factor in found.keys() - left_out):
        left_out.add("scale")
    return {factor: keys for factor, keys in found.items() if keys and factor not in left_out}


def factor_of(key: str, same_objective: bool) -> str:
    """The factor of a field. Balanced sampling is an alternative to the corrections of a loss, so it is one factor with them."""
    if key == OBJECTIVE or key not in SHARED or key == "data.balanced_sampling" and same_objective:
        return OBJECTIVE
    parts = key.split(".")
    own = next((factor for factor, beginnings in FACTORS.items() if key.startswith(beginnings)), "")
    return own or ".".join(parts[:2])


def differs(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether a field, which has other values in the two configs, makes them differ."""
    if key in NO_FACTORS or key.startswith(OF_NOISE):
        return False
    if key == "total_epochs":  # of a part of the data, as many steps
        return not (a["total_steps"] and b["total_steps"] or equal(key, "data.fraction", a, b))
    if key in ("total_steps", "optimizer.warmup_steps"):  # with other batches, as many images
        return not equal(key, "batch_size", a, b)
    if key.startswith("data.class_match."):
        return bool(a["data.class_match.classes"] or b["data.class_match.classes"])
    parts = key.split(".")
    if parts[0] == "optimizer" and len(parts) == 3:
        return parts[1] in (a["optimizer.name"], b["optimizer.name"])
    return True


def equal(length: str, size: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two lengths times their sizes are equal, up to rounding. They are not if a damaged config has no numbers."""
    try:
        return math.isclose(a[length] * a[size], b[length] * b[size], rel_tol=ROUNDING)
    except TypeError:
        return False


def noise_of(config: Mapping[str, Any]) -> tuple[float, str]:
    """The share of images with a wrong class, and how it is drawn: in the label or the caption, whichever is trained on."""
    of_labels = OBJECTIVES[config["objective"]].trains_on_labels
    part, sampling = ("labels.noise", "labels.noise") if of_labels else ("captions.distractors", "captions.distractor")
    share = config[f"data.{part}"]
    return share, config[f"data.{sampling}_sampling"] if share else ""
