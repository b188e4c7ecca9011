"""Plans of models that are too large, and without a cache: what is said, and that nothing takes long or stops."""

import types

import jax
import pytest

from cliptail_jax.planning import compiling, program
from cliptail_jax.planning.compiling import plan_step
from cliptail_jax.planning.hlo import Traffic
from cliptail_jax.planning.program import note_missing_cache
from cliptail_jax.planning.topologies import Topology, find_topology
from cliptail_jax.report.plans import table
from tests.synthetic import synthetic_objective

PROGRAM = program.Program(
    peak=5,
    hbm=7,
    hbm_uncached=8,
    collectives={"all-reduce": Traffic(2, 30)},
    exchanged=(("all-reduce", "f32[8]"),),
    largest=(("fusion f32[8]", "dot", 64, 80),),
)


def test_a_model_whose_parameters_alone_do_not_fit_is_not_compiled(sup_config, monkeypatch):
    monkeypatch.setattr(Topology, "devices", lambda topology: jax.devices())
    monkeypatch.setattr(compiling, "compiled_program", None)
    sup_config.model.image.width = 10**8
    plan = plan_step(synthetic_objective(sup_config), find_topology("v5e-8"), {})
    assert not plan.fits and plan.program.peak == plan.parameters + plan.optimizer > 10**15
    assert "does not fit" in table(plan) and "activations" not in table(plan)


@pytest.mark.parametrize(
    "message, needs",
    [
        ("the total memory required for HLO temporaries (2.50P) exceeds available HBM (15.75G).", 2.5 * 2**50),
        ("Ran out of memory in memory space hbm. Used 1.50T of 15.75G hbm.", 1.5 * 2**40),
    ],
)
def test_memory_that_a_program_needs_is_read_from_the_compilers_refusal(message, needs):
    def compile(compiler_options):
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {message}")

    result = program._compile(types.SimpleNamespace(compile=compile), "v5e-8", {}, 0)
    assert (result.peak, result.available) == (needs, 15.75 * 2**30)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """A function that plans a program of a text, and says how many were compiled so far."""
    times = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(program, "_compile", lambda *_: times.append(1) or PROGRAM)

    def plan(text="text", **versions):
        lowered = types.SimpleNamespace(as_text=lambda: text)
        assert program.compiled_program(lowered, "v5e-4", {}, versions, 0) == PROGRAM
        return len(times)

    return plan


def test_a_program_is_compiled_once_for_the_same_versions(compiled):
    assert (compiled("a"), compiled("a"), compiled("b"), compiled("b")) == (1, 1, 2, 2)
    assert (compiled("a", libtpu="2"), compiled("a")) == (3, 3)


@pytest.mark.parametrize("old_text, new_text", [("64", '"many"'), ("}", ""), ("{", "[" * 10**5)])
def test_a_cached_plan_that_is_damaged_is_made_again(old_text, new_text, compiled, tmp_path):
    assert (compiled(), compiled()) == (1, 1)
    (file,) = (tmp_path / "cliptail_jax" / "plans").iterdir()
    file.write_text(file.read_text().replace(old_text, new_text, 1))
    assert (compiled(), compiled()) == (2, 2)


def test_without_a_writable_cache_there_are_plans_and_a_note(compiled, tmp_path, capsys):
    note_missing_cache()
    (tmp_path / "cliptail_jax").touch()
    note_missing_cache()
    assert (compiled(), compiled()) == (1, 2)
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].startswith(f"note: plans are not kept: {tmp_path}/cliptail_jax/plans cannot be written: ")
