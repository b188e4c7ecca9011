"""Called in the kernel of a notebook, `shrink` makes its runs so small that they train in a test."""

from ml_collections import ConfigDict

from cliptail_jax.config import files
from cliptail_jax.experiments import studies
from cliptail_jax.results.group import RunGroup
from cliptail_jax.study import places
from cliptail_jax.transfer import methods
from tests.tiny_runs import VIT

TRAINED = ("supervised", "contrastive", "dino")


def shrink() -> None:
    """Configs have tiny networks, studies train one short run after the other, and linear probes are few."""
    load_config = files.load_config

    def load_small(string: str) -> ConfigDict:
        config = load_config(string)
        if "runs" in config:
            shrink_study(config)
        elif config.get("objective") in TRAINED:
            shrink_run(config)
        return config

    files.load_config = studies.load_config = load_small
    RunGroup.chance_note = lambda *_: ""  # such runs are at chance, of which nothing is forecast
    places.find_places = lambda: ()
    methods.WEIGHT_DECAYS = methods.WEIGHT_DECAYS[:3]


def shrink_run(config: ConfigDict) -> None:
    config.model.image.update(VIT)
    if config.objective == "supervised" and config.data.profile.name:
        config.data.profile.ratio = 4.0  # every class has an image
    if config.objective == "dino":
        config.data.multi_crop.update({"num_local": 0, "max_blur": 0.0})  # compiles faster
    if config.data.name == "icons":
        config.batch_size = 4


def shrink_study(study: ConfigDict) -> None:
    study.counterbalanced, study.seeds = False, 1
    for config in study.runs.values():
        shrink_run(config)
        config.total_steps, config.data.profile.ratio = 2, 4.0
