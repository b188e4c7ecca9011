"""Convolutions for CPUs and their gradients, against sums over the kernel in float64."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AbstractMesh

from cliptail_jax.evaluation.counting import make_encode_images
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.basic_resnet import BasicResNet
from cliptail_jax.models.fast_conv import NUMBERS, fast_conv
from cliptail_jax.models.image_model import ImageModel
from tests.synthetic import mesh_of


def convolve(x, kernel, stride, devices=1):
    padding = [(len(kernel) // 2,) * 2] * 2
    with jax.sharding.use_abstract_mesh(AbstractMesh((devices,), ("data",))):
        return fast_conv(x, kernel, (stride, stride), padding, dimension_numbers=NUMBERS)


def directly(x, kernel, stride, gradient):
    """The output, and the gradients with respect to input and kernel, term by term."""
    border = len(kernel) // 2
    images = np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])
    out, image_gradient, kernel_gradient = np.zeros_like(gradient), np.zeros_like(images), np.zeros_like(kernel)
    for i, j in np.ndindex(gradient.shape[1:3]):
        for row, column in np.ndindex(kernel.shape[:2]):
            window = np.s_[:, stride * i + row, stride * j + column]
            out[:, i, j] += images[window] @ kernel[row, column]
            image_gradient[window] += gradient[:, i, j] @ kernel[row, column].T
            kernel_gradient[row, column] += images[window].T @ gradient[:, i, j]
    return out, image_gradient[:, border : border + x.shape[1], border : border + x.shape[2]], kernel_gradient


@pytest.mark.parametrize("size, stride, channels", [(3, 1, 3), (3, 1, 4), (3, 2, 3), (3, 2, 4), (1, 1, 3), (1, 2, 4)])
@pytest.mark.parametrize("examples, height, width", [(16, 8, 6), (3, 7, 6), (2, 2, 2)])
def test_output_and_gradients_are_the_sums_over_the_kernel(examples, height, width, size, stride, channels):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(examples, height, width, channels)), rng.normal(size=(size, size, channels, 5))
    gradient = rng.normal(size=(examples, -(-height // stride), -(-width // stride), 5))
    out, pull = jax.vjp(jax.jit(functools.partial(convolve, stride=stride)), np.float32(x), np.float32(kernel))
    for got, expected in zip([out, *pull(np.float32(gradient))], directly(x, kernel, stride, gradient)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def lowered(platform, channels, devices=1):
    """The program of the gradients with respect to input and kernel."""
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((16, 8, 8, channels), (3, 3, channels, 5))]
    gradient = jax.jit(jax.grad(lambda x, kernel: convolve(x, kernel, 2, devices).sum(), (0, 1)))
    return gradient.trace(*shapes).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("platform, devices", [("tpu", 1), ("cuda", 1), ("cpu", 8)])
def test_accelerators_and_several_cpus_convolve_by_definition(platform, devices):
    """Parts of a batch would have to be gathered from other devices."""
    text = lowered(platform, 4, devices)
    assert text.count("stablehlo.convolution") == 3 - 1 and "stablehlo.while" not in text  # the output is not needed


def test_one_cpu_has_a_convolution_for_each_parity_and_products_for_the_kernel():
    text = lowered("cpu", 4)
    assert text.count("stablehlo.convolution") == 4 and text.count("stablehlo.while") == 1


@pytest.mark.parametrize("devices, convolutions", [(1, 9), (8, 10)])
def test_an_evaluation_on_one_cpu_has_products_for_the_first_convolution(devices, convolutions):
    """The three blocks have three convolutions each."""
    graphdef, state = nnx.split(ImageModel(BasicResNet([1, 1, 1], 4, 8, rngs=nnx.Rngs(0))))
    encode = make_encode_images(graphdef, mesh_of(devices), Preprocess(8))
    text = encode.lower((state,), np.zeros((8, 8, 8, 3), np.uint8)).as_text()
    assert text.count("stablehlo.convolution") == convolutions
