"""Image towers of timm's families in training."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from seeded_weights import draw_images
from tiny_models import write_model

from cliptail_jax.models.remat import rematerialize
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.runs import open_run
from cliptail_jax.train import train

BATCH = 8  # with fewer examples, variances of batch norm are near 0 and magnify rounding
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def flat(tower, kind=nnx.Param):
    return {path: np.asarray(v[...]) for path, v in nnx.to_flat_state(nnx.state(tower, kind))}


@pytest.mark.parametrize("name", ["vitamin", "swin", "relpos"])
def test_every_parameter_has_a_gradient_also_with_activations_that_are_computed_again(name, tmp_path):
    pretrained = load(write_model(tmp_path / name, name))
    images = draw_images(BATCH, pretrained.preprocess.size)
    weights = np.random.default_rng(0).normal(size=(BATCH, pretrained.embed_dim))

    def loss(params, rest, graphdef):
        tower = nnx.merge(graphdef, params, rest, copy=True)
        return (weights * tower(images, train=True)).sum(), nnx.state(tower, nnx.BatchStat)

    kept, params, rest = nnx.split(pretrained.model.visual, nnx.Param, ...)
    rematerialize(pretrained.model.visual)
    again = nnx.split(pretrained.model.visual, nnx.Param, ...)[0]

    @partial(jax.jit, compiler_options=QUICK)
    def gradients(params, rest):
        return [jax.grad(partial(loss, graphdef=of), has_aux=True)(params, rest) for of in (kept, again)]

    results = gradients(params, rest)
    for path, value in nnx.to_flat_state(results[0][0]):
        # Of vit_relpos's last block, only the class token is used, which has no relative positions.
        unused = name == "relpos" and path[1:5] == ("blocks", 1, "attn", "rel_pos")
        assert (np.abs(value[...]).max() > 0) != unused, path
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(results[0]))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4 * scale), *results)


def test_a_tower_by_its_name_is_trained_from_scratch_and_exported(sup_config, tmp_path):
    sup_config.model.image.name = "ViTamin-tiny"
    sup_config.total_steps, sup_config.eval.sets = 2, ()
    train(sup_config, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    ours, exported = open_run(tmp_path / "run").model.visual, load(tmp_path / "out").model.visual
    jax.tree.map(np.testing.assert_array_equal, flat(ours), flat(exported))
