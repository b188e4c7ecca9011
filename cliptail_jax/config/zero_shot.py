"""The config of `cliptail evaluate` for published models, which are evaluated without training."""

from dataclasses import dataclass
from typing import Annotated

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.fields import Rule, Section
from cliptail_jax.config.sections import Evaluation, MeshAxes, Names, Precision, Reading, check_evaluation
from cliptail_jax.host.errors import UserError

MODE = "zero_shot"  # the value of `objective` in such a config, and in the config.json of its directory


@dataclass(frozen=True)
class PublishedEvaluation(Evaluation):
    models: Annotated[
        Names, "Names of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or folders of weights."
    ] = ()
    class_frequency: Annotated[
        str,
        "Frequency tables or corpora to correlate with, separated by '+'; 'published': each model's own corpus; '': none.",
    ] = ""
    frequency_dir: Annotated[str, "Folder with the published frequency tables of the corpora."] = ""


@dataclass(frozen=True)
class Computation(Section):
    dtype: Annotated[str, "Type of the computation.", Precision] = "float32"


@dataclass(frozen=True)
class Tokenization(Section):
    tokenizer: Annotated[str, "CLIP's merges file, for models that come without a tokenizer."] = ""


@dataclass(frozen=True)
class ZeroShot(Section):
    objective: Annotated[
        str, "Marks a config that evaluates published models.", Rule(lambda mode: mode == MODE, f"must be '{MODE}'")
    ] = MODE
    eval: PublishedEvaluation = PublishedEvaluation()
    data: Reading = Reading()
    mesh: MeshAxes = MeshAxes()
    model: Computation = Computation()
    text: Tokenization = Tokenization()


def base_config() -> ConfigDict:
    """The config that `configs/zero_shot.py` starts from."""
    return fields.to_config(ZeroShot())


def typed_config(config: ConfigDict) -> ZeroShot:
    """The config as typed sections.

    Raises:
        UserError: The first key that is unknown, missing, or has an invalid value.
    """
    fields.check(config, ZeroShot())
    sections = fields.typed(ZeroShot(), config)
    if not sections.eval.models:
        raise UserError("eval.models is empty: name published models, such as \"('RN50-quickgelu/cc12m',)\"")
    if not sections.eval.sets:
        raise UserError("eval.sets is empty: name the sets to evaluate on, such as \"('imagenet',)\"")
    check_evaluation(sections.eval)
    return sections
