"""The progress of runs: a bar for each in a terminal, else one line per minute."""

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator

import jax
from jax import Array
from jaxtyping import Float
from tqdm import tqdm

from cliptail_jax.host.printing import one_line
from cliptail_jax.runs.console import log_line

LINE_SECONDS, BAR_SECONDS = 60.0, 0.5  # seconds
WINDOW = 60  # recorded times over which the speed is measured
MARK = "\x1e"  # the character before the progress that a process of a study sends to the program
MIN_BAR_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Progress:
    """A run's progress.

    Attributes:
        label: the run's name.
        total: the number of all its steps.
        step: the number of finished steps; None before it is known.
        doing: the current action besides steps, such as 'compiling'; '' while the run trains.
        loss: the loss of the last finished step; None before a session's first step.
        speed: steps per second; None before it is known.
        batch_size: images per step.
        is_over: whether this is the run's last progress.
    """

    label: str
    total: int
    step: int | None = None
    doing: str = ""
    loss: float | None = None
    speed: float | None = None
    batch_size: int = 0
    is_over: bool = False

    @property
    def text(self) -> str:
        """For example 'step 40/85, loss 3.214, 1,240 images/s, 00:04 left'."""
        parts = [] if self.step is None else [f"step {self.step:,}/{self.total:,}"]
        if self.doing:
            return ", ".join([*parts, self.doing])
        parts += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        if self.speed:
            remaining_time = tqdm.format_interval((self.total - self.step) / self.speed)
            parts += [f"{self.speed * self.batch_size:,.0f} images/s", f"{remaining_time} left"]
        return ", ".join(parts)


class Display:
    """Bars on stderr if it is a terminal, else lines."""

    def __init__(self):
        self._bars: dict[str, tqdm] = {}
        self._lines: dict[str, tuple[float, str]] = {}  # the time and the run's action of the last line

    def show(self, progress: Progress) -> None:
        if progress.is_over:
            self._end(progress.label)
        elif sys.stderr.isatty():
            self._draw(progress)
        elif progress.step is not None:  # the lines on the run's data come first
            self._print(progress)

    def clear(self) -> None:
        """Remove the bars of runs that ended without a message."""
        for label in list(self._bars):
            self._end(label)

    def _draw(self, progress: Progress) -> None:
        if (bar := self._bars.get(progress.label)) is None:
            bar = tqdm(total=progress.total, leave=False, dynamic_ncols=True, bar_format="{desc}")
            self._bars[progress.label] = bar
        columns = (bar.format_dict["ncols"] or 80) - len(progress.text) - MIN_BAR_COLUMNS - len(" || ")
        label = shortened(one_line(progress.label), columns).replace("{", "{{").replace("}", "}}")
        bar.bar_format, bar.n = f"{label} |{{bar}}| {progress.text}", progress.step or 0
        bar.refresh()

    def _print(self, progress: Progress) -> None:
        action = progress.doing if progress.speed is None else ""  # a minute may pass before the first step
        last_time, last_action = self._lines.get(progress.label, (-LINE_SECONDS, ""))
        if action not in ("", last_action) or time.monotonic() - last_time >= LINE_SECONDS:
            log_line(f"{progress.label}: {progress.text}")
            self._lines[progress.label] = time.monotonic(), action

    def _end(self, label: str) -> None:
        self._lines.pop(label, None)
        if bar := self._bars.pop(label, None):
            bar.close()


def shortened(label: str, columns: int) -> str:
    """The label; if it has more columns, its middle is replaced by an ellipsis."""
    if len(label) <= columns:
        return label
    side = max(columns - 1, 2) // 2
    return f"{label[:side]}…{label[-side:]}"


class Sender:
    """Replaces the display in processes of a study: their stderr goes to the program, which shows all their runs."""

    def show(self, progress: Progress) -> None:
        with contextlib.suppress(OSError):  # as when the program was killed
            os.write(2, f"{MARK}{json.dumps(dataclasses.asdict(progress))}\n".encode())


_display: Display | Sender = Display()


def send_progress() -> None:
    """Make this process send its progress to the program that started it and reads its stderr."""
    global _display
    _display = Sender()


def show_or_print(line: str) -> None:
    """Show the progress in a line from another process, and print the text before it, or a line without progress.

    There is text before the progress if a library writes a line in parts.
    """
    text, mark, progress = line.partition(MARK)
    if text or not mark:
        log_line(text)
    if mark:
        _display.show(Progress(**json.loads(progress)))


def clear() -> None:
    """Remove the bars of processes that were killed."""
    _display.clear()


class RunProgress:
    """Shows the progress of one session of a run while this context is open, on the first process.

    It does not wait for the devices: a step counts when its loss is available.
    """

    def __init__(self, label: str, total: int, batch_size: int):
        self._progress = Progress(label, total, doing="preparing", batch_size=batch_size)
        self._losses: deque[tuple[int, Float[Array, ""]]] = deque()
        self._last_loss: tuple[int, Float[Array, ""]] | None = None
        self._times: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._show_time = 0.0
        self._durations: Counter[str] = Counter()  # seconds by action
        self._start = time.perf_counter()  # of the current action

    def __enter__(self) -> "RunProgress":
        self._show()
        return self

    def __exit__(self, *_) -> None:
        self._show(is_over=True)

    def begin(self, start: int) -> None:
        """Show that the steps after `start` begin as soon as their images are loaded."""
        self._show(step=start, doing="loading the first images")

    @contextlib.contextmanager
    def doing(self, action: str, **changes: int) -> Iterator[None]:
        """Show the run's action inside this context, with `changes` of its progress. Its time does not count in the speed."""
        self._show(doing=action, **changes)
        yield
        self._show(doing="")
        self._times.clear()
        self._times.append((time.perf_counter(), self._progress.step))

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Count the time inside this context as saving. It is too short to be shown."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self._durations["saving"] += seconds
        self._start += seconds

    def after_step(self, step: int, loss: Float[Array, ""]) -> None:
        """Record a step that was dispatched, and show the last step that is finished."""
        self._losses.append((step, loss))
        while self._losses and self._losses[0][1].is_ready():
            self._last_loss = self._losses.popleft()
        if self._last_loss is None:
            return
        (first_time, first_step), (step, loss) = self._times[0], self._last_loss
        current_time = time.perf_counter()
        if current_time - self._show_time >= BAR_SECONDS:
            self._times.append((current_time, step))
            self._show(step=step, loss=float(loss), speed=(step - first_step) / (current_time - first_time))
        else:
            self._progress = dataclasses.replace(self._progress, step=step)

    def durations(self, waiting: float) -> dict[str, float]:
        """The seconds of this session by action; `waiting` is the time of training in which devices had no images."""
        self._show(doing="")
        durations = dict(self._durations)
        training = durations.pop("", 0.0)
        return {**durations, "training": training - waiting, "waiting for images": waiting}

    def _show(self, **changes) -> None:
        current_time = time.perf_counter()
        self._durations[self._progress.doing] += current_time - self._start
        self._start = current_time
        self._progress = dataclasses.replace(self._progress, **changes)
        self._show_time = current_time
        if jax.process_index() == 0:
            _display.show(self._progress)
