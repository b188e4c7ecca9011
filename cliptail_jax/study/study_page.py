"""The page of a study while it runs."""

import time
from collections.abc import Mapping
from pathlib import Path

import jax
from tqdm import tqdm

from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.report.page import PAGE, address, write_page
from cliptail_jax.results.study import Study, write_study

SHARE = 20  # a page is written after a run if all runs since the last one took so many times as long as that page


class StudyPage:
    """The page of a study while it runs: written at its start, after its runs, and after each report."""

    def __init__(self, study: Study, workdir: Path):
        self._study, self._workdir = study, workdir
        self._written, self._took, self._problem = 0.0, 0.0, ""
        self.address = address(workdir / PAGE)

    def start(self) -> None:
        if jax.process_index() == 0:
            self._workdir.mkdir(parents=True, exist_ok=True)
            write_study(self._workdir, self._study)
            self.write()
            tqdm.write(f"The study's page, written again after each run: {self.address}")

    def write(self, failures: Mapping[str, str] | None = None, claims: Mapping[str, ClaimResult] | None = None) -> None:
        """Write the page. `failures` are failures since the last report; `claims` are those that it has tested."""
        began = time.perf_counter()
        write_page(self._workdir, failures=failures, claims=claims, overwrite=True)
        self._written = time.perf_counter()
        self._took = self._written - began

    def write_report(self, study: Study, claims: Mapping[str, ClaimResult]) -> None:
        """Write the page with the results of a report."""
        write_study(self._workdir, study)
        self.write(claims=claims)

    def after_run(self, failures: Mapping[str, str]) -> None:
        """Write the page, unless that would take a large part of the time since the last one, as with short runs.

        If it cannot be written now, training continues.
        """
        if jax.process_index() or time.perf_counter() - self._written <= SHARE * self._took:
            return
        try:
            self.write(failures)
        except Exception as error:
            if str(error) != self._problem:  # else it is known
                tqdm.write(f"warning: {self.address} is not written: {error}")
            self._problem = str(error)
