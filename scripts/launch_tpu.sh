#!/usr/bin/env bash
# Runs a command on all hosts of a Cloud TPU slice, and again after each preemption until it is done:
#
#   scripts/launch_tpu.sh --name=cliptail --zone=us-central2-b --type=v4-32 --spot -- \
#     python -m cliptail_jax.train --config=configs/clip.py:data=imagenet_captions \
#     --config.data.data_dir=gs://BUCKET/tfds --workdir=gs://BUCKET/runs/clip
#
# The slice is requested if there is none of that name, and awaited. The code is copied from here, without runs and data, and
# installed with the extra 'tpu'. The command runs in that folder, in the background: interrupt this script, start it again
# with the same arguments, and it goes on showing the first host's log. It ends with the command's exit status.
#
#   --name=NAME        of the slice, and of the queued resource that requests it
#   --zone=ZONE        as us-central2-b
#   --type=TYPE        as v4-8, v5e-16 (or v5litepod-16, gcloud's name for it), v5p-8, v6e-8
#   --project=PROJECT  gcloud's own if left out
#   --version=VERSION  of the image of the TPU VM; follows from the type if left out
#   --spot             at the price of preemptible machines
#   --fetch=PATH       copies this when the command has ended: runs/x from the first host, or gs://BUCKET/x, to runs/x
#   --delete           deletes the slice when the command has ended, and so its cost, unless what is to be fetched cannot be
#   --stop             ends the command that runs there, which saves first; starts none, and leaves the slice
#   --dry_run          prints the commands of a launch, and runs none
#   --help             prints this
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/launch/common.sh
source scripts/launch/common.sh
poll="${LAUNCH_POLL_SECONDS:-30}" # between looks at a request, and before a failure is taken for one

name="" zone="" type="" project="" version="" fetch="" spot="" delete="" stop=""
parse "name zone type project version fetch" "spot delete stop" "$@"

[ -n "$name" ] || fail "--name is missing: any name for the slice, as --name=cliptail"
[ -n "$zone" ] || fail "--zone is missing: where you have TPU quota, as --zone=us-central2-b"
if [ -z "$stop" ]; then
  [ -n "$type" ] || fail "--type is missing: the slice's accelerator type, as --type=v4-8"
  needs_command
fi
if [ "${type##*-}" -gt 8 ] 2>/dev/null; then # in all generations that is more than a host has
  for argument in "${command[@]}"; do
    case "$argument" in
    --workdir) fail "$argument: write it as --workdir=gs://BUCKET/runs/x" ;;
    --workdir=gs://* | --workdir=/*) ;;
    --workdir=*) fail "$argument: the hosts of a $type need one that they all see, as --workdir=gs://BUCKET/runs/x" ;;
    esac
  done
