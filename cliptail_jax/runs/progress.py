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

BETWEEN_LINES, BETWEEN_BARS = 60.0, 0.5  # seconds
WINDOW = 60  # times over which the speed is measured
SENT = "\x1e"  # the character before the progress that a process of a study sends to the program
MIN_BAR_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Progress:
    """A run's progress.

    Attributes:
        label: names the run.
        total: all its steps.
        step: the number of steps done; None before the first step is known.
        doing: the current action besides steps, such as 'compiling'; '' while it trains.
        loss: of the last of these steps; None before the first of a session.
        speed: steps per second; None before it is known.
        batch_size: images of a step.
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
            left = tqdm.format_interval((self.total - self.step) / self.speed)
            parts += [f"{self.speed * self.batch_size:,.0f} images/s", f"{left} left"]
        return ", ".join(parts)


class Display:
    """Bars on stderr if it is a terminal, else lines."""

    def __init__(self):
        self._bars: dict[str, tqdm] = {}
        self._lines: dict[str, tuple[float, str]] = {}  # when the last one was printed, and what the run did

    def show(self, progress: Progress) -> None:
        if progress.is_over:
            self._end(progress.label)
        elif sys.stderr.isatty():
            self._draw(progress)
        elif progress.step is not None:  # what describes its data is printed before
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
        began = progress.doing if progress.speed is None else ""  # a minute may pass before the first step
        when, before = self._lines.get(progress.label, (-BETWEEN_LINES, ""))
        if began not in ("", before) or time.monotonic() - when >= BETWEEN_LINES:
            log_line(f"{progress.label}: {progress.text}")
            self._lines[progress.label] = time.monotonic(), began

    def _end(self, label: str) -> None:
        self._lines.pop(label, None)
        if bar := self._bars.pop(label, None):
            bar.close()


def shortened(label: str, columns: int) -> str:
    """The label, without its middle if it is longer than the number of columns."""
    if len(label) <= columns:
        return label
    half = max(columns - 1, 2) // 2
    return f"{label[:half]}…{label[-half:]}"


class Sender:
    """Replaces the display in processes of a study: their stderr goes to the program, which shows all their runs."""

    def show(self, progress: Progress) -> None:
        with contextlib.suppress(OSError):  # as when the program was killed
            os.write(2, f"{SENT}{json.dumps(dataclasses.asdict(progress))}\n".encode())


_display: Display | Sender = Display()


def send_progress() -> None:
    """From now on, this process sends its progress to the program that started it and reads its stderr."""
    global _display
    _display = Sender()


def show_or_print(line: str) -> None:
    """Show the progress in a line from processes, and print the rest, or the whole line if it contains none.

    Progress follows half a line where a library writes its own lines in parts.
    """
    text, sent, progress = line.partition(SENT)
    if text or not sent:
        log_line(text)
    if sent:
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
        self._running: deque[tuple[int, Float[Array, ""]]] = deque()
        self._done: tuple[int, Float[Array, ""]] | None = None
        self._times: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._shown = 0.0
        self._spent: Counter[str] = Counter()  # seconds, by what the run did
        self._since = time.perf_counter()  # when it began what it does

    def __enter__(self) -> "RunProgress":
        self._show()
        return self

    def __exit__(self, *_) -> None:
        self._show(is_over=True)

    def begin(self, start: int) -> None:
        """Show that the steps after `start` begin as soon as their images are loaded."""
        self._show(step=start, doing="loading the first images")

    @contextlib.contextmanager
    def doing(self, what: str, **changes: int) -> Iterator[None]:
        """Show the action of the run inside this context, with `changes` of its progress. It does not count in the speed."""
        self._show(doing=what, **changes)
        yield
        self._show(doing="")
        self._times.clear()
        self._times.append((time.perf_counter(), self._progress.step))

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Count the time inside this context as saving, which is too short to be shown."""
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        self._spent["saving"] += seconds
        self._since += seconds

    def after_step(self, step: int, loss: Float[Array, ""]) -> None:
        """Show a step that was dispatched, once it is done."""
        self._running.append((step, loss))
        while self._running and self._running[0][1].is_ready():
            self._done = self._running.popleft()
        if self._done is None:
            return
        (since, before), (step, loss) = self._times[0], self._done
        now = time.perf_counter()
        if now - self._shown >= BETWEEN_BARS:
            self._times.append((now, step))
            self._show(step=step, loss=float(loss), speed=(step - before) / (now - since))
        else:
            self._progress = dataclasses.replace(self._progress, step=step)

    def spent(self, waited: float) -> dict[str, float]:
        """The seconds of this session by what the run did; `waited` are those of training in which devices had no images."""
        self._show(doing="")
        spent = dict(self._spent)
        training = spent.pop("", 0.0)
        return {**spent, "training": training - waited, "waiting for images": waited}

    def _show(self, **changes) -> None:
        now = time.perf_counter()
        self._spent[self._progress.doing] += now - self._since
        self._since = now
        self._progress = dataclasses.replace(self._progress, **changes)
        self._shown = now
        if jax.process_index() == 0:
            _display.show(self._progress)
