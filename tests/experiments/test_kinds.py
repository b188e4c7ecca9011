"""Names of kinds of runs for people, and their looks in figures."""

import collections

import pytest

from cliptail_jax.experiments.kinds import KINDS, kind_name, look_numbers


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
    assert (numbers["counts"], numbers["other/clip"], numbers["c"]) == (KINDS["sl"].look, clip, counts)
    assert look_numbers({"a": "a", "b": "b"}) == {"a": 0, "b": 1}


def test_kinds_of_different_names_look_different():
    names_of = collections.defaultdict(set)
    for kind in KINDS.values():
        names_of[kind.look].add(kind.name)
    del names_of[None]
    assert [names for names in names_of.values() if len(names) > 1] == [{"CLIP", "CLIP on class names"}]
