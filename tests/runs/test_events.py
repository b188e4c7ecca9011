import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cliptail_jax.runs.events import Events

LONG_NAME = "é" * 200  # its length takes two bytes


@pytest.mark.parametrize("number", [1, 127, 128, 2**40])
def test_tensorboard_shows_events_and_hides_those_that_a_resumed_run_repeats(tmp_path, number):
    for first_step, loss in ((number, 5.5), (number + 2, 0.25)):
        session = Events(tmp_path / "tensorboard", first_step)
        for step in range(first_step, first_step + 3):
            session.add({"train/loss": loss, "eval/glyphs:test/f50": 1e300, LONG_NAME: -1.5}, step)
        session.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    losses = [(event.step - number, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(0, 5.5), (1, 5.5), (2, 0.25), (3, 0.25), (4, 0.25)]
    assert (
        events.Scalars("eval/glyphs_test/f50")[0].value == float("inf") and events.Scalars(LONG_NAME)[0].value == -1.5
    )


def test_a_place_where_events_cannot_be_written_is_a_note(tmp_path, capsys):
    (tmp_path / "tensorboard").write_text("no folder")
    session = Events(tmp_path / "tensorboard", 1)
    session.add({"train/loss": 1.0}, 1)
    session.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: no TensorBoard events in {tmp_path}/tensorboard (FileExistsError: ")
