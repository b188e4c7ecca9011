"""The base class of all models: an image tower `visual`, used in training and evaluation alike."""

from flax import nnx

from cliptail_jax.models.layers import Features, Images, Mask


class ImageModel(nnx.Module):
    """A model with an image tower `visual`."""

    def __init__(self, visual: nnx.Module):
        self.visual = visual

    def encode_image(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized image features; `mask` is False for padding examples."""
        return self.visual(images, train, mask)
