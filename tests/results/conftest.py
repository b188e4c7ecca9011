"""The fixtures of studies, whose results these tests read."""

from tests.study.conftest import made, pictures, probes, results, trains  # noqa: F401
