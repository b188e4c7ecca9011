"""The fixtures of studies."""

from tests.study_fixtures import pictures, probes, published_study, results, trains  # noqa: F401
