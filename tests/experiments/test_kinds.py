"""Names of kinds of runs for people, and their looks in figures."""

import collections

import pytest

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments.kinds import KINDS, kind_name, look_numbers
from tests.golden_configs import STUDIES


@pytest.mark.parametrize(
    ("run", "own_names", "name"),
    [
        ("counts", {}, "classes weighted by their count in the batch"),
        ("clip", {"clip": "CLIP on captions"}, "CLIP on captions"),
        ("sl", {"clip": "CLIP on captions"}, "SL"),
        ("sl", {"sl": ""}, ""),
        ("mine", {}, ""),
    ],
)
def test_a_study_names_its_kinds_of_runs_and_known_ones_have_a_name(run, own_names, name):
    assert kind_name(run, own_names) == name


def test_known_kinds_look_the_same_beside_any_others_by_what_people_call_them():
    counts, clip = (KINDS[run].look for run in ("counts", "clip"))
    labels = {
        "mine": "mine",
        "counts": "SL",
        "yours": "yours",
        "other/clip": "other/clip",
        "clip": "CLIP",
        "c": KINDS["counts"].name,
    }
    numbers = look_numbers(labels)
    assert list(numbers) == list(labels) and len(set(numbers.values())) == len(numbers)
    assert (numbers["counts"], numbers["clip"], numbers["c"]) == (KINDS["sl"].look, clip, counts)
    assert look_numbers({"other/clip": "other/clip"}) == {"other/clip": clip}


def test_looks_do_not_depend_on_the_order_of_runs():
    labels = {"zeta": "zeta", "clip": "CLIP", "alpha": "alpha", "other/clip": "other/clip"}
    assert look_numbers(labels) == look_numbers(dict(reversed(labels.items())))


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("CLIP, frozen text tower", "clip"),
        ("CLIP by captions", "clip"),
        ("CLIP on captions, frozen", "clip_captions"),
        ("SL by vocabulary", "sl"),
    ],
)
def test_a_name_that_begins_with_that_of_a_kind_has_its_look(label, kind):
    assert look_numbers({label: label}) == {label: KINDS[kind].look}


def test_no_other_run_has_the_look_of_sl_or_clip():
    reserved = {KINDS["sl"].look, KINDS["clip"].look}
    assert reserved.isdisjoint(look_numbers({"a": "a", "b": "b", "CLIPA": "CLIPA"}).values())
    several = look_numbers({name: name for name in ("CLIP on birds", "CLIP on glyphs", "CLIP on icons")})
    assert reserved.intersection(several.values()) == {KINDS["clip"].look}


def test_kinds_of_different_names_look_different():
    names_of = collections.defaultdict(set)
    for kind in KINDS.values():
        names_of[kind.look].add(kind.name)
    del names_of[None]
    assert not [names for names in names_of.values() if len(names) > 1]


def loss_of(config):
    """What a run's loss is: all that its name means in any study, without data, optimizer and sizes."""
    if config.objective == "dino":
        return config.objective, config.vocabulary.size > 0
    if config.objective != "supervised":
        captions, direction = config.data.captions, config.contrastive.text_to_image
        on_names = captions.template == "cname" and not captions.words
        return config.objective, on_names, direction, config.data.batch_composition, config.contrastive.repeated_texts
    loss = {key: bool(value) for key, value in config.loss.items()}
    vocabulary = min(config.vocabulary.size, 2)  # 1 is the batch's classes
    return config.objective, config.head.kind, vocabulary, config.data.balanced_sampling, *sorted(loss.items())


def test_a_name_means_the_same_loss_in_all_studies_and_a_loss_has_one_name():
    losses, names = collections.defaultdict(set), collections.defaultdict(set)
    for study in STUDIES:
        for run, config in load_config(study).runs.items():
            if run in KINDS:
                losses[run].add(loss_of(config))
                names[loss_of(config)].add(run)
    assert {run: number for run, kinds in losses.items() if (number := len(kinds)) > 1} == {}
    assert [group for group in names.values() if len(group) > 1] == [{"sl", "sl_sgd", "sl_best"}]  # optimizers differ
