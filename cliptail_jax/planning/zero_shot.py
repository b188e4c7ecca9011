"""The memory that zero-shot evaluation of a published model needs."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import image_size
from cliptail_jax.parallel.sharding import make_mesh, replicated
from cliptail_jax.planning.compiling import bytes_of_device, laid_out, trace_evaluation
from cliptail_jax.planning.program import compiled_program
from cliptail_jax.planning.topologies import Topology


def zero_shot_memory(
    description: Mapping[str, Any], topology: Topology, versions: Mapping[str, str], *, batch_size: int, classes: int
) -> int:
    """Bytes per chip of the parameters of both towers and of the compiled step from images to counts, in bfloat16.

    Arguments are as for `models.build.build_model` and `compiling.plan_evaluation`. Raises UserError if the model is not
    supported, or the compiler refuses the step.
    """
    mesh = make_mesh(ConfigDict({"data": -1, "fsdp": 1}), topology.devices())
    model = abstract_model(description, dtype=jnp.bfloat16)
    state_of = lambda model: jax.tree.map(lambda x: laid_out(x, replicated(mesh)), nnx.state(model))  # noqa: E731
    whole = bytes_of_device(state_of(model))
    del model.text  # which images do not need
    graphdef, state = nnx.graphdef(model), state_of(model)
    config = description["model_cfg"]
    side, head = image_size(config["vision_cfg"]), {"embeddings": (classes, config["embed_dim"]), "logit_scale": ()}
    traced = trace_evaluation(mesh, graphdef, (state,), Preprocess(side), head, batch_size=batch_size, side=side)
    needs = compiled_program(traced.lower(), topology.name, topology.compiler_options, versions)
    return needs.peak + whole - bytes_of_device(state)
