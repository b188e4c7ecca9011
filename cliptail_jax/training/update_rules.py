"""The update rules of optimizers: each is a section of the config that builds its transformations of optax.

`update_rule(decay, adamw)` goes from clipped gradients to updates, before they are multiplied by the learning rate. `adamw`
is the rule of the parameters that a rule for matrices leaves out. Weight decay is on matrices only (not on gains, biases and
logit scale), except with SGD.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, NamedTuple

import jax
import optax
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from cliptail_jax.config.fields import Positive, Section, Share

LARS_TRUST = 1e-3
MUON_RMS = 0.2  # about that of AdamW's updates before the learning rate
PIXEL_CHANNELS = 3

# Tables of positions and of token types, and class tokens, in the input of a transformer.
POSITIONS = {"positional_embedding", "pos_embed", "cls_token", "position_embeddings", "token_type_embeddings"}
POOLING = "attnpool"  # of a modified ResNet, whose table of positions is not in the input

Schedule = Callable[[jax.Array], jax.Array]  # of the number of steps done


class Decay(NamedTuple):
    """Weight decay.

    Attributes:
        rate: the weight decay, or its schedule.
        positions: whether tables of positions count as matrices.
    """

    rate: float | Schedule
    positions: bool = True

    def of_matrices(self) -> optax.GradientTransformation:
        return optax.add_decayed_weights(self.rate, are_matrices if self.positions else are_no_positions)


@dataclass(frozen=True)
class Sgd(Section):
    """SGD. Its weight decay is part of the gradient (L2); with `nesterov`, its momentum is PyTorch's form of Nesterov's."""

    momentum: Annotated[float, "Momentum.", Share] = 0.9
    nesterov: Annotated[bool, "Whether the momentum is Nesterov's."] = False
    decay_vectors: Annotated[bool, "Whether biases and gains decay, too; with other optimizers they never do."] = True

    def update_rule(self, decay: Decay, adamw: "AdamW") -> list[optax.GradientTransformation]:
        weight_decay = optax.add_decayed_weights(decay.rate) if self.decay_vectors else decay.of_matrices()
        return [weight_decay, optax.trace(self.momentum, nesterov=self.nesterov)]


@dataclass(frozen=True)
class AdamW(Section):
    """AdamW. Its weight decay, like that of Lion and Muon, is decoupled from the gradient."""

    b1: Annotated[float, "Decay rate of the first moment.", Share] = 0.9
    b2: Annotated[float, "Decay rate of the second moment.", Share] = 0.999
    eps: Annotated[float, "Epsilon.", Positive] = 1e-8

    def update_rule(self, decay: Decay, adamw: "AdamW") -> list[optax.GradientTransformation]:
        return [optax.scale_by_adam(**asdict(self)), decay.of_matrices()]


@dataclass(frozen=True)
class Lars(Section):
    """LARS. Its trust ratio is |parameter| / |gradient with decay| / 1000, of matrices (You et al. 2017, arXiv 1708.03888)."""

    momentum: Annotated[float, "Momentum.", Share] = 0.9

    def update_rule(self, decay: Decay, adamw: "AdamW") -> list[optax.GradientTransformation]:
        trust = optax.masked(optax.scale_by_trust_ratio(trust_coefficient=LARS_TRUST), are_matrices)
        return [decay.of_matrices(), trust, optax.trace(self.momentum)]


@dataclass(frozen=True)
class Lion(Section):
    """Lion, the sign of momentum (Chen et al. 2023, arXiv 2302.06675)."""

    b1: Annotated[float, "Share of the momentum in the sum whose sign is the update.", Share] = 0.9
    b2: Annotated[float, "Decay rate of the momentum.", Share] = 0.99

    def update_rule(self, decay: Decay, adamw: "AdamW") -> list[optax.GradientTransformation]:
        return [optax.scale_by_lion(**asdict(self)), decay.of_matrices()]


@dataclass(frozen=True)
class Muon(Section):
    """Muon on hidden matrices, AdamW's rule on all other parameters (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    A hidden matrix is the kernel of a linear layer or convolution, [..., in, out], except for the convolution of the
    pixels. AdamW updates class embeddings, prototypes, tables of tokens and positions, bare projections of features,
    and vectors. A convolution's kernel counts as the matrix [height width in, out], and a fused projection to queries,
    keys and values as one.

    Muon's update is the matrix U Vᵀ of M = U S Vᵀ, roughly, by five Newton-Schulz iterations (optax has their formula), where
    M is Nesterov's momentum with bias correction, which Jordan's code does not have. Multiplied by
    0.2 √max(height width in, out), its root mean square is that of AdamW's updates, so that one learning rate suits both
    (Liu et al. 2025, arXiv 2502.16982, section 2.2).
    """

    momentum: Annotated[float, "Decay rate of the momentum.", Share] = 0.95

    def update_rule(self, decay: Decay, adamw: "AdamW") -> list[optax.GradientTransformation]:
        muon = scale_by_muon(beta=self.momentum, weight_dimension_numbers=_muon_dimensions)
        rules = {
            "muon": optax.chain(muon, optax.stateless(lambda updates, _: jax.tree.map(_match_adam, updates))),
            "adam": optax.scale_by_adam(**asdict(adamw)),
        }
        partition = optax.partition(rules, lambda params: jax.tree_util.tree_map_with_path(_rule_of, params))
        return [partition, decay.of_matrices()]


def are_matrices(params):
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def are_no_positions(params):
    """The matrices that are no tables of positions."""

    def is_decayed(path: tuple, x: jax.Array) -> bool:
        names = path_names(path)
        return x.ndim >= 2 and (POOLING in names or not POSITIONS.intersection(names))

    return jax.tree_util.tree_map_with_path(is_decayed, params)


def path_names(path: tuple) -> list[str]:
    """The names in the path of a parameter in the tree of all, such as ['visual', 'conv1', 'kernel']."""
    return [str(key.key) for key in path if hasattr(key, "key")]


def _rule_of(path: tuple, x: jax.Array) -> str:
    """Whether Muon or AdamW updates a parameter."""
    return "muon" if path_names(path)[-1] == "kernel" and x.shape[-2] != PIXEL_CHANNELS else "adam"


def _muon_dimensions(matrices):
    return jax.tree.map(lambda x: MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1), matrices)


def _match_adam(update: jax.Array) -> jax.Array:
    *inputs, outputs = update.shape
    return MUON_RMS * math.sqrt(max(math.prod(inputs), outputs)) * update
