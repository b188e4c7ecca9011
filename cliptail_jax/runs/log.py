"""The log of a training run: metrics.jsonl and TensorBoard events. Raises an error when the loss is not finite."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from jax import Array
from jaxtyping import Float

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import append_line, line_of, read_lines, write_text
from cliptail_jax.metrics.measures import main_measures
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.events import Events
from cliptail_jax.runs.files import METRICS, read_config
from cliptail_jax.runs.records import LogLine

# The fields of the config in the error message for a loss that is not finite.
RECIPE = ("objective", "batch_size", "optimizer.name", "optimizer.learning_rate", "model.dtype")


class Diverged(UserError):
    """Raised when the loss of a run is not finite."""


class Log:
    """The log of one session of the run in `workdir`, which starts after step `start`."""

    def __init__(self, workdir: Path, batch_size: int, steps_per_epoch: int, start: int):
        self.workdir = workdir
        self._batch_size, self._steps_per_epoch = batch_size, steps_per_epoch
        self._writes = jax.process_index() == 0
        self._events = Events(workdir / "tensorboard", start + 1) if self._writes else None
        self._values: list[tuple[int, Float[Array, ""]]] = []
        self._next_values: dict[str, float] = {}  # values for the next line alone
        self._interval_start, self._last_step = time.perf_counter(), start
        seconds = [record.get("seconds", 0) for record in read_lines(workdir / METRICS, LogLine)]
        self._run_start = self._interval_start - (seconds[-1] if seconds else 0)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_) -> None:
        if self._writes:
            self._events.close()

    def epoch(self, step: int) -> float:
        """The number of epochs after `step` steps."""
        return step / self._steps_per_epoch

    def seconds(self) -> float:
        """The duration of the run so far in seconds, including earlier sessions."""
        return time.perf_counter() - self._run_start

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Measure the duration of compilation. The time of the steps starts at the end of this context."""
        start = time.perf_counter()
        yield
        self._interval_start = time.perf_counter()
        self._next_values["compile_seconds"] = self._interval_start - start

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time inside this context from images per second."""
        start = time.perf_counter()
        yield
        self._interval_start += time.perf_counter() - start

    def write_report(self, report: tuple[Mapping[str, float], str] | None) -> None:
        """Print the text of a report, if there is one, and add its numbers to the next line of metrics.jsonl."""
        if report:
            numbers, text = report
            log_line(f"{self.workdir}: {text}")
            self._next_values |= numbers

    def add(self, step: int, loss: Float[Array, ""], grad_norm: Float[Array, ""]) -> None:
        """Record the loss and the gradient's norm of a step for the next check, without waiting for the devices."""
        self._values += [(step, "loss", loss), (step, "norm of the gradient", grad_norm)]

    def check_finite(self) -> None:
        """Raise Diverged at the first loss or gradient since the last check that is not finite."""
        for step, name, value in self._values:
            if not math.isfinite(value):
                values = read_config(self.workdir)
                recipe = " ".join(f"{key}={values[key]}" for key in RECIPE)
                raise Diverged(
                    f"the {name} is {float(value)} at step {step} (epoch {self.epoch(step):.2f}; {recipe}; all of it in "
                    f"{self.workdir}/config.json): try a lower optimizer.learning_rate, or optimizer.clip_norm=1"
                )
        self._values.clear()

    def write(self, step: int, metrics: Mapping[str, Float[Array, ""]], rate: float) -> None:
        """Write one line of metrics. `rate` is the learning rate of the step."""
        self.check_finite()
        seconds = time.perf_counter() - self._interval_start
        record = {"step": step, "epoch": self.epoch(step)}
        record |= {name: float(value) for name, value in metrics.items()} | {"train/lr": rate}
        record["images_per_second"] = (step - self._last_step) * self._batch_size / seconds
        record["seconds"] = self.seconds()
        record |= self._next_values
        self._next_values = {}
        if self._writes:
            append_line(self.workdir / METRICS, record)
            self._events.add({name: record[name] for name in record.keys() - {"step", "epoch"}}, step)
        self._interval_start, self._last_step = time.perf_counter(), step

    def warn(self, text: str) -> None:
        """Print a warning, unless it is '', and add it to the last line of metrics.jsonl."""
        if text and self._writes:
            log_line(f"warning: {self.workdir}: {text}")
            *lines, last = read_lines(self.workdir / METRICS) or [{}]
            if last:
                text = "; ".join(filter(None, (last.get("warning"), text)))
                write_text(self.workdir / METRICS, "".join(map(line_of, [*lines, last | {"warning": text}])))

    def write_evaluation(self, step: int, name: str, summary: Mapping) -> None:
        """Print the main numbers of an evaluation, and add all its numbers to the events."""
        # A set with classes that the run was not trained on has no measures of class frequency.
        measures = [measure for measure in main_measures() if measure.key in summary]
        numbers = [f"{m.key} {summary.get(f'{m.key}_beyond') or format(summary[m.key], m.format)}" for m in measures]
        log_line("  ".join([str(self.workdir), f"epoch {summary['epoch']:g}", name, *numbers]))
        if self._writes:
            numbers = {key: x for key, x in summary.items() if isinstance(x, float) and math.isfinite(x)}
            self._events.add({f"eval/{name}/{key}": x for key, x in numbers.items() if key != "epoch"}, step)
