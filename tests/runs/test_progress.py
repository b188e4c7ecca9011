"""What training shows of its progress: bars in a terminal, and lines elsewhere."""

import jax.numpy as jnp
import pytest

from cliptail_jax.runs import progress
from cliptail_jax.runs.console import last_lines, log_line
from cliptail_jax.runs.progress import Display, Progress, RunProgress, send_progress, show_or_print
from tests.terminal import Terminal


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time that passes only when it is set."""
    times = [1000.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: times[0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[0])
    monkeypatch.setattr(progress, "_display", Display())
    return times


def train(clock, steps=range(1, 11), evaluated=5):
    """Steps of 16 images in 20 s each, the first of which takes 30 s to compile; an evaluation takes 1,000 s."""
    with RunProgress("runs/clip", 10, batch_size=16) as run:
        run.begin(steps[0] - 1)
        for step in steps:
            if step == steps[0]:
                with run.doing("compiling"):
                    clock[0] += 30
            clock[0] += 20
            run.after_step(step, jnp.float32(step).block_until_ready())
            if step == evaluated:
                with run.doing("evaluating", step=step):
                    clock[0] += 1000


def test_without_a_terminal_there_is_a_line_before_the_first_step_and_then_one_a_minute(clock, capsys):
    train(clock)
    assert capsys.readouterr().err.splitlines() == [
        "runs/clip: step 0/10, loading the first images",
        "runs/clip: step 0/10, compiling",
        "runs/clip: step 2/10, loss 2.000, 1 images/s, 02:40 left",  # 60 s after the last line
        "runs/clip: step 5/10, loss 5.000, 1 images/s, 01:40 left",
        "runs/clip: step 5/10, loss 5.000, 1 images/s, 01:40 left",  # after the evaluation
        "runs/clip: step 8/10, loss 8.000, 1 images/s, 00:40 left",
    ]


def test_in_a_terminal_there_is_a_bar_from_the_start_which_is_gone_at_the_end(clock):
    terminal = Terminal(columns=80)
    with terminal.as_stderr():
        train(clock)
        log_line("the end")
    output = [line.strip() for line in terminal.text().split("\n") if line.strip()]
    texts = [line.rpartition("| ")[2] for line in output]
    assert texts[:2] == ["preparing", "step 0/10, loading the first images"]
    assert "step 5/10, evaluating" in texts and "step 10/10, loss 10.000, 1 images/s, 00:00 left" in texts
    assert texts[-1] == "the end"
    assert all(line.startswith("runs/clip |") and len(line) <= 80 for line in output[:-1])
    assert "█████" in next(line for line in output if "step 5/10" in line)


def test_a_run_that_goes_on_starts_where_it_stopped(clock, capsys):
    train(clock, steps=range(8, 11))
    assert capsys.readouterr().err.startswith("runs/clip: step 7/10, loading the first images\n")


def test_several_runs_have_a_bar_each_and_long_names_lose_their_middle():
    display, name = Display(), "run 2 of 6, seed_0_mirrored/supervised_with_a_sampled_vocabulary{}"
    first, second = Progress("run 1 of 6, a", 85, 3, loss=4.5, speed=2.0, batch_size=128), Progress(name, 85, 9)
    terminal = Terminal(columns=80)
    with terminal.as_stderr():
        for run in (first, second):
            display.show(run)
        display.clear()
    lines = [line for line in terminal.text().split("\n") if line.strip()]
    assert any(
        line.startswith("run 1 of 6, a |") and "3/85, loss 4.500, 256 images/s, 00:41 left" in line for line in lines
    )
    assert any("run 2 of 6, seed_0_mirrored" in line and "…" in line and "vocabulary{} |" in line for line in lines)


def test_a_process_of_a_study_sends_its_progress_to_the_program(monkeypatch, clock, capfd):
    send_progress()
    train(clock, steps=[1])
    log_line("a line")
    lines = capfd.readouterr().err.rstrip("\n").split("\n")
    assert sum(line.startswith(progress.MARK) for line in lines) == len(lines) - 1 and lines[-1] == "a line"
    monkeypatch.setattr(progress, "_display", Display())
    for line in lines:
        show_or_print(line)
    output = "runs/clip: step 0/10, loading the first images\nruns/clip: step 0/10, compiling\na line\n"
    assert capfd.readouterr().err == output


def test_progress_behind_half_a_line_of_a_library_is_text_too(monkeypatch, clock, capfd):
    send_progress()
    train(clock, steps=[1])
    _, loading, *_ = capfd.readouterr().err.split("\n")
    monkeypatch.setattr(progress, "_display", Display())
    for line in (f"WARNING: could not{loading}", " determine the type", ""):
        show_or_print(line)
    output = "WARNING: could not\nruns/clip: step 0/10, loading the first images\n determine the type\n\n"
    assert capfd.readouterr().err == output


def test_other_processes_than_the_first_show_nothing(monkeypatch, clock, capsys):
    monkeypatch.setattr(progress.jax, "process_index", lambda: 1)
    train(clock)
    assert capsys.readouterr().err == ""


def test_the_last_lines_have_a_command_that_a_shell_takes():
    assert last_lines("runs/my run").endswith("cliptail report --workdir='runs/my run'")
    assert last_lines("runs/x/report.md", "file:///x/report.html").endswith("To see them:  file:///x/report.html")
