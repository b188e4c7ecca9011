"""What plans advise and search for, on synthetic plans; sizes and towers that are known without files."""

import dataclasses
import functools

import numpy as np
import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import make_objective
from cliptail_jax.planning.compiling import MEMORY_FIELDS, Plan
from cliptail_jax.planning.hints import hints
from cliptail_jax.planning.program import Program
from cliptail_jax.planning.search import cheapest_fit, largest_batch
from cliptail_jax.planning.synthetic import known_size, random_batch, synthetic_variant
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.pretrained import hub
from cliptail_jax.report.plans import as_json, table, traffic_table
from configs import clip, sup
from tests.pages import rows_by_name, table_rows
from tests.synthetic import sections

GB = 10**9


def plan_of(changes, example=10 * 10**6, state=1 * GB, has_batch_norm=True):
    """A plan of a run on four chips whose examples take `example` bytes each, a third with remat, in parts with accumulation."""
    config = sup.get_config("data=imagenet2012")
    config.update_from_flattened_dict(changes)
    topology, values = find_topology("v5e-4"), dict(flatten(config))
    example_bytes = example / (3 if config.model.remat == "blocks" else 1) / config.accumulate_steps
    peak = state + example_bytes * config.batch_size / topology.chips
    return Plan(
        topology=topology,
        fields={key: values[key] for key in MEMORY_FIELDS},
        total_steps=10,
        batch_size=config.batch_size,
        has_batch_norm=has_batch_norm,
        parameters=state // 3,
        optimizer=state * 2 // 3,
        flops=1e12,
        program=Program(int(peak), hbm=10**9),
    )


def starting_from(fields, plan=plan_of):
    """The function from further changes to the plan."""
    return lambda changes: plan({**fields, **changes})


def batch(size, **fields):
    return {"batch_size": size} | {key.replace("__", "."): value for key, value in fields.items()}


def test_a_run_with_room_gets_hints_at_larger_batches_and_fewer_chips():
    assert hints(plan_of(batch(1024))) == [  # 1 + 2.56 of 17.2 GB
        "batch_size=4,096 (1,024 a chip) would still fit",
        "fewer chips would do: memory allows 1",
    ]
    assert plan_of(batch(4096)).fits and not plan_of(batch(8192)).fits
    plan = plan_of(batch(1024, model__remat="blocks", accumulate_steps=4))
    assert {"model.remat='none' saves operations", "accumulate_steps=2 saves time"} <= set(hints(plan))


def test_a_run_without_room_gets_hints_at_what_makes_it_fit():
    changes = batch(8192, batch_norm__group_size=0)  # 1 + 20.5 of 17.2 GB
    lines = hints(plan_of(changes))
    assert any("model.remat='blocks'" in line for line in lines)
    assert any("accumulate_steps=2 with batch_norm.group_size=1024" in line for line in lines)
    assert "8 chips instead of 4" in lines
    assert plan_of(batch(8192, accumulate_steps=2)).fits
    assert any("optimizer.shard=True leaves a chip 2 GB" in line for line in hints(plan_of(changes, state=12 * GB)))


def test_a_full_chip_gets_no_hint_that_would_not_fit():
    lines = hints(plan_of(batch(5 * 1024)))
    assert not any("would still fit" in line or "fewer" in line for line in lines)


def test_the_largest_batch_is_found_from_below_and_from_above():
    assert largest_batch(starting_from(batch(1024))).batch_size == 4096
    assert largest_batch(starting_from(batch(2**16))).batch_size == 4096
    assert largest_batch(starting_from(batch(1024), functools.partial(plan_of, state=20 * GB))) is None


