"""Names of kinds of runs for people, and their looks in figures."""

import collections

import pytest

from cliptail_jax.kinds import KINDS, kind_name, look_numbers
from cliptail_jax.results.layout import Cell, Column, Row, Table, markdown


@pytest.mark.parametrize(
    ("run", "own", "name"),
    [
        ("counts", {}, "classes weighted by their count in the batch"),
        ("clip", {"clip": "CLIP on captions"}, "CLIP on captions"),
        ("sl", {"clip": "CLIP on captions"}, "SL"),
        ("sl", {"sl": ""}, ""),
        ("mine", {}, ""),
    ],
)
def test_a_study_names_its_kinds_of_runs_and_known_ones_have_a_name(run, own, name):
    assert kind_name(run, own) == name


def test_known_kinds_look_the_same_beside_any_others():
    clip, counts = look_numbers(["clip", "counts"]).values()
    numbers = look_numbers(
        ["mine", "counts", "yours", "mine", "other/clip", "classes weighted by their count in the batch"]
    )
    assert list(numbers) == ["mine", "counts", "yours", "other/clip", "classes weighted by their count in the batch"]
    assert len(set(numbers.values())) == len(numbers)
    assert (numbers["counts"], numbers["other/clip"]) == (counts, clip)
    assert look_numbers(["a", "b"]) == {"a": 0, "b": 1}


def test_kinds_of_different_names_look_different():
    names_of = collections.defaultdict(set)
    for kind in KINDS.values():
        names_of[kind.look].add(kind.name)
    assert all(len(names) == 1 for look, names in names_of.items() if look is not None)


def test_a_table_in_markdown_has_the_names_of_kinds_beside_those_of_runs():
    rows = [Row("sl", {"a": Cell("1")}, label="SL"), Row("mine", {"a": Cell("2")}, " (at chance)")]
    table = Table("run", [Column("a", "A")], rows)
    assert markdown(table)[2:] == ["| sl | SL | 1 |", "| mine (at chance) |  | 2 |"]
    unlabelled = table._replace(rows=[row._replace(label="") for row in rows])
    assert markdown(unlabelled)[2:] == ["| sl | 1 |", "| mine (at chance) | 2 |"]