fi
type="${type/#v5e-/v5litepod-}" # in all other generations, gcloud and cliptail_jax.plan have the same names
fetch="${fetch%/}"
[[ "$fetch" != /* ]] || fail "--fetch=$fetch: give it relative to the folder of the code, as runs/x, or as gs://BUCKET/x"
if [ -z "$version" ]; then
  case "$type" in
  v2-* | v3-* | v4-*) version=tpu-ubuntu2204-base ;;
  v5litepod-*) version=v2-alpha-tpuv5-lite ;;
  v5p-*) version=v2-alpha-tpuv5 ;;
  v6e-*) version=v2-alpha-tpuv6e ;;
  tpu7x-*) fail "--type=$type: Cloud TPU's queued resources have no TPU7x, only Compute Engine and GKE have; use v6e or v5p" ;;
  *) [ -n "$stop" ] || fail "--type=$type: its image is not known here (those of v4, v5e, v5p and v6e are); name one with --version" ;;
  esac
fi
[ -n "$dry_run" ] || command -v gcloud >/dev/null || fail "gcloud is missing: https://cloud.google.com/sdk/docs/install"

where=(--zone="$zone" ${project:+--project="$project"})
vm=(gcloud compute tpus tpu-vm)
queue=(gcloud compute tpus queued-resources)

show_slice=("${vm[@]}" describe "$name" "${where[@]}" --format='value(state)')
show_request=("${queue[@]}" describe "$name" "${where[@]}" --format='value(state.state)')

first=0
remote() { # WORKER COMMAND
  run "${vm[@]}" ssh "$name" "${where[@]}" --worker="$1" --command="$2"
}

slice_state() { # READY, PREEMPTED, ...; nothing where there is none
  "${show_slice[@]}" 2>/dev/null || true
}

request() {
  note "requesting $type in $zone"
  run "${queue[@]}" create "$name" "${where[@]}" --node-id="$name" --accelerator-type="$type" \
    --runtime-version="$version" ${spot:+--spot}
}

delete_slice=("${queue[@]}" delete "$name" "${where[@]}" --force)
give_back() {
  note "deleting the slice $name"
  run "${delete_slice[@]}" --quiet
}

progress() { # STATE OF THE REQUEST, STATE OF THE SLICE: a line in words, for those in which a request is not over
  case "$1" in
  CREATING) echo "is received" ;;
  ACCEPTED | WAITING_FOR_RESOURCES) echo "waits in the queue until there are free chips" ;;
  PROVISIONING) echo "is being fulfilled" ;;
  SUSPENDING | DELETING) echo "is ending, and its slice is being deleted" ;;
  ACTIVE) echo "is fulfilled, and its slice is ${2:-not there}" ;;
  *) echo "is in a state that this script does not know" ;;
  esac
}

await_slice() {
  local state requested seen="" lost=0
  while state="$(slice_state)" && [ "$state" != READY ]; do
    requested="$("${show_request[@]}" 2>/dev/null || true)"
    case "$requested" in
    "")
      [ -z "$state" ] || fail "$name is $state, and was not made by this script: delete it, or choose another --name"
      request
      ;;
    SUSPENDED) give_back ;;
    FAILED) fail "the request for $name has failed: see $(quoted "${show_request[@]::6}"), and delete it by $(quoted "${delete_slice[@]}")" ;;
    *)
      # A preemption may take a while to show in the request; a slice that was stopped or deleted never does.
      case "$requested $state" in "ACTIVE " | "ACTIVE STOPPED" | "ACTIVE PREEMPTED") ((lost += 1)) ;; esac
      [ "$lost" -lt 20 ] ||
        fail "the request for $name is ACTIVE, but its slice is ${state:-gone}: start that, or give up the request by" \
          "$(quoted "${delete_slice[@]}")"
      if [ "$requested $state" != "$seen" ]; then
        note "$requested: the request for $name $(progress "$requested" "$state")." \
          "This cancels it, which interrupting this script does not: $(quoted "${delete_slice[@]}")"
        seen="$requested $state"
      fi
      sleep "$poll"
      ;;
    esac
  done
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

collect() {
  [ -n "$fetch" ] || return 0
  note "fetching $fetch"
  case "$fetch" in
  gs://*) run mkdir -p "runs/${fetch##*/}" && run gcloud storage rsync --recursive "$fetch" "runs/${fetch##*/}" ;;
  *) run mkdir -p runs && run "${vm[@]}" scp --recurse "$name:cliptail_jax/$fetch" runs/ "${where[@]}" --worker=0 ;;
  esac
}

leave() {
  note "the slice $name stays, at its cost; this deletes it: $(quoted "${delete_slice[@]}")"
}

finish() { # with the command's STATUS
  if collect && [ -n "$delete" ]; then give_back; else leave; fi
  exit "$1"
}

if [ -n "$stop" ]; then
  on_host all stop
  leave
  exit
fi

if [ -n "$dry_run" ]; then
  note "where there is no slice that is READY: requesting it, after the deletion of one that was preempted"
  run "${show_slice[@]}"
  run "${show_request[@]}"
  give_back
  request
  note "where the command is not yet running: the code, and the command"
  status "${command[@]}"
  copy_code
  start
  follow
  note "after each break in the connection"
  status "${command[@]}"
  note "at the end"
  collect
  [ -z "$delete" ] || give_back
  exit
fi

while true; do
  await_slice
  case "$(status "${command[@]}")" in
  running) ;;
  busy) fail "$name runs another command; --stop ends it" ;;
  *)
    if ! { copy_code && start; }; then
      sleep "$poll" # until a preemption shows
      [ "$(slice_state)" != READY ] || fail "$name cannot be reached: what gcloud says stands above"
      continue
    fi
    ;;
  esac
  follow || true # the connection may break
  code="$(status "${command[@]}")"
  case "$code" in
  0 | 2) finish "$code" ;; # 2: a mistake, or what a study could not do, which the log names
  running) ;;
  stopped)
    leave
    exit 143
    ;;
  143)
    note "stopped by SIGTERM; going on from the last checkpoint"
    sleep "$poll" # until a preemption shows
    ;;
  *)
    sleep "$poll" # until a preemption shows
    if [[ "$code" =~ ^[0-9]+$ ]] && [ "$(slice_state)" = READY ]; then
      on_host all last
      echo "error: the command has failed with status $code" >&2
      finish "$code"
    fi
    note "$name is lost; going on from the last checkpoint"
    ;;
  esac
done
