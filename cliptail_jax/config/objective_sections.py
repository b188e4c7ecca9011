"""What the objectives add to a training config: a section each, and checks of whole configs with that objective."""

from dataclasses import dataclass
from typing import Annotated

from ml_collections import ConfigDict

from cliptail_jax.config.fields import Incidental, NonNegative, OneOf, Positive, Rule, Share
from cliptail_jax.errors import UserError


@dataclass(frozen=True)
class Head:
    """The classification head of a supervised run."""

    kind: Annotated[
        str, "Logits: cosine similarity, or linear with a bias, on raw features.", OneOf("cosine", "linear")
    ] = "cosine"
    init: Annotated[str, "File of the initial class embeddings, .npy [classes, dim]; '': random."] = ""
    freeze: Annotated[bool, "Whether the head stays as init gives it."] = False


def check_supervised(config: ConfigDict) -> None:
    if config.head.kind == "linear" and config.head.init:
        raise UserError("head.init has the class embeddings of a cosine head: set head.kind='cosine'")


@dataclass(frozen=True)
class Text:
    """The text tower of a contrastive run."""

    init: Annotated[str, "'random', or a published CLIP (its text tower), BERT or RoBERTa."] = "random"
    freeze: Annotated[bool, "Whether the parameters that init fills are frozen."] = False
    partial: Annotated[bool, "Whether init may leave parameters to be randomly initialized and trained."] = False
    dropout: Annotated[
        float,
        "Dropout of a BERT or RoBERTa during training, even if it is frozen; they were trained with 0.1.",
        Rule(lambda value: 0 <= value < 1, "must be 0 or more and below 1"),
    ] = 0.0
    cache: Annotated[
        bool,
        "Whether to embed each caption once instead of at every step, where a frozen tower's captions do not change.",
        Incidental,
    ] = True
    tokenizer: Annotated[
        str, "CLIP's merges file; '': train a tokenizer of model.text.vocab_size tokens on the variant's captions."
    ] = ""


def check_contrastive(config: ConfigDict) -> None:
    if config.vocabulary.size:
        raise UserError(
            "vocabulary.size samples the classes of a supervised run or the prototypes of DINO; with "
            "objective='contrastive' set it to 0"
        )


@dataclass(frozen=True)
class Dino:
    prototypes: Annotated[int, "Number of prototypes.", Positive] = 65536
    hidden: Annotated[int, "Width of the head's hidden layers.", Positive] = 2048
    bottleneck: Annotated[int, "Width of the head's output, which is compared with the prototypes.", Positive] = 256
    freeze_last_layer: Annotated[int, "Epochs at the start in which the prototypes are not trained.", NonNegative] = 0
    teacher_momentum: Annotated[float, "Momentum of the teacher at the start; it rises to 1 along a cosine.", Share] = (
        0.996
    )


def check_dino(config: ConfigDict) -> None:
    size, prototypes = config.vocabulary.size, config.dino.prototypes
    if size > prototypes:
        raise UserError(f"vocabulary.size={size} is larger than dino.prototypes={prototypes}: lower it, or 0 for all")
    for key, is_set, default in (
        ("vocabulary.sampling", config.vocabulary.sampling != "uniform", "'uniform'"),
        ("vocabulary.group_size", config.vocabulary.group_size, "0"),
        ("data.shift", config.data.shift, "0"),
    ):
        if is_set:
            raise UserError(f"{key} is not supported with objective='dino': set it to {default}")
    if config.accumulate_steps > 1:
        raise UserError("accumulate_steps is 1 with objective='dino': its targets are balanced over the whole batch")
    if config.optimizer.ema_decay:
        raise UserError("optimizer.ema_decay is 0 with objective='dino': the teacher is the moving average")
    if config.eval.sets:
        raise UserError(
            "eval.sets is empty with objective='dino', which learns no classes: measure it with cliptail_jax.transfer"
        )
