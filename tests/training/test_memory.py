"""What a forward pass keeps for the backward pass."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.training.initialization import first_state
from tests.synthetic import CLASSES, synthetic_objective


@pytest.mark.parametrize("tower", ["basic_resnet", "modified_resnet"])
def test_bfloat16_activations_of_convolutions_are_never_kept_as_float32(tower, sup_config):
    sup_config.model.dtype, sup_config.model.image.name = "bfloat16", tower
    if tower == "modified_resnet":
        sup_config.model.image.update({"layers": (1, 1, 1, 1), "heads": 4})
    objective = synthetic_objective(sup_config)
    graphdef, shapes, _ = first_state(objective, optax.identity())

    def kept(params, frozen, batch_stats, batch):
        def encode(params):
            model = nnx.merge(graphdef, params, frozen, batch_stats, copy=True)
            return objective.encode(model, batch, jax.random.key(0))

        return jax.vjp(encode, params)[1]  # whose leaves are the residuals

    batch = random_batch(objective, sup_config.batch_size, CLASSES)
    residuals = jax.tree.leaves(jax.eval_shape(kept, shapes.trainable, shapes.frozen, shapes.batch_stats, batch))
    activations = [x for x in residuals if x.ndim == 4 and x.shape[0] == sup_config.batch_size]
    assert len(activations) > 10
    assert {x.dtype for x in activations} <= {jnp.dtype("bfloat16"), jnp.dtype(bool)}
