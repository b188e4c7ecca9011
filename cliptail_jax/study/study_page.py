"""The page of a study while it runs."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from tqdm import tqdm

from cliptail_jax.claims.best import BestRun
from cliptail_jax.claims.judged import JudgedContents, judge_contents
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.report.page import PAGE, address, write_page
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import Study, write_study

SHARE = 20  # the page is written again after a run if the time since the last page is so many times what that page took


class StudyPage:
    """The page of a study, which is written when the study starts, after runs, and after each report."""

    def __init__(self, study: Study, workdir: Path):
        self._study, self._workdir = study, workdir
        self._end, self._seconds, self._problem = 0.0, 0.0, ""
        self.address = address(workdir / PAGE)

    def start(self) -> None:
        if jax.process_index() == 0:
            self._workdir.mkdir(parents=True, exist_ok=True)
            write_study(self._workdir, self._study)
            self.write()
            tqdm.write(f"The study's page, written again after each run: {self.address}")

    def write(self, failures: Mapping[str, str] | None = None) -> None:
        """Write the page from the runs so far. `failures` are those since the last report."""
        with self._timed():
            write_page([judge_contents(read_directory(self._workdir))], failures=failures, overwrite=True)

    def write_report(self, study: Study, claims: Mapping[str, ClaimResult], best: BestRun | None) -> None:
        """Write the page with the results of a report."""
        write_study(self._workdir, study)
        with self._timed():
            write_page([JudgedContents(read_directory(self._workdir), claims, best)], overwrite=True)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """Record how long the page takes that is written in this context."""
        start = time.perf_counter()
        yield
        self._end = time.perf_counter()
        self._seconds = self._end - start

    def after_run(self, failures: Mapping[str, str]) -> None:
        """Write the page, unless that would take a large part of the time since the last page, as with short runs.

        If the page cannot be written, training continues.
        """
        if jax.process_index() or time.perf_counter() - self._end <= SHARE * self._seconds:
            return
        try:
            self.write(failures)
        except Exception as error:
            if str(error) != self._problem:  # print each problem once
                tqdm.write(f"warning: {self.address} is not written: {error}")
            self._problem = str(error)
