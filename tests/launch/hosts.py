"""Launches on hosts that are folders, which commands of bash stand for: `gcloud`, `ssh` and the program that is launched."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
COMMAND = ["python", "-m", "cliptail_jax", "train", "--config.title=it's $HOME 'a b'"]
SLICE = ["--name=slice", "--zone=us-central2-b", "--type=v4-32"]
STUDY = "cliptail study quickstart --workdir=gs://bucket/runs/study".split()
POOL = ["--name=pool", "--zone=b", "--type=v5e-1"]
GCLOUD = """
echo "$@" >>"$CLOUD/asked"
if [ -s "$CLOUD/refusals" ]; then sed -i 1d "$CLOUD/refusals"; echo "ERROR: PERMISSION_DENIED" >&2; exit 1; fi
ready() { echo READY >"$CLOUD/slice"; echo ACTIVE >"$CLOUD/request"; mkdir -p "$CLOUD"/{0,1}; }
worker=; command=
for argument; do
  case "$argument" in --worker=*) worker="${argument#*=}" ;; --command=*) command="${argument#*=}" ;; esac
done
[ "$worker" != all ] && workers="$worker" || workers="${HOSTS:-0 1}"
case "$3 $4" in
"tpu-vm describe") cat "$CLOUD/slice" || echo NOT_FOUND >&2 ;;
"queued-resources describe") # each line of the file is a state, the last of which stays
  [ -e "$CLOUD/request" ] || { echo NOT_FOUND >&2; exit 1; }
  head -n 1 "$CLOUD/request" && [ $(wc -l <"$CLOUD/request") -le 1 ] || sed -i 1d "$CLOUD/request"
  [ "$(cat "$CLOUD/request")" != ACTIVE ] || [ -e "$CLOUD/slice" ] || ready ;;
"queued-resources create") [ -e "$CLOUD/queue" ] && cp "$CLOUD/queue" "$CLOUD/request" || ready ;;
"queued-resources delete") rm -rf "$CLOUD"/{slice,request,0,1} ;;
"tpu-vm scp") [ ! -e "$CLOUD/unreachable" ] || exit 1; for w in $workers; do cp "$5" "$CLOUD/$w/cliptail_jax.tar.gz"; done ;;
"tpu-vm ssh") for w in $workers; do (cd "$CLOUD/$w" && HOME="$PWD" bash -c "$command") || exit; done ;;
esac
"""
PYTHON = """
[ "$1" != -m ] && exit  # new enough
mkdir -p .venv/bin && touch .venv/bin/activate && ln -sf "$(type -P true)" .venv/bin/python
printf '#!/bin/sh\necho "$@" >>"$CLOUD/installed"\n' >.venv/bin/pip && chmod +x .venv/bin/pip
"""
# The program that is launched: it lists $RUNS runs, or trains one by $RUN, or reports.
TRAIN = """
case "$*" in
*--launch=print) for run in $(seq "$RUNS"); do echo "cliptail study --only=seed_0/$run"; done
  echo "cliptail study --report" ;;
*)
  job="${!#}" && job="${job##*[-/]}" && echo "${CLOUD##*/} $job" >>"$CLOUD/../trained" && eval "$RUN" ;;
esac
"""


def launch(script, *arguments, status=0, **environment):
    """What a launch prints, which must end with this status."""
    command, environment = [SCRIPTS / f"launch_{script}.sh", *arguments], {**os.environ, **environment}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == status, result.stderr
    return result


def stub(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def requests(folder):
    return (folder / "asked").read_text().count("compute tpus queued-resources create")


def start_launch(log, *arguments, **environment):
    """A launch in the background, which Ctrl-C interrupts; its own messages go to the file `log`."""
    interruptible = ["env", "--default-signal=INT"]  # it is ignored if the tests are in the background
    command = [*interruptible, SCRIPTS / "launch_tpu.sh", *arguments]
    with log.open("wb") as stderr:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def interrupt(launched):
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(timeout=60) == 130


def wait_until(is_so, seconds=60):
    deadline = time.time() + seconds
    while not is_so():
        assert time.time() < deadline
        time.sleep(0.05)
