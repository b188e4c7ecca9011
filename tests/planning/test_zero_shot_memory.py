"""The memory that evaluation of a published model needs, with a compiler that counts the arguments alone."""

import math
import types

import jax

from cliptail_jax.planning import zero_shot
from cliptail_jax.planning.program import Program
from tests.synthetic import mesh_of


def memory(vocabulary, batch_size):
    vision = {"image_size": 32, "patch_size": 8, "width": 128, "head_width": 64, "layers": 1}
    text = {"context_length": 8, "vocab_size": vocabulary, "width": 128, "heads": 2, "layers": 1}
    description = {"model_cfg": {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}}
    topology = types.SimpleNamespace(devices=lambda: mesh_of(1).devices.flat, name="one", compiler_options={})
    return zero_shot.zero_shot_memory(description, topology, {}, batch_size=batch_size, classes=10)


def test_both_towers_and_a_batch_are_counted(monkeypatch):
    def compiled_program(lowered, *_):
        arrays = jax.tree.leaves(lowered.in_avals)
        return Program(sum(x.dtype.itemsize * math.prod(x.shape) for x in arrays))

    monkeypatch.setattr(zero_shot, "compiled_program", compiled_program)
    plain, larger_vocabulary, larger_batch = memory(1000, 256), memory(2000, 256), memory(1000, 512)
    assert larger_vocabulary - plain == 4 * 1000 * 128  # embeddings of the text tower, which the step does not use
    assert larger_batch - plain == 256 * (32 * 32 * 3 + 4 + 1)  # images as bytes, labels, and the mask
