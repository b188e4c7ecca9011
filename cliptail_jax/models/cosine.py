"""Cosine similarity with a learned logit scale, as in CLIP and the paper's classifier."""

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
MAX_LOGIT_SCALE = math.log(100)


def normalize(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """`x` divided by its Euclidean norm, in float32; a zero vector stays zero and has a finite gradient."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


def cosines(rows: Float[Array, "rows dim"], columns: Float[Array, "columns dim"]) -> Float[Array, "rows columns"]:
    """Cosines of features of unit length, in float32 on every device."""
    # An accelerator's default precision would cause errors of some tenths in logits of up to 100.
    return jnp.matmul(rows, columns.T, precision=jax.lax.Precision.HIGHEST)


def cosine_logits(
    features: Float[Array, "batch dim"], class_embeddings: Float[Array, "classes dim"], logit_scale: Float[Array, ""]
) -> Float[Array, "batch classes"]:
    """exp(s) · cos(feature, class embedding), in float32 on every device (Radford et al. 2021, arXiv 2103.00020)."""
    scale = jnp.exp(logit_scale.astype(jnp.float32))
    return scale * cosines(normalize(features), normalize(class_embeddings))


def limit_logit_scale(params: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The trained parameters of a model, with `logit_scale`, if trained, clipped to [0, ln 100] as in CLIP."""
    if "logit_scale" in params:
        params["logit_scale"][...] = jnp.clip(params["logit_scale"][...], 0, MAX_LOGIT_SCALE)
    return params


def logit_scale_metric(params: Mapping[str, Any]) -> dict[str, Array]:
    """The factor exp(s) of a trained logit scale, to be logged."""
    return {"train/logit_scale": jnp.exp(params["logit_scale"][...])} if "logit_scale" in params else {}
