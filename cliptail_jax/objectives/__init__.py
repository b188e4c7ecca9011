"""Training objectives: one module for each, with all that is specific to it. No other package knows one by its name.

An objective knows the model that it trains, its loss, and the arrays that its batches contain; it must not know of the
training loop, of evaluation, or of the other objectives.
"""

from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.objectives.contrastive import Contrastive
from cliptail_jax.objectives.dino import Dino
from cliptail_jax.objectives.supervised import Supervised
from cliptail_jax.training.objective import Objective

__all__ = ["OBJECTIVES", "Objective", "make_objective"]

# By the name that `config.objective` has.
OBJECTIVES: dict[str, type[Objective]] = {"supervised": Supervised, "contrastive": Contrastive, "dino": Dino}


def make_objective(config: ConfigDict, variant: Variant) -> Objective:
    """The objective of a run of the config on the variant."""
    return OBJECTIVES[config.objective](config, variant)
