"""The cache of what compiled programs need."""

import types

import pytest

from cliptail_jax.planning import program
from cliptail_jax.planning.hlo import Traffic

FOUND = program.Program(
    peak=5,
    hbm=7,
    hbm_uncached=8,
    collectives={"all-reduce": Traffic(2, 30)},
    exchanged=(("all-reduce", "f32[8]"),),
    largest=(("fusion f32[8]", "dot", 64, 80),),
)


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """A function that plans a program of a text, and the list of those that it has compiled."""
    compiled = []

    def compile(lowered, *_):
        compiled.append(lowered.as_text())
        return FOUND

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(program, "_compile", compile)
    lowered = lambda text: types.SimpleNamespace(as_text=lambda: text)  # noqa: E731
    return lambda text, **versions: program.compiled_program(lowered(text), "v5e-4", {}, versions, 0), compiled


def test_a_program_is_compiled_once_for_the_same_versions(planned):
    plan, compiled = planned
    assert plan("a") == plan("a") == plan("b") == FOUND
    assert compiled == ["a", "b"]
    plan("a", libtpu="2")
    assert compiled == ["a", "b", "a"]
