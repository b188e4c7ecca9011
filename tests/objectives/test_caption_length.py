"""Text towers that do not compute the padding after the longest caption."""

import pickle

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.objectives import make_objective
from cliptail_jax.objectives.caption_length import CutTokenizer, longest_caption
from cliptail_jax.planning.synthetic import synthetic_variant
from tests.synthetic import CLASSES


class Counted:
    """A tokenizer of one id a letter, and 99 at the end, that knows how many texts it was given."""

    def __init__(self, context):
        self.context, self.texts = context, 0

    def __call__(self, texts):
        self.texts += len(texts)
        ids = np.zeros((len(texts), self.context), np.int32)
        for row, text in zip(ids, texts):
            kept = [1] * min(len(text), self.context - 1) + [99]
            row[: len(kept)] = kept
        return ids


@pytest.mark.parametrize("context, cut", [(77, 16), (16, 16), (12, 12), (8, 8)])
def test_the_longest_caption_is_rounded_up_to_a_tile(context, cut):
    variant = synthetic_variant(3000, 1000)  # 'class 999' and the end: 10 ids
    assert longest_caption(variant, Counted(context)) == cut
    cutting = pickle.loads(pickle.dumps(CutTokenizer(Counted(77), 16)))
    np.testing.assert_array_equal(cutting(["class 999"]), Counted(16)(["class 999"]))


@pytest.fixture
def objective(clip_config, tmp_path):
    def make(**fields):
        clip_config.update_from_flattened_dict({"model.text.context_length": 77, **fields})
        made = make_objective(clip_config, synthetic_variant(160, CLASSES))
        made.open_text(tmp_path)
        return made

    return make


def test_features_and_gradients_are_those_of_padded_captions(objective):
    run = objective()
    captions = run.variant.captions(range(32), epoch=0)
    cut, padded = run.read(captions), run.read_prompts(captions)
    assert (cut.shape, padded.shape) == ((32, 16), (32, 77))
    model = run.build_model(nnx.Rngs(0))

    def loss(model, tokens):
        features = model.encode_text(tokens)
        return (features * jax.random.normal(jax.random.key(0), features.shape)).sum(), features

    gradient = nnx.jit(nnx.value_and_grad(loss, has_aux=True))
    ((_, short), short_gradient), ((_, long), long_gradient) = gradient(model, cut), gradient(model, padded)
    np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), short_gradient, long_gradient)


@pytest.mark.parametrize("fields", [{"model.text.name": "bert"}, {"data.captions.resample": True}])
def test_towers_that_read_padding_and_captions_that_change_are_not_cut(objective, fields):
    run = objective(**fields)
    assert run.read(run.variant.captions(range(4), epoch=0)).shape == (4, 77)
