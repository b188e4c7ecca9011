# shellcheck shell=bash disable=SC2034,SC2154,SC2329
# Sourced by launch_tpu.sh, for --slices: slices that train the runs of a study one after another, each the next that is free.
#
# The runs are handed out here, where each slice has a process of its own: the process that makes the folder $scratch/NUMBER has
# the run of this number. It removes the folder if the slice is lost, so that any slice goes on with the run; and when the run
# has ended, it writes its exit status there. The last number is that of the report, which waits for the end of all runs.
# The locks of runs in a bucket would not be enough for `--only='*'` on each slice: two slices that look at the same moment both
# get a run, none comes back to a run that another one has lost, and each repeats the runs that fail.

check_pool() { # the arguments
  [[ " ${command[*]} " = *" cliptail_jax study "* || "${command[*]}" = "cliptail study "* ]] ||
    fail "--slices=$slices is for the runs of a study: put its command behind --, as -- cliptail study ..."
  [[ " ${command[*]} " = *" --workdir=gs://"* ]] ||
    fail "--slices=$slices needs a work directory that all slices see: give the study one, as --workdir=gs://BUCKET/runs/x"
  [[ -z "$fetch" || "$fetch" = gs://* ]] || fail "--fetch=$fetch: with --slices, give it as gs://BUCKET/x"
}

list_jobs() { # sets `jobs` to the commands of all runs and of the report
  local problem path="$PATH"
  [[ -n "${VIRTUAL_ENV:-}" ]] || path="$PWD/.venv/bin:$PATH" # no environment is activated
  if ! PATH="$path" "${command[@]}" --launch=print >"$scratch/jobs" 2>"$scratch/problem"; then
    problem="$(tail -n 1 "$scratch/problem")"
    [[ "$problem" != "error: "* ]] || fail "${problem#error: }"
    fail "the runs cannot be listed ($problem): install the package here, by: source scripts/setup.sh"
  fi
  mapfile -t jobs <"$scratch/jobs"
  last=$((${#jobs[@]} - 1))
}

name_of() { # NUMBER
  if [ "$1" = "$last" ]; then echo "the report"; else echo "${jobs[$1]##*--only=}"; fi
}

is_free() { # NUMBER
  [ ! -e "$scratch/$1" ] && { [ "$1" != "$last" ] || [ "$(compgen -G "$scratch/*/status" | wc -l)" = "$last" ]; }
}

has() { # NUMBER: from now on, this process has the run
  mkdir "$scratch/$1" 2>/dev/null && job="$1" && eval "command=(${jobs[$1]})"
}

release() {
  [ -z "$job" ] || rmdir "$scratch/$job"
  job=""
}

take() {
  local number
  for number in "${!jobs[@]}"; do
    if is_free "$number" && has "$number"; then return 0; fi
  done
  return 1
}

is_wanted() { # a slice that is not there has lost its run, and is requested for any that is free
  local number
  release
  for number in "${!jobs[@]}"; do
    if is_free "$number"; then return 0; fi
  done
  return 1
}

adopt() { # takes the run that an earlier launch has started on the slice, and that is still running there
  local number running
  use "$1"
  [ "$(slice_state)" = READY ] && running="$(on_host "$first" running 2>/dev/null)" || return 0
  for number in "${!jobs[@]}"; do
    eval "command=(${jobs[$number]})"
    if [ "${running% }" = "$(quoted "${command[@]}")" ] && has "$number"; then echo "$number" >"$scratch/$name.adopted"; fi
  done
}

work() { # SLICE: trains runs there until none is free
  note() { true; }
  follow() { on_host "$first" follow | while IFS= read -r line; do echo "$name: $line"; done; }
  local reason
  use "$1"
  job="$(cat "$scratch/$name.adopted" 2>/dev/null || true)"
  [ -z "$job" ] || eval "command=(${jobs[$job]})"
  trap release EXIT
  while await_slice; do
    if [ -z "$job" ]; then
      take || break
      log "takes $(name_of "$job")"
    fi
    run_command
    case "$code" in
    unfinished) continue ;;
    stopped)
      log "$(name_of "$job") is stopped"
      return
      ;;
    0) log "$(name_of "$job") is done" ;;
    *)
      reason="$(on_host "$first" last | tail -n 1 || true)"
      log "$(name_of "$job") failed with status $code: ${reason#error: }"
      ;;
    esac
    echo "$code" >"$scratch/$job/status"
    job=""
  done
  [ ! -e "$scratch/$name.state" ] || give_back
}

print_pool() {
  use "${names[0]}"
  eval "command=(${jobs[0]})"
  note "on each of the slices ${names[*]}, as here on the first"
  print_launch
  note "each slice then runs the next of these commands that no other has; the last one when all others have ended"
  for line in "${jobs[@]:1}"; do note "  $line"; done
  note "at the end"
  give_back
  collect
}

summarize() { # exits with the status of the pool
  local number name count=0 failed="" unfinished=""
  for number in "${!jobs[@]}"; do
    name="$(name_of "$number")"
    case "$(cat "$scratch/$number/status" 2>/dev/null)" in
    0) [ "$number" = "$last" ] || ((count += 1)) ;;
    "") unfinished+=", $name" ;;
    *) failed+=", $name" ;;
    esac
  done
  [ -z "$failed" ] || echo "error: failed: ${failed#, }; the same command line tries again" >&2
  [ -z "$unfinished" ] || echo "error: not done: ${unfinished#, }; the same command line goes on with the study" >&2
  echo "$count of $last runs are done$(spent)" >&2
  [ -z "$failed$unfinished" ] || exit 2
  exit 0
}

run_pool() {
  list_jobs
  names=("${names[@]:0:last}")
  if [ -n "$dry_run" ]; then
    print_pool
    exit
  fi
  local slice pid workers=()
  pack
  trap interrupted INT TERM HUP
  set -m # each slice's process leads a group of its own, which `interrupted` ends as a whole
  for slice in "${names[@]}"; do adopt "$slice" </dev/null & done
  wait
  for slice in "${names[@]}"; do
    work "$slice" </dev/null &
    workers+=($!)
  done
  for pid in "${workers[@]}"; do wait "$pid" || true; done
  leave_all
  collect || true
  summarize
}
