"""The names, layouts and sizes of our parameters in published (PyTorch) state dicts.

The attribute paths in our models are the published names, except for the last part, and the order of a kernel's axes
differs.
"""

import numpy as np

from cliptail_jax.models.positions import leading_tokens

NAMES = {"kernel": "weight", "scale": "weight", "embedding": "weight", "mean": "running_mean", "var": "running_var"}
# In PyTorch's multi-head attention, which timm's towers (`trunk`) do not have, these are arrays and not layers.
FUSED = ("in_proj", "q_proj", "k_proj", "v_proj")
POSITIONS = ("positional_embedding", "pos_embed")  # as open_clip and timm call them


def published_name(path: tuple) -> str:
    """The state-dict name of the parameter at `path`."""
    *parents, last = map(str, path)
    last = NAMES.get(last, last)
    if parents[-2:-1] == ["attn"] and parents[-1] in FUSED and "trunk" not in parents:
        last = f"{parents.pop()}_{last}"
    return ".".join([*parents, last])


def published_axes(path: tuple, ndim: int) -> tuple[int, ...]:
    """Our axes in PyTorch's order: kernels are [outputs, inputs] and [outputs, inputs, height, width]."""
    if path[-1] != "kernel":
        return tuple(range(ndim))
    return (3, 2, 0, 1) if ndim == 4 else (1, 0)


def to_published(path: tuple, value: np.ndarray) -> np.ndarray:
    """The parameter at `path` in PyTorch's layout."""
    return value.transpose(published_axes(path, value.ndim))


def from_published(path: tuple, value: np.ndarray) -> np.ndarray:
    """A published array in the layout of our parameter at `path`."""
    return value.transpose(np.argsort(published_axes(path, value.ndim)))


def published_shape(path: tuple, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in PyTorch of our parameter at `path`, whose shape here is `shape`."""
    return tuple(shape[axis] for axis in published_axes(path, len(shape)))


def is_resized(path: tuple, stored_shape: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether `stored_shape` is that of an image tower's positional embedding for images of another size."""
    if path[0] != "visual" or path[-1] not in POSITIONS or stored_shape == shape or len(stored_shape) < 2:
        return False
    (*axes, rows, width), (*stored_axes, stored_rows, stored_width) = shape, stored_shape
    leading = leading_tokens(rows)
    return (
        (stored_axes, stored_width) == (axes, width) and leading is not None and leading == leading_tokens(stored_rows)
    )
