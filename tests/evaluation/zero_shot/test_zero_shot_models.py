import collections
import json

import numpy as np
import pytest

from cliptail_jax.evaluation.corpora import CORPORA
from cliptail_jax.evaluation.published_list import SIZES, page
from cliptail_jax.models.open_clip import architecture_names, named_architecture
from cliptail_jax.pretrained.published import LISTS, models_of_study, models_of_today, published_models


def test_the_study_has_49_models_of_six_corpora():
    models = models_of_study()
    assert len({model.name for model in models}) == len(models) == 49
    assert sum(model.name.startswith("EVA") for model in models) == 3
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
    models = models_of_study()
    times = collections.Counter(model.repository for model in models)
    assert len(times) == 44
    with_architecture = [model for model in models if model.architecture]
    assert {model.repository for model in with_architecture} == {place for place, count in times.items() if count == 2}
    for model in with_architecture:
        assert model.name.startswith(f"{model.architecture}/")
        assert not named_architecture(model.architecture).get("quick_gelu")


def test_todays_models_have_a_corpus_where_their_weights_names_one_of_the_six():
    models = models_of_today()
    assert len({model.repository for model in models}) == len(models)
    for model in models:
        named = [corpus for corpus in CORPORA if f"/{corpus}_" in f"{model.name}_"]
        assert named == [corpus for corpus in [model.corpus] if corpus], model.name


def test_a_model_of_both_lists_is_the_same_in_both():
    study, today = ({model.name: model for model in models()} for models in LISTS.values())
    both = study.keys() & today.keys()
    assert len(both) > 5 and all(study[name] == today[name] for name in both)
    assert len(published_models()) == len(study) + len(today) - len(both)


@pytest.mark.parametrize("model", published_models(), ids=lambda model: model.name)
def test_architectures_are_open_clips_and_repositories_are_written_as_load_takes_them(model):
    assert model.name.split("/")[0] in architecture_names()
    assert model.repository.startswith("hf-hub:") and model.repository.count("/") == 1


def test_the_page_has_each_model_of_each_list_with_its_sizes():
    study, today = page().split("list=today\n")
    for text, models in ((study, models_of_study()), (today, models_of_today())):
        rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "/" in line.split(" ")[0]}
        assert {*rows} >= {model.name for model in models}
        for model in models:
            corpus, parameters, side, memory = rows[model.name]
            assert corpus == (model.corpus or "–")
            assert "–" not in (parameters, side)
    # open_clip's table of results: millions of parameters, and the side in the name
    assert "ViT-L-14-CLIPA-336/datacomp1b" in today and rows["ViT-L-14-CLIPA-336/datacomp1b"][1:3] == ["415", "336"]


def test_what_a_chip_needs_is_at_least_the_parameters():
    for name, sizes in json.loads(SIZES.read_text()).items():
        assert sizes.get("memory", np.inf) > 4 * sizes["parameters"], name
