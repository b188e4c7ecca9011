"""Called in the kernel of a notebook, `shrink` makes its runs so small that they train in a test."""

from collections.abc import Callable

from ml_collections import ConfigDict

from cliptail_jax.study import places
from configs import clip, dino, sup
from configs.study import quickstart
from tests.tiny_runs import VIT


def shrink() -> None:
    """Configs have tiny networks, and studies train one short run after the other."""
    for family in (clip, dino, sup):
        family.get_config = with_change(family.get_config, shrink_run)
    quickstart.get_config = with_change(quickstart.get_config, shrink_study)
    places.find_places = lambda: ()


def with_change(get_config: Callable, change: Callable[[ConfigDict], None]) -> Callable[..., ConfigDict]:
    def get(arguments: str = "") -> ConfigDict:
        config = get_config(arguments)
        change(config)
        return config

    return get


def shrink_run(config: ConfigDict) -> None:
    config.model.image.update(VIT)
    if config.objective == "dino":
        config.data.multi_crop.num_local = 1
    if config.data.name == "icons":
        config.batch_size = 4


def shrink_study(study: ConfigDict) -> None:
    for config in study.runs.values():
        shrink_run(config)
        config.total_steps, config.data.profile.ratio = 2, 4.0
