"""The page of a running study: when it is written, and with which failures and missing runs."""

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study import run as study
from cliptail_jax.study import study_page
from tests.study.synthetic_studies import make_seeded_study, make_study


@pytest.fixture
def written(trains, monkeypatch):
    """What `write_page` is called with."""
    trains[0].update(a=0.5, b=0.1)
    calls = []
    monkeypatch.setattr(study_page, "write_page", lambda workdir, **about: calls.append(about))
    return calls


def test_the_page_is_written_at_the_start_after_each_run_and_with_each_report(written, tmp_path, capsys):
    study.run_study(make_seeded_study(2, "a", "b"), tmp_path)
    assert len(written) == 1 + 2 * (2 + 1)
    assert all(about["title"] == "By hand" for about in written)
    assert written[0]["expected"] == ["seed_3/a", "seed_3/b", "seed_4/a", "seed_4/b"]
    first, *_, last = (line for line in capsys.readouterr().out.splitlines() if "report.html" in line)
    address = f"file://{tmp_path}/report.html"
    assert first == f"The study's page, written again after each run: {address}" and last.endswith(address)


def test_the_page_is_told_of_a_failure_before_the_report_has_it(written, trains, tmp_path):
    trains[0]["a"] = UserError("no data set")
    with pytest.raises(UserError):
        study.run_study(make_seeded_study(1, "a", "b"), tmp_path)
    assert written[1]["failures"] == {"seed_3/a": "no data set"}


def test_runs_that_are_shorter_than_the_page_takes_do_not_wait_for_it(written, tmp_path, monkeypatch):
    monkeypatch.setattr(study_page, "SHARE", 1e9)
    study.run_study(make_study("a", "b"), tmp_path)
    assert len(written) == 2  # at the start, and with the report


def test_a_page_that_cannot_be_written_now_does_not_stop_the_training(trains, tmp_path, monkeypatch, capsys):
    trains[0].update(a=0.5, b=0.1)
    calls = []

    def write_page(workdir, **about):
        calls.append(about)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(study_page, "write_page", write_page)
    study.run_study(make_study("a", "b"), tmp_path)
    assert trains[1] == ["a", "b"] and len(calls) == 4
    assert "report.html is not written: [Errno 28] No space left on device" in capsys.readouterr().out
