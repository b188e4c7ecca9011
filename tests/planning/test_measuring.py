"""Steps that are timed on the devices of the machine, and how a plan shows them."""

import jax
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.planning.measuring import measure_step
from cliptail_jax.planning.planner import measure
from tests.synthetic import synthetic_objective


def test_steps_are_timed_without_a_data_set(sup_config):
    measured = measure_step(synthetic_objective(sup_config))
    assert measured.seconds > 0 and measured.batch_size == 16
    assert measured.devices == f"{len(jax.devices())} × cpu"


def test_without_an_accelerator_a_line_says_so():
    with pytest.raises(UserError, match="this machine has no accelerator"):
        measure(lambda changes: None)
