"""Fixtures of jobs on studies."""

from tests.study_fixtures import pictures, trains  # noqa: F401
