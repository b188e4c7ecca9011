"""Pages on directories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.claims.judged import judge_contents
from cliptail_jax.report.page import write_page
from cliptail_jax.results.directory import read_directory


def page_of(workdir: Path, others: Sequence[Path] = (), output: Path | None = None, **options: Any) -> Path:
    """Write the page on a directory and others."""
    return write_page([judge_contents(read_directory(path)) for path in (workdir, *others)], output, **options)
