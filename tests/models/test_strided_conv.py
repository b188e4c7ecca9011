"""The convolution of stride 2 and its gradients, against sums over the kernel in float64."""

import jax
import numpy as np
import pytest

from cliptail_jax.models.strided_conv import conv_of_stride_2


def directly(x, kernel, gradient):
    """The output, and the gradients with respect to input and kernel, term by term."""
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    out, of_padded, of_kernel = np.zeros_like(gradient), np.zeros_like(padded), np.zeros_like(kernel)
    for i, j in np.ndindex(gradient.shape[1:3]):
        for row, column in np.ndindex(3, 3):
            at = np.s_[:, 2 * i + row, 2 * j + column]
            out[:, i, j] += padded[at] @ kernel[row, column]
            of_padded[at] += gradient[:, i, j] @ kernel[row, column].T
            of_kernel[row, column] += padded[at].T @ gradient[:, i, j]
    return out, of_padded[:, 1:-1, 1:-1], of_kernel


@pytest.mark.parametrize("height, width", [(8, 6), (7, 6), (2, 2)])
def test_output_and_gradients_are_the_sums_over_the_kernel(height, width):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, height, width, 3)), rng.normal(size=(3, 3, 3, 5))
    gradient = rng.normal(size=(2, (height + 1) // 2, (width + 1) // 2, 5))
    out, pull = jax.vjp(jax.jit(conv_of_stride_2), np.float32(x), np.float32(kernel))
    for got, expected in zip([out, *pull(np.float32(gradient))], directly(x, kernel, gradient)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_accelerators_compute_the_gradient_by_definition():
    """Their compilers skip the zeros of a dilated convolution, so they get one convolution and not four."""

    def gradient(x, kernel):
        return jax.grad(lambda x: conv_of_stride_2(x, kernel).sum())(x)

    shapes = jax.ShapeDtypeStruct((2, 8, 8, 3), np.float32), jax.ShapeDtypeStruct((3, 3, 3, 5), np.float32)
    lowered = {
        platform: jax.jit(gradient).trace(*shapes).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "tpu", "cuda")
    }
    convolutions = {platform: text.count("stablehlo.convolution") for platform, text in lowered.items()}
    assert convolutions["cpu"] == convolutions["tpu"] + 3 == convolutions["cuda"] + 3
