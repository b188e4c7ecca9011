import collections

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.corpora import CORPORA
from cliptail_jax.models.open_clip import named_architecture
from cliptail_jax.pretrained.published import published_models


def test_there_are_the_studys_49_models_of_which_46_are_supported():
    models = published_models()
    assert len({model.name for model in models}) == len(models) == 49
    assert sum(model.is_supported for model in models) == 46
    assert collections.Counter(model.corpus for model in models) == {
        "cc12m": 2,
        "yfcc15m": 4,
        "laion400m": 12,
        "laion2b": 24,
        "metaclip_400m": 3,
        "metaclip_fullcc": 4,
    }
    assert {model.corpus for model in models} == set(CORPORA)


def test_weights_are_listed_twice_only_with_the_two_activations():
    models = published_models()
    times = collections.Counter(model.repository for model in models)
    assert len(times) == 44
    with_architecture = [model for model in models if model.architecture]
    assert {model.repository for model in with_architecture} == {place for place, count in times.items() if count == 2}
    for model in with_architecture:
        assert model.name.startswith(f"{model.architecture}/")
        assert not named_architecture(model.architecture).get("quick_gelu")


@pytest.mark.parametrize("model", published_models(), ids=lambda model: model.name)
def test_models_are_supported_whose_architectures_we_have(model):
    architecture = model.name.split("/")[0]
    if model.is_supported:
        assert named_architecture(architecture)["embed_dim"]
    else:
        with pytest.raises(UserError, match="unknown architecture 'EVA"):
            named_architecture(architecture)


def test_repositories_are_written_as_load_takes_them():
    for model in published_models():
        owner, _, name = model.repository.removeprefix("hf-hub:").partition("/")
        assert owner in ("laion", "timm", "UCSC-VLAA")
        assert name and "/" not in name
