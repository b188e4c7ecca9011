"""Saves checkpoints with Orbax. Each valid step has a SHA-256 manifest."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from cliptail_jax.host.files import absolute
from cliptail_jax.host.interrupts import note_saved
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.runs.manifests import manifest_of, newest_valid_step, steps_in, write_manifest


class Checkpoints:
    """The last `keep` checkpoints of a run, which are saved in the background.

    A step is `checkpoints/<step>/`. It is valid if `<step>.sha256.json` beside it lists each of its files with the
    right hash. This manifest is written once the step is complete.

    Attributes:
        newest: the last complete step, or 0.
    """

    def __init__(self, directory: Path, keep: int):
        self._directory, self._keep = absolute(directory), keep
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._result: Future | None = None
        self._note(self._set_corrupt_aside())

    def _set_corrupt_aside(self) -> int:
        """Rename steps after the newest valid one to `<step>.corrupt`, to make room for new steps, and return the newest.

        Also remove the files of a step that a killed process was saving.
        """
        newest = 0
        if jax.process_index() == 0 and self._directory.exists():
            for partial in self._directory.glob("*.orbax-checkpoint-tmp"):
                partial.rmtree()
            newest = max(newest_valid_step(self._directory), 0)
            for step in steps_in(self._directory):
                if step > newest:
                    corrupt_step = self._directory / f"{step}.corrupt"
                    corrupt_step.rmtree(missing_ok=True)
                    (self._directory / str(step)).rename(corrupt_step)
        return broadcast_from_first(newest)

    def _note(self, step: int) -> None:
        self.newest = step
        note_saved(self.note)

    @property
    def note(self) -> str:
        """A sentence on the last saved step, which a program prints when it stops."""
        if not self.newest:
            return "no step is saved yet, and the same command starts again"
        return f"step {self.newest} is saved, and the same command continues from there"

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def save(self, step: int, state: PyTree) -> None:
        """Start saving, after an earlier save is complete."""
        self.wait()
        saving = ocp.save_async(self._directory / str(step), state, checkpointable_name="default")
        self._result = self._thread.submit(self._finish, step, saving)

    def wait(self) -> None:
        """Return once the last save is complete, with its manifest; raise its error if it failed."""
        if self._result:
            self._result.result()

    def restore(self, step: int, state: PyTree, shardings) -> PyTree:
        """The saved state of `step`, with the structure of `state` laid out by `shardings`."""
        shapes = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
        return ocp.load(self._directory / str(step), shapes)

    def _finish(self, step: int, saving: ocp.AsyncResponse) -> None:
        saving.result()
        if jax.process_index() == 0:
            write_manifest(self._directory / str(step))
            (self._directory / f"{step}.corrupt").rmtree(missing_ok=True)
        self._note(step)
        if jax.process_index() == 0:
            for old_step in sorted(steps_in(self._directory))[: -self._keep]:
                manifest_of(self._directory / str(old_step)).unlink(missing_ok=True)
                (self._directory / str(old_step)).rmtree()
