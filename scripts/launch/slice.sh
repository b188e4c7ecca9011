# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by launch_tpu.sh: requests a slice, waits for it, runs a command there, counts its cost, and deletes it.
vm=(gcloud compute tpus tpu-vm)
queue=(gcloud compute tpus queued-resources)
first=0

use() { # NAME: the slice that the functions below are about
  name="$1" seen="" since=""
  where=(--zone="$zone" ${project:+--project="$project"})
  show_slice=("${vm[@]}" describe "$name" "${where[@]}" --format='value(state)')
  show_request=("${queue[@]}" describe "$name" "${where[@]}" --format='value(state.state)')
  delete_slice=("${queue[@]}" delete "$name" "${where[@]}" --force)
  touch "$scratch/$name.ready"
}

remote() { # WORKER COMMAND
  run "${vm[@]}" ssh "$name" "${where[@]}" --worker="$1" --command="$2"
}

log() { # what happens to the slice
  if [ -n "$dry_run" ]; then note "$name: $*"; else echo "$name: $*$(spent)" >&2; fi
}

meter() { # on|off: the slice costs money from now on, or no longer
  case "$1 $since" in
  "on ")
    since="$SECONDS"
    printf '%s' "$since" >>"$scratch/$name.ready"
    ;;
  "off "?*)
    since=""
    printf ' %s\n' "$SECONDS" >>"$scratch/$name.ready"
    ;;
  esac
}

