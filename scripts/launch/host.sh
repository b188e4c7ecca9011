#!/usr/bin/env bash
# A command that outlives the session which starts it, on a host that the launch scripts have copied the code to:
#
#   host.sh start EXTRAS COMMAND...   installs the package with these extras, then runs the command, in the background
#   host.sh status COMMAND...         'none', 'running', 'busy' with another command, 'stopped', or an exit status
#   host.sh running                   prints the command that runs
#   host.sh follow                    shows the log from its beginning, until the command has ended
#   host.sh last                      shows the end of the log
#   host.sh stop                      sends the command SIGTERM, on which training saves and ends
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
state="$HOME/.cliptail_jax/$(hostname)" # hosts may share a home

is_running() { # the pid may be another process's by now
  [ -e "$state/pid" ] && ps -o args= -p "$(cat "$state/pid")" | grep -q "launch/host.sh attend"
}

start() {
  end
  rm -rf "$state" && mkdir -p "$state"
  printf '%q ' "${@:2}" >"$state/command"
  setsid nohup bash scripts/launch/host.sh attend "$@" >"$state/log" 2>&1 </dev/null &
  echo $! >"$state/pid"
}

end() { # of a multi-host run that has failed on another host, a process may be left
  is_running || return 0
  stop
  for _ in {1..60}; do
    is_running || return 0
    sleep 1
  done
  kill -KILL -- "-$(cat "$state/pid")"
}

attend() {
  trap 'echo $? >"$state/status"' EXIT
  local extras="$1"
  shift
  export PYTHON="${PYTHON:-python3}"
  if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then # as on the images of TPU VMs
    "$PYTHON" -m pip install --quiet --user uv
    "$HOME/.local/bin/uv" python install --quiet 3.12
    PYTHON="$("$HOME/.local/bin/uv" python find 3.12)"
  fi
  exec 9>.setup.lock && flock 9 # hosts may share the folder, too
  # shellcheck disable=SC1091
  EXTRAS="$extras" source scripts/setup.sh
  exec 9>&-
  "$@" &
  echo $! >"$state/command_pid"
  wait $!
}

status() {
  if is_running; then
    if [ "$(printf '%q ' "$@")" = "$(cat "$state/command")" ]; then echo running; else echo busy; fi
  elif [ -e "$state/stopped" ]; then
    echo stopped
  elif [ -e "$state/status" ]; then
    cat "$state/status"
  else
    echo none
  fi
}

running() {
  ! is_running || cat "$state/command"
}

follow() {
  local every="${LAUNCH_POLL_SECONDS:-1}" # in tests a fraction of a second, after which the end is noticed
  tail --lines=+1 --pid="$(cat "$state/pid")" --sleep-interval="$every" --follow=name "$state/log"
}

last() {
  echo "$(hostname):"
  tail --lines=20 "$state/log"
}

stop() {
  is_running || return 0
  touch "$state/stopped"
  if [ -e "$state/command_pid" ]; then # SIGTERM is for it alone: its worker processes go on until it has saved
    kill -TERM "$(cat "$state/command_pid")"
  else
    kill -TERM -- "-$(cat "$state/pid")"
  fi
}

"$@"
