"""The fixtures of studies, whose results these tests read."""

from tests.study_fixtures import pictures, probes, published_study, results, trains  # noqa: F401
