"""Slices that are folders, reached by a `gcloud` of bash."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.launch.hosts import GCLOUD, PYTHON, TRAIN, stub


@pytest.fixture
def cloud(tmp_path):
    """Two hosts that are folders, reached by a `gcloud` of bash; the environment that launches there."""
    stub(tmp_path / "bin/gcloud", GCLOUD)
    stub(tmp_path / "bin/python3", PYTHON)
    stub(tmp_path / "bin/cliptail", f'exec {sys.executable} -m cliptail_jax "$@"')
    stub(tmp_path / "bin/mkdir", 'case "$2" in runs*) ;; *) exec /bin/mkdir "$@" ;; esac')  # none in this checkout
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    folders = {"CLOUD": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": path}
    yield folders | {"PYTHON": "python3", "LAUNCH_POLL_SECONDS": "0.1"}
    for pid in tmp_path.rglob(".cliptail_jax/*/pid"):  # a test that fails may leave a command
        arguments = Path("/proc", pid.read_text().strip(), "cmdline")
        if arguments.exists() and b"launch/host.sh" in arguments.read_bytes():
            os.killpg(int(pid.read_text()), signal.SIGKILL)


@pytest.fixture
def clouds(cloud, tmp_path):
    """Any number of slices, each a folder with a host and the files of `cloud`; the environment that launches there."""
    stub(tmp_path / "bin/gcloud_of_one", GCLOUD)
    of_one = 'name="${5%%:*}"; [ "$4" = scp ] && name="${6%%:*}"; [ "$1" = storage ] || export CLOUD="$CLOUD/$name"'
    stub(tmp_path / "bin/gcloud", f'{of_one} ; mkdir -p "$CLOUD"; exec gcloud_of_one "$@"')
    stub(tmp_path / "bin/cliptail", TRAIN)
    return cloud | {"HOSTS": "0", "RUNS": "2", "RUN": "true"}
