"""The tests check the annotations of the package (`tests/typechecking.py`)."""

import jaxtyping
import numpy as np
import pytest

from cliptail_jax.metrics.groups import group_means


def test_a_function_of_the_package_refuses_an_array_of_another_shape():
    with pytest.raises(jaxtyping.TypeCheckError, match="accuracy"):
        group_means(np.array([3, 2, 1]), np.array([0.5, 0.25]))
