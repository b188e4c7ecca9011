"""Gradient checkpointing of blocks (Chen et al. 2016, arXiv 1604.06174)."""

from flax import nnx
from jax import Array


class RematBlock(nnx.Module):
    """A block of a tower. With `remat`, the backward pass recomputes its activations from its input."""

    remat = False

    def __call__(self, *inputs: Array, **options) -> Array:
        """The result of the subclass's `forward`; `options` are not differentiated."""

        def forward(block: RematBlock, *inputs: Array) -> Array:
            return block.forward(*inputs, **options)

        return (nnx.remat(forward) if self.remat else forward)(self, *inputs)


def rematerialize(model: nnx.Module) -> None:
    """Set `remat` in all blocks of a model."""
    for _, module in nnx.iter_modules(model):
        if isinstance(module, RematBlock):
            module.remat = True
