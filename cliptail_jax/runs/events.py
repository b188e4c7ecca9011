"""TensorBoard events of a run. Errors in writing them do not stop the run."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import directory_check
from tensorboardX.summary import scalar

from cliptail_jax.runs.console import log_line

FLUSH_SECONDS = 30.0


class Events:
    """Writes scalars in the program's own thread: a full disk would end tensorboardX's thread and fill its queue.

    TensorBoard hides the events of earlier sessions at or after `first_step`.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder, self._writer, self._flushed = folder, None, 0.0
        with self._giving_up():
            directory_check(str(folder))
            self._writer = EventsWriter(f"{folder}/events")
            self._writer.write_event(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, values: Mapping[str, float], step: int) -> None:
        if self._writer is None:
            return
        with self._giving_up():
            for name, value in values.items():
                self._writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._writer.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        if self._writer is not None:
            with self._giving_up():
                self._writer.close()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Stops writing events after an error of the file system."""
        try:
            yield
        except OSError as error:
            log_line(
                f"note: no TensorBoard events in {self._folder} ({error.strerror or error}); metrics.jsonl has their values"
            )
            self._writer = None
