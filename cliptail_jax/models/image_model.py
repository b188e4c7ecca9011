"""What every model here has: an image encoder `visual`, whose features training and evaluation ask for alike."""

from flax import nnx
from jax import Array
from jaxtyping import Bool, Float


class ImageModel(nnx.Module):
    """A model whose images go through `visual`, the image encoder."""

    def __init__(self, visual: nnx.Module):
        self.visual = visual

    def encode_image(
        self,
        images: Float[Array, "batch height width 3"],
        train: bool = False,
        mask: Bool[Array, "batch"] | None = None,
    ) -> Float[Array, "batch dim"]:
        """Raw, un-normalised image features; `mask` is False for padding examples."""
        return self.visual(images, train, mask)