def test_the_cheapest_way_to_fit_keeps_what_is_computed():
    vit = functools.partial(plan_of, has_batch_norm=False)
    for fields, plan, ending in (
        (batch(1024), plan_of, "accumulate_steps=1, model.remat='none'"),
        (batch(8192), plan_of, "accumulate_steps=1, model.remat='blocks'"),
        (batch(32768, batch_norm__group_size=256), plan_of, "accumulate_steps=2, model.remat='blocks'"),
        (batch(32768, batch_norm__group_size=0), vit, "accumulate_steps=2, model.remat='blocks'"),
    ):
        assert cheapest_fit(starting_from(fields, plan)).endswith(ending)
    # Needs a sixth of its memory: parts, whose batch statistics would be others.
    assert cheapest_fit(starting_from(batch(32768, batch_norm__group_size=0))) is None


def test_a_table_has_hours_and_costs_unless_its_operations_take_longer_to_start():
    plan = dataclasses.replace(plan_of({}), flops=1e9, program=Program(GB, hbm=GB // 10))
    large, small = table(plan_of({}), price=3), table(plan)
    for text in ("images/s, MFU", "chip-hours", "cost at $3.00", "cores that read"):
        assert text in large and text not in small
    rows = rows_by_name(small, "v5e-4")
    assert list(rows["bound"].values()) == ["bound", "0.122 ms, by HBM"] and "note" in rows


def test_only_a_gpu_has_its_traffic_counted_with_and_without_a_cache():
    program = Program(GB, hbm=4 * GB, hbm_uncached=9 * GB, largest=(("fusion f32[8]", "dot", 2 * GB, 5 * GB),))
    tpu = dataclasses.replace(plan_of({}), program=program)
    gpu = dataclasses.replace(tpu, topology=find_topology("h100x8"))
    line = as_json(gpu, {}, None, traffic=True)
    assert (line["hbm_bytes"], line["hbm_bytes_uncached"]) == (4 * GB, 9 * GB)
    assert line["step_seconds"]["memory"] == 4 * GB / 3350e9  # the bound
    assert "9 GB a chip" in rows_by_name(table(gpu), "h100x8")["without the cache of 52.4 MB"].values()
    (largest,) = table_rows(traffic_table(gpu), "a step's HBM traffic by operation and result")
    assert list(largest.values()) == ["fusion f32[8]", "dot", "2 GB", "5 GB"]
    assert "hbm_bytes_uncached" not in as_json(tpu, {}, None)
    assert "cache" not in table(tpu) + traffic_table(tpu)


@pytest.mark.parametrize(
    "arguments, size",
    [
        ("data=imagenet_captions", (448896, 1000)),
        ("data=imagenet2012,fraction=1/4", (1281167 // 4, 1000)),
        ("data=laionet", None),
        ("data=imagenet2012,classes=imagenet100", None),
    ],
)
def test_sizes_of_the_studys_sets_are_known_unless_only_the_set_tells(arguments, size):
    assert known_size(sections(sup.get_config(arguments)).data) == size


def test_published_towers_that_are_not_there_have_their_published_shapes(monkeypatch):
    def fetch(name, *_):
        raise UserError(f"{name} is not there")

    monkeypatch.setattr(hub, "fetch", fetch)
    make = lambda config: make_objective(sections(config), synthetic_variant(4096, 1000), shapes_only=True)  # noqa: E731
    frozen = make(clip.get_config("data=imagenet_captions,text=frozen"))
    assert random_batch(frozen, 2, 1000)["text"].shape == (2, 512)  # the pooled outputs of OpenAI's RN50
    assert frozen.towers.text.quick_gelu and not frozen.towers.text.missing_parameters
    dropping = make(clip.get_config("data=imagenet_captions,text=roberta"))
    assert random_batch(dropping, 2, 1000)["text"].shape == (2, 77)  # dropout differs from step to step
    assert {path[1] for path in dropping.towers.text.missing_parameters} == {"proj"}
    config = clip.get_config("data=imagenet_captions,text=frozen")
    config.text.init = "hf-hub:laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"
    assert random_batch(make(config), 2, 1000)["text"].shape == (2, 768)  # of RoBERTa
    head = make(sup.get_config("data=imagenet_captions,head=clip")).head
    assert head.shape == (1000, 1024) and head.dtype == np.float32
    config.text.init = "hf-hub:nobody/nothing"
    with pytest.raises(UserError, match="text.init"):
        make(config)
