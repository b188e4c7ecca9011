"""Steps that are timed on the devices of the machine, and how a plan shows them."""

import dataclasses

import jax
import pytest

from cliptail_jax import plan
from cliptail_jax.errors import UserError
from cliptail_jax.planning.measuring import Measured, measure_step
from cliptail_jax.planning.report import as_json, table
from tests.planning.test_advice import batch, plan_of
from tests.synthetic import synthetic_objective

H100 = Measured("1 × NVIDIA H100", batch_size=1024, seconds=0.04, peak=9 * 10**9)


def test_steps_are_timed_without_a_data_set(sup_config):
    measured = measure_step(synthetic_objective(sup_config))
    assert measured.seconds > 0 and measured.batch_size == 16
    assert measured.devices == f"{jax.device_count()} × cpu"


def test_a_table_has_the_measurement_below_the_bound():
    planned = plan_of(batch(1024))
    found = table(planned, measured=H100)
    assert "| **measured** on 1 × NVIDIA H100 | 40 ms, 25,600 images/s, peak 9 GB |" in found
    without_peak = dataclasses.replace(H100, peak=None)
    assert "peak" not in table(planned, measured=without_peak).split("measured")[1]
    assert "measured" not in table(planned)
    assert as_json(planned, {}, H100)["measured"]["seconds"] == 0.04


def test_without_an_accelerator_a_line_says_so():
    with pytest.raises(UserError, match="this machine has no accelerator"):
        plan.measure(lambda changes: None)
