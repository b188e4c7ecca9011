"""The base class of all models: an image tower `visual`, used in training and evaluation alike."""

from flax import nnx
from jax import Array
from jaxtyping import Bool, Float


class ImageModel(nnx.Module):
    """A model with an image tower `visual`."""

    def __init__(self, visual: nnx.Module):
        self.visual = visual

    def encode_image(
        self,
        images: Float[Array, "batch height width 3"],
        train: bool = False,
        mask: Bool[Array, "batch"] | None = None,
    ) -> Float[Array, "batch dim"]:
        """Unnormalized image features; `mask` is False for padding examples."""
        return self.visual(images, train, mask)
