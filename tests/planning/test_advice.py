"""What plans advise and search for, on made-up plans; sizes and towers that are known without files."""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cliptail_jax.config.training import check_batch_norm
from cliptail_jax.errors import UserError
from cliptail_jax.parallel.sharding import check_accumulation
from cliptail_jax.planning.compiling import Plan, plan_step
from cliptail_jax.planning.hints import hints
from cliptail_jax.planning.placeholders import make_objective
from cliptail_jax.planning.search import changed, cheapest_fit, largest_batch
from cliptail_jax.planning.set_sizes import known_size
from cliptail_jax.planning.synthetic import random_batch, synthetic_variant
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.pretrained import hub
from configs import clip, sup

GB = 10**9


def plan_of(config, example=10 * 10**6, state=1 * GB, has_batch_norm=True):
    """A plan of a run on four chips whose examples take `example` bytes each, a third with remat, in parts with accumulation."""
    topology = find_topology("v5e-4")
    each = example / (3 if config.model.remat == "blocks" else 1) / config.accumulate_steps
    peak = state + each * config.batch_size / topology.chips
    return Plan(
        topology=topology,
        total_steps=10,
        batch_size=config.batch_size,
        has_batch_norm=has_batch_norm,
        parameters=state // 3,
        optimizer=state * 2 // 3,
        flops=1e12,
        peak=int(peak),
        available=None,
        hbm=10**9,
        collectives={},
        exchanged=(),
        largest=(),
    )


def config_of(batch_size, **fields):
    return changed(sup.get_config("data=imagenet2012"), batch_size=batch_size, **fields)


def test_a_run_with_room_is_told_of_larger_batches_and_fewer_chips():
    config = config_of(1024)  # 1 + 2.56 of 17.2 GB
    assert hints(plan_of(config), config) == [
        "batch_size=4,096 (1,024 a chip) would still fit",
        "fewer chips would do: memory allows 1",
    ]
    assert plan_of(config_of(4096)).fits and not plan_of(config_of(8192)).fits
    config = config_of(1024, **{"model.remat": "blocks", "accumulate_steps": 4})
    assert {"model.remat='none' saves operations", "accumulate_steps=2 saves time"} <= set(
        hints(plan_of(config), config)
    )


def test_a_run_without_room_is_told_what_makes_it_fit():
    config = config_of(8192, **{"batch_norm.group_size": 0})  # 1 + 20.5 of 17.2 GB
    found = hints(plan_of(config), config)
    assert any("model.remat='blocks'" in line for line in found)
    assert any("accumulate_steps=2 with batch_norm.group_size=1024" in line for line in found)
    assert "8 chips instead of 4" in found
    assert plan_of(config_of(8192, accumulate_steps=2)).fits
    large = plan_of(config, state=12 * GB)
    assert any("optimizer.shard=True leaves a chip 2 GB" in line for line in hints(large, config))


def test_a_full_chip_is_told_nothing_that_would_not_fit():
    config = config_of(5 * 1024)
    assert not any("would still fit" in line or "fewer" in line for line in hints(plan_of(config), config))


def test_the_largest_batch_is_found_from_below_and_from_above():
    assert largest_batch(config_of(1024), plan_of).batch_size == 4096
    assert largest_batch(config_of(2**16), plan_of).batch_size == 4096
    assert largest_batch(config_of(1024), lambda config: plan_of(config, state=20 * GB)) is None


def test_the_cheapest_way_to_fit_keeps_what_is_computed():
    assert cheapest_fit(config_of(1024), plan_of).endswith("accumulate_steps=1, model.remat='none'")
    assert cheapest_fit(config_of(8192), plan_of).endswith("accumulate_steps=1, model.remat='blocks'")
    # Needs a sixth of its memory: parts, whose batch statistics would be others.
    config = config_of(32768, **{"batch_norm.group_size": 0})
    assert cheapest_fit(config, plan_of) is None
    config = config_of(32768, **{"batch_norm.group_size": 256})
    assert cheapest_fit(config, plan_of).endswith("accumulate_steps=2, model.remat='blocks'")
    vit = functools.partial(plan_of, has_batch_norm=False)
    assert cheapest_fit(config_of(32768, **{"batch_norm.group_size": 0}), vit).endswith("2, model.remat='blocks'")


def checked_plan_of(config):
    """As `plan_of`, and it refuses what a plan does."""
    mesh = SimpleNamespace(size=4)
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    check_batch_norm(config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    return plan_of(config, example=80 * 10**9)  # not even one fits


def test_a_search_leaves_out_what_could_not_be_planned():
    for batch_size, group in ((64, 8), (32, 32), (8, 0)):
        config = config_of(batch_size, **{"batch_norm.group_size": group})
        assert largest_batch(config, checked_plan_of) is None
        assert cheapest_fit(config, checked_plan_of) is None
    config = config_of(64, accumulate_steps=8, **{"batch_norm.group_size": 2})
    assert largest_batch(config, checked_plan_of) is None


def test_a_plan_refuses_parts_of_a_batch_that_the_chips_cannot_share(sup_config):
    sup_config.update_from_flattened_dict({"accumulate_steps": 4, "batch_norm.group_size": 1})
    with pytest.raises(UserError, match="batch_size / accumulate_steps=4 is not divisible by the 8 devices"):
        plan_step(sup_config, synthetic_variant(160, 12), SimpleNamespace(devices=jax.devices), {})


@pytest.mark.parametrize(
    "arguments, size",
    [
        ("data=imagenet_captions", (448896, 1000)),
        ("data=imagenet2012,fraction=1/4", (1281167 // 4, 1000)),
        ("data=laionet,n=448896", (448896, 1000)),
        ("data=laionet", None),
        ("data=imagenet2012,classes=imagenet100", None),
        ("data=imagenet2012,match=frequency.tsv", None),
        ("data=cifar100_lt", None),
    ],
)
def test_sizes_of_the_studys_sets_are_known_unless_only_the_set_tells(arguments, size):
    assert known_size(sup.get_config(arguments).data) == size


@pytest.fixture
def no_files(monkeypatch):
    """Nothing is downloaded."""

    def fetch(name, *_):
        raise UserError(f"{name} is not there")

    monkeypatch.setattr(hub, "fetch", fetch)


def test_published_towers_that_are_not_there_have_their_published_shapes(no_files):
    variant = synthetic_variant(4096, 1000)
    frozen = make_objective(clip.get_config("data=imagenet_captions,text=frozen"), variant)
    assert random_batch(frozen, 2, 1000)["text"].shape == (2, 512)  # the pooled outputs of OpenAI's RN50
    assert frozen.towers.text.quick_gelu and not frozen.towers.text.missing
    dropping = make_objective(clip.get_config("data=imagenet_captions,text=roberta"), variant)
    assert random_batch(dropping, 2, 1000)["text"].shape == (2, 77)  # dropout differs from step to step
    assert {path[1] for path in dropping.towers.text.missing} == {"proj"}
    head = make_objective(sup.get_config("data=imagenet_captions,head=clip"), variant).head
    assert head.shape == (1000, 1024) and head.dtype == np.float32


def test_a_tower_of_unknown_shapes_is_an_error(no_files):
    config = clip.get_config("data=imagenet_captions,text=frozen")
    config.text.init = "hf-hub:nobody/nothing"
    with pytest.raises(UserError, match="text.init"):
        make_objective(config, synthetic_variant(4096, 1000))
