import collections
import json
import re

import numpy as np
import pytest

from cliptail_jax.evaluate import list_models
from cliptail_jax.evaluation import published_list
from cliptail_jax.evaluation.corpora import CORPORA
from cliptail_jax.evaluation.published_list import SIZES, all_lists, page
from cliptail_jax.models.open_clip import architecture_names, named_architecture
from cliptail_jax.pretrained.published import (
    LISTS,
    NOT_IN_FIGURES,
    PublishedModel,
    family_and_size,
    models_of_study,
    models_of_today,
    published_models,
)


def test_the_study_has_49_models_of_six_corpora():
    models = models_of_study()
    assert len({model.name for model in models}) == len(models) == 49
    assert [model.name for model in models if model.name.startswith("EVA")] == list(NOT_IN_FIGURES)
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


def test_today_has_one_model_of_each_family_and_size():
    today = collections.Counter(family_and_size(model.name) for model in models_of_today())
    assert set(today.values()) == {1}
    assert {family_and_size(model.name) for model in models_of_study()} <= today.keys()


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells of the tables in a page, by model."""
    return {
        cells[0]: cells[1:] for line in text.splitlines() if "/" in (cells := re.split(r"  +", line))[0] and cells[1:]
    }


def test_the_page_has_each_model_of_each_list_with_its_sizes():
    study, today = page(all_lists()).split("list=today\n")
    for text, models in ((study, models_of_study()), (today, models_of_today())):
        rows = rows_of(text)
        assert rows.keys() == {model.name for model in models}
        for model in models:
            corpus, parameters, side, _ = rows[model.name]
            assert corpus == (model.corpus or "–") and int(parameters.replace(",", "")) > 60 and int(side) >= 224
        assert f"\n{len(models)} of {len(models)} supported\n" in text
    # open_clip's table of results: millions of parameters, and the side in the name
    assert rows["ViT-L-14-CLIPA-336/datacomp1b"][1:3] == ["415", "336"]


def test_the_page_says_why_no_memory_is_known(tmp_path, monkeypatch):
    sizes = {"RN50": {"parameters": 10**8, "memory": None}, "RN101": {"parameters": 10**8, "memory": 2 * 10**9}}
    (tmp_path / "sizes.json").write_text(json.dumps({**sizes, "ViT-B-32": {"parameters": 10**8}}))
    monkeypatch.setattr(published_list, "SIZES", tmp_path / "sizes.json")
    monkeypatch.setattr(published_list, "named_architecture", changed(named_architecture))
    names = ["RN50/cc12m", "RN101/yfcc15m", "ViT-B-32/laion2b_e16", "ViT-B-16/laion400m_e31", "new/one"]
    text = page({"mine": [PublishedModel(name, "", None) for name in names]})
    memory = {name: cells[-1] for name, cells in rows_of(text).items()}
    assert memory == dict(zip(names, ("refused", "2.0", "not compiled", "not supported", "not supported")))
    assert "\n3 of 5 supported\n" in text


def changed(named):
    """Configurations by their names, of which ViT-B-16's has a tower that does not exist."""
    unknown = {"vision_cfg": {"timm_model_name": "none", "timm_pool": "", "timm_proj": "linear"}}
    return lambda name: {**named(name), **(unknown if name == "ViT-B-16" else {})}


def test_the_list_of_a_config_is_printed_without_a_work_directory(capsys):
    assert not list_models(["--list", "--config=configs/zero_shot_all.py"])
    assert rows_of(capsys.readouterr().out).keys() == {model.name for model in models_of_study()}


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--config=configs/zero_shot_all.py", "--workdir=runs"], "takes only a --config beside it: .* --workdir=runs"),
        (["--config"], "takes only a --config beside it"),
        (["--config=configs/clip.py"], "configs/clip.py does not evaluate any"),
        (["--config=configs/zero_shot.py:model=hf-hub:a/b"], "hf-hub:a/b is in none"),
        (["--config=configs/zero_shot_all.py:list=old"], "'old'; it is one of study, today"),
    ],
)
def test_what_is_no_list_is_an_error_in_one_line(arguments, complaint, capsys):
    assert list_models([*arguments, "--list"]) == 2
    assert re.fullmatch(f"error: .*{complaint}.*\n", capsys.readouterr().err)


def test_what_a_chip_needs_is_at_least_the_parameters():
    for name, sizes in json.loads(SIZES.read_text()).items():
        assert (sizes.get("memory") or np.inf) > 4 * sizes["parameters"], name