spent() { # on all slices since this script was started, with --price
  [ -n "$price" ] || return 0
  awk -v now="$SECONDS" -v rate="$price" -v chips="$chips" \
    '{ seconds += (NF > 1 ? $2 : now) - $1 } END { printf "; $%.2f so far", seconds / 3600 * chips * rate }' "$scratch"/*.ready
}

announce() { # STATE WORDS: a line when the state has changed
  [ "$1" != "$seen" ] || return 0
  seen="$1"
  echo "$1" >"$scratch/$name.state"
  log "$1${2:+ $2}"
}

ask() { # GCLOUD DESCRIBE...: its answer; nothing where there is no such thing; UNKNOWN where there is no answer
  "$@" 2>"$scratch/$name.problem" || grep -q NOT_FOUND "$scratch/$name.problem" || echo UNKNOWN
}

slice_state() { # READY, PREEMPTED, ...
  ask "${show_slice[@]}"
}

request() {
  announce REQUESTED "as $type in $zone (chips: $chips)"
  run "${queue[@]}" create "$name" "${where[@]}" --node-id="$name" --accelerator-type="$type" \
    --runtime-version="$version" ${spot:+--spot}
}

give_back() {
  log "is being deleted"
  run "${delete_slice[@]}" --quiet && meter off && rm -f "$scratch/$name.state"
}

leave() { # with the command that deletes it
  local delete
  delete="$(quoted "${delete_slice[@]}")"
  case "$(cat "$scratch/$name.state" 2>/dev/null)" in
  "" | "ACTIVE READY") echo "$name stays, at its cost; this deletes it: $delete" >&2 ;;
  *) echo "$name stays requested, and costs money once it is there; this cancels it: $delete" >&2 ;;
  esac
}

leave_all() { # that exist
  for slice in "${names[@]}"; do
    use "$slice"
    [ ! -e "$scratch/$name.state" ] || leave
  done
}

interrupted() {
  local group groups
  groups="$(jobs -p)"
  disown -a # bash prints a line for each job, and each command of a job, that a signal ends
  for group in $groups; do kill -KILL -- "-$group" 2>/dev/null || true; done
  echo "interrupted; what runs on TPUs goes on, and the same command line goes on from there$(spent)" >&2
  leave_all
  exit 130
}

explain() { # STATE OF THE REQUEST, STATE OF THE SLICE: in words
  case "$1" in
  CREATING) echo "(the request is received)" ;;
  ACCEPTED | WAITING_FOR_RESOURCES) echo "(in the queue until there are free chips)" ;;
  PROVISIONING) echo "(the chips are found, and the slice is being made)" ;;
  ACTIVE) [ "$2" = READY ] || echo "(the slice is not ready)" ;;
  SUSPENDING | DELETING) echo "(the slice is being deleted)" ;;
  SUSPENDED) echo "(the slice is lost, and is requested again)" ;;
  *) echo "(a state that this script does not know)" ;;
  esac
}

is_wanted() { # whether a slice that is not there shall be requested
  true
}

await_slice() { # until it is READY, or else fails as soon as `is_wanted` fails
  local state requested unanswered=0 lost=0
  while state="$(slice_state)" && [ "$state" != READY ]; do
    requested="$(ask "${show_request[@]}")"
    if [[ "$state $requested" = *UNKNOWN* ]]; then
      ((unanswered += 1))
      [ -n "$seen" ] && [ "$unanswered" -lt 20 ] || fail "gcloud has no answer on $name: $(head -n 1 "$scratch/$name.problem")"
      sleep "$poll"
      continue
    fi
    meter off
    if ! is_wanted; then
      [ -z "$requested" ] || give_back
      return 1
    fi
    case "$requested" in
    "")
      [ -z "$state" ] || fail "$name is $state, and was not made by this script: delete it, or choose another --name"
      request || fail "$name cannot be requested: gcloud's reason stands above"
      ;;
    SUSPENDED)
      announce "$requested" "$(explain "$requested" "$state")"
      give_back || fail "$name cannot be deleted: gcloud's reason stands above"
      ;;
    FAILED) fail "$name FAILED$(spent): see $(quoted "${show_request[@]::6}"), and delete the request by $(quoted "${delete_slice[@]}")" ;;
    *)
      # A preemption may take a while to show in the request; a slice that was stopped or deleted never does.
      case "$requested $state" in "ACTIVE " | "ACTIVE STOPPED" | "ACTIVE PREEMPTED") ((lost += 1)) ;; esac
      [ "$lost" -lt 20 ] ||
        fail "the request for $name is ACTIVE, but its slice is ${state:-gone}: start that, or give up the request by" \
          "$(quoted "${delete_slice[@]}")"
      announce "$requested${state:+ $state}" "$(explain "$requested" "$state")"
      sleep "$poll"
      ;;
    esac
  done
  meter on
  announce "ACTIVE READY" ""
}

copy_code() { # with && since nothing ends by itself within a condition
  note "copying the code to all hosts"
  pack && run "${vm[@]}" scp "$archive" "$name:cliptail_jax.tar.gz" "${where[@]}" --worker=all &&
    remote all "$unpack"
}

start() {
  note "starting the command on all hosts"
  on_host all start tpu "${command[@]}"
}

# Runs the command on the slice, unless it already runs there, until it has ended. Sets `code` to its exit status, 'stopped'
# after --stop, or 'unfinished' where the slice or the connection is lost, or where the command has saved on SIGTERM.
run_command() {
  code=unfinished
  case "$(status "${command[@]}")" in
  running) ;;
  busy) fail "$name runs another command; --stop ends it" ;;
  *)
    if ! { copy_code && start; }; then
      sleep "$poll" # until a preemption shows
      [ "$(slice_state)" != READY ] || fail "$name cannot be reached: gcloud's reason stands above"
      return 0
    fi
    ;;
  esac
  follow || true # the connection may break
  local answer
  answer="$(status "${command[@]}")"
  case "$answer" in
  0 | 2 | stopped) code="$answer" ;; # 2: a mistake, or what a study could not do, which the log names
  running) ;;
  *)
    sleep "$poll" # until a preemption shows
    if [ "$answer" = 143 ]; then
      log "the command was stopped by SIGTERM, and goes on from its last checkpoint"
    elif [[ "$answer" =~ ^[0-9]+$ ]] && [ "$(slice_state)" = READY ]; then
      code="$answer"
    else
      log "is lost or does not answer; the command goes on from its last checkpoint"
    fi
    ;;
  esac
}
