"""Sections that several configs have: devices, reading images, and evaluation."""

from dataclasses import dataclass
from typing import Annotated

from cliptail_jax.concepts.templates import TEMPLATE_SETS
from cliptail_jax.config.fields import Incidental, NonNegative, OneOf, Positive, Rule, Section, Share
from cliptail_jax.host.errors import UserError

Names = tuple[str, ...]
Templates = OneOf("", *TEMPLATE_SETS)
PromptSource = Rule(
    lambda value: value in ("", *TEMPLATE_SETS) or value.endswith((".txt", ".json")),
    f"must be one of {', '.join(TEMPLATE_SETS)}, a .txt file of templates, or a .json file of prompts by class",
)
Precision = OneOf("float32", "bfloat16")
PILLOW, FAST = "pillow", "fast"
SOFTMAX, SIGMOID = "softmax", "sigmoid"
# The fields of a tower that is initialized from published weights.
Freeze = Annotated[bool, "Whether the parameters that init fills are frozen."]
Partial = Annotated[bool, "Whether init may leave parameters to be randomly initialized and trained."]
AllOrPositive = Rule(lambda devices: devices == -1 or devices > 0, "must be -1 or positive")


@dataclass(frozen=True)
class MeshAxes(Section):
    data: Annotated[int, "Devices along the data axis; -1: all remaining ones.", AllOrPositive] = -1
    fsdp: Annotated[int, "Devices along the axis that parameters are sharded over.", Positive] = 1


@dataclass(frozen=True)
class Reading(Section):
    data_dir: Annotated[
        str, "Folder of the prepared data sets; '': $TFDS_DATA_DIR or ~/tensorflow_datasets.", Incidental
    ] = ""
    workers: Annotated[int, "Processes that load images; 0: threads of this process.", NonNegative, Incidental] = 0
    max_unreadable: Annotated[float, "Share of a split's images that may be unreadable.", Share, Incidental] = 0.001
    resize: Annotated[
        str,
        "How images are resized: 'pillow', or 'fast', five times as fast, which differs by a grey level in 0.4 % of values.",
        OneOf(PILLOW, FAST),
    ] = PILLOW
    scaled_decoding: Annotated[
        bool,
        "Whether JPEGs are decoded at 1/2, 1/4 or 1/8 of their size if crops need no more: faster, with other pixels.",
    ] = False


@dataclass(frozen=True)
class Evaluation(Section):
    sets: Annotated[
        Names,
        "Evaluation sets: short names of cliptail_jax.datasets.known_sources, NAME:SPLIT, or for retrieval NAME:SPLIT@FIELD.",
    ] = ()
    batch_size: Annotated[int, "Images per batch, over all devices and processes.", Positive] = 256
    class_names: Annotated[
        str,
        "Built-in class list or file with the sets' class names in prompts and captions, by label; '': the sets' own.",
    ] = ""
    templates: Annotated[
        str,
        "Prompt templates of zero-shot classifiers: a template set, a .txt file with one per line, or a .json file from class "
        "to prompts; '': each set's own.",
        PromptSource,
    ] = ""
    captions: Annotated[
        Names,
        "Text fields, joined, as captions of sets NAME:SPLIT without labels, which are evaluated by retrieval; (): "
        "those of data.captions.words, or the set's only one.",
    ] = ()
    logit_adjustment: Annotated[
        float,
        "τ of post-hoc logit adjustment: logits minus τ log π, where π is a class's share of the training images; 0: none.",
        NonNegative,
    ] = 0.0
    estimate_prior: Annotated[
        bool,
        "Whether the π of logit_adjustment is the mean predicted probability over the evaluation images, which are read twice.",
    ] = False
    confidence: Annotated[
        str,
        "Confidence in calibration: 'softmax', the largest probability over the classes, or 'sigmoid', the probability that "
        "image and predicted class match, of a model with a logit bias (SigLIP).",
        OneOf(SOFTMAX, SIGMOID),
    ] = SOFTMAX
    neural_collapse: Annotated[bool, "Whether to compute NC1 and NC2."] = False
    similarity: Annotated[
        bool, "Whether to compute the similarity of a class's images to each other and to the class embedding."
    ] = False
    save_features: Annotated[
        bool, "Whether to save image features, their labels and records, and class embeddings as .npy files."
    ] = False
    rank_by: Annotated[
        str, "Frequency table that ranks the classes for head, mid and tail; '': the frequency in training."
    ] = ""
    head_classes: Annotated[int, "Number of head classes; 0: a third.", NonNegative] = 0
    tail_classes: Annotated[int, "Number of tail classes; 0: a third.", NonNegative] = 0


def evaluation_pixels(reading: Reading) -> dict[str, bool]:
    """The arguments of `evaluation_batches` for decoding and resizing."""
    return {"fast": reading.resize != PILLOW, "scaled_decoding": reading.scaled_decoding}


def check_evaluation(evaluation: Evaluation) -> None:
    """Raise UserError if a prior is to be estimated without logit adjustment, or subtracted twice."""
    if evaluation.logit_adjustment and getattr(evaluation, "without_prior", False):
        raise UserError(
            "eval.without_prior and eval.logit_adjustment both subtract a log-prior from the logits: set one of them"
        )
    if evaluation.estimate_prior and not evaluation.logit_adjustment:
        raise UserError("only logit adjustment uses eval.estimate_prior: set eval.logit_adjustment, for example to 1")
