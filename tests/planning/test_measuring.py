"""Steps that are timed on the devices of the machine, and how a plan shows them."""

import dataclasses

import jax
import pytest

from cliptail_jax import plan
from cliptail_jax.errors import UserError
from cliptail_jax.planning.measuring import Measured, measure_step
from cliptail_jax.planning.report import as_json, table
from cliptail_jax.planning.synthetic import synthetic_variant
from tests.planning.test_advice import config_of, plan_of

H100 = Measured("1 × NVIDIA H100", batch_size=1024, seconds=0.04, peak=9 * 10**9)


def test_steps_are_timed_without_a_data_set(sup_config):
    measured = measure_step(sup_config, synthetic_variant(160, 12))
    assert measured.seconds > 0 and measured.batch_size == 16
    assert measured.devices == f"{jax.device_count()} × cpu"


def test_a_table_has_the_measurement_below_the_bound():
    found = table(plan_of(config_of(1024)), measured=H100)
    assert "| **measured** on 1 × NVIDIA H100 | 40 ms, 25,600 images/s, peak 9 GB |" in found
    assert (
        "peak"
        not in table(plan_of(config_of(1024)), measured=dataclasses.replace(H100, peak=None)).split("measured")[1]
    )
    assert "measured" not in table(plan_of(config_of(1024)))
    assert as_json(plan_of(config_of(1024)), {}, H100)["measured"]["seconds"] == 0.04


def test_without_an_accelerator_a_line_says_so(sup_config):
    with pytest.raises(UserError, match="this machine has no accelerator"):
        plan.measure(sup_config, synthetic_variant(160, 12))
