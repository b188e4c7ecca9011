"""The memory that zero-shot evaluation of a published model needs."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.evaluation.counting import ClassHead, count_shapes, make_evaluate_batch
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import image_size
from cliptail_jax.parallel.sharding import make_mesh, replicated
from cliptail_jax.planning.compiling import bytes_of_device, on_all_chips
from cliptail_jax.planning.program import program
from cliptail_jax.planning.topologies import Topology


def zero_shot_memory(
    description: Mapping[str, Any], topology: Topology, versions: Mapping[str, str], *, batch_size: int, classes: int
) -> int:
    """Bytes of a chip: the parameters of both towers, and what else the compiled step from images to counts needs.

    The step computes in bfloat16. Arguments as for `models.build.build_model` and `compiling.plan_evaluation`. Raises
    UserError if the model is not supported, or the compiler refuses the step.
    """
    mesh = make_mesh(ConfigDict({"data": -1, "fsdp": 1}), topology.devices())
    on_each = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=replicated(mesh))  # noqa: E731
    model = abstract_model(description, dtype=jnp.bfloat16)
    laid_out = lambda model: jax.tree.map(lambda x: on_each(x.shape, x.dtype), nnx.state(model))  # noqa: E731
    whole = bytes_of_device(laid_out(model))
    del model.text  # which images do not need
    graphdef, state = nnx.graphdef(model), laid_out(model)
    config = description["model_cfg"]
    side, dim = image_size(config["vision_cfg"]), config["embed_dim"]
    batch = {"images": ((side, side, 3), np.uint8), "labels": ((), np.int32), "mask": ((), bool)}
    traced = make_evaluate_batch(graphdef, mesh, Preprocess(side)).trace(
        (state,),
        ClassHead(on_each((classes, dim), np.float32), logit_scale=on_each((), np.float32)),
        {name: on_each(shape, np.int32) for name, shape in count_shapes(classes).items()},
        {name: on_all_chips(mesh, (batch_size, *shape), of) for name, (shape, of) in batch.items()},
    )
    found = program(traced.lower(), topology.name, topology.compiler_options, versions)
    return found.peak + whole - bytes_of_device(state)
