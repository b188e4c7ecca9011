#!/usr/bin/env bash
# Runs a command on all hosts of a Cloud TPU slice, and again after each preemption until it is done:
#
#   scripts/launch_tpu.sh --name=cliptail --zone=us-central2-b --type=v4-32 --spot -- \
#     cliptail train clip:data=imagenet_captions \
#     --config.data.data_dir=gs://BUCKET/tfds --workdir=gs://BUCKET/runs/clip
#
# The slice is requested if there is none of that name, and awaited. The code is copied from here, without runs and data, and
# installed with the extra 'tpu'. A config file of your own belongs into configs/. The command runs in that folder, in the
# background: interrupt this script, start it again with the same arguments, and it goes on showing the first host's log. It
# ends with the command's exit status.
#
# With --slices, the command is a study, whose runs are trained by several slices:
#
#   scripts/launch_tpu.sh --name=cliptail --zone=us-west4-a --type=v5e-1 --slices=4 --spot -- \
#     cliptail study quickstart --workdir=gs://BUCKET/runs/quickstart
#
# Each of the slices NAME-1, NAME-2, ... trains the next run that no other has. A slice for which there is none is deleted; the
# last one writes the report first. This script ends with status 0 if all runs and the report are done, and otherwise with 2.
#
#   --name=NAME        of the slice, and of the queued resource that requests it
#   --zone=ZONE        as us-central2-b
#   --type=TYPE        as v4-8, v5e-16 (or v5litepod-16, gcloud's name for it), v5p-8, v6e-8
#   --slices=N         trains the runs of a study on N slices, or on fewer if the study has fewer runs
#   --project=PROJECT  gcloud's own if left out
#   --version=VERSION  of the image of the TPU VM; follows from the type if left out
#   --spot             at the price of preemptible machines
#   --price=USD        of a chip for an hour, as 1.20; messages then include the cost since this script was started
#   --fetch=PATH       copies this when the command has ended: runs/x from the first host, or gs://BUCKET/x, to runs/x
#   --delete           deletes the slice when the command has ended, and so its cost, unless what is to be fetched cannot be
#   --stop             ends the command that runs there, which saves first; starts none, and leaves the slice
#   --dry_run          prints the commands of a launch, and runs none
#   --help             prints this
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/launch/common.sh
source scripts/launch/common.sh
# shellcheck source=scripts/launch/slice.sh
source scripts/launch/slice.sh
poll="${LAUNCH_POLL_SECONDS:-30}" # between looks at a request, and before a failure is taken for one

needs_files() { # that the command names: the hosts have no others than `parts`
  local word piece pieces file
  for word in "${command[@]:1}"; do
    IFS='=:,+' read -ra pieces <<<"$word"
    for piece in "${pieces[@]}"; do
      for file in "$piece" "$OLDPWD/$piece"; do
        [ -f "$file" ] || continue
        file="$(realpath --relative-to=. "$piece")"
        [[ "$piece" != /* && " ${parts[*]} " = *" ${file%%/*} "* ]] ||
          fail "$piece: the hosts do not have this file: copy it into configs/, and name it as configs/${piece##*/}"
        break
      done
    done
  done
}

name="" zone="" type="" slices="" project="" version="" price="" fetch="" spot="" delete="" stop=""
parse "name zone type slices project version price fetch" "spot delete stop" "$@"

[ -n "$name" ] || fail "--name is missing: any name for the slice, as --name=cliptail"
[ -n "$zone" ] || fail "--zone is missing: where you have TPU quota, as --zone=us-central2-b"
[[ "${slices:-1}" =~ ^[1-9][0-9]*$ ]] || fail "--slices=$slices is no number: give one, as --slices=8"
names=("$name") # of the slices
if [ -n "$slices" ]; then mapfile -t names < <(seq -f "$name-%.0f" "$slices"); fi
[[ "${price:-1}" =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "--price=$price is no number: give US dollars a chip-hour, as --price=1.20"
if [ -z "$stop" ]; then
  [ -n "$type" ] || fail "--type is missing: the slice's accelerator type, as --type=v4-8"
  needs_command
  needs_files
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
type="${type/#v5e-/v5litepod-}" # in all other generations, gcloud and cliptail plan have the same names
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
[[ -n "$stop" || "$type" =~ -[1-9][0-9]*$ ]] || fail "--type=$type has no size: give one, as v4-8"
chips="${type##*-}"
sizes="1 4 8 16 32 64 128 256" # of v5e and v6e
case "$type" in
v5litepod-* | v6e-*)
  [[ " $sizes " = *" $chips "* ]] || fail "--type=$type: there is no slice of $chips chips, only of ${sizes// /, }"
  ;;
v[234]-* | v5p-*) # these names count TensorCores, two a chip
  [ $((chips % 8)) = 0 ] || fail "--type=$type: there is no such slice; the numbers of ${type%-*} are multiples of 8"
  chips=$((chips / 2))
  ;;
esac
if [ -n "$slices" ] && [ -z "$stop" ]; then
  # shellcheck source=scripts/launch/pool.sh
  source scripts/launch/pool.sh
  check_pool
fi
[ -n "$dry_run" ] || command -v gcloud >/dev/null || fail "gcloud is missing: https://cloud.google.com/sdk/docs/install"

collect() {
  [ -n "$fetch" ] || return 0
  note "fetching $fetch"
  case "$fetch" in
  gs://*) run mkdir -p "runs/${fetch##*/}" && run gcloud storage rsync --recursive "$fetch" "runs/${fetch##*/}" ;;
  *) run mkdir -p runs && run "${vm[@]}" scp --recurse "$name:cliptail_jax/$fetch" runs/ "${where[@]}" --worker=0 ;;
  esac
}

print_launch() {
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
}

if [ -n "$stop" ]; then
  for slice in "${names[@]}"; do
    use "$slice"
    [ -z "$slices" ] || [ "$(slice_state)" = READY ] || continue
    on_host all stop
    leave
  done
  exit
fi
[ -z "$slices" ] || run_pool # and exit

use "$name"
if [ -n "$dry_run" ]; then
  print_launch
  note "at the end"
  collect
  [ -z "$delete" ] || give_back
  exit
fi

trap interrupted INT
code=unfinished
while [ "$code" = unfinished ]; do
  await_slice
  run_command
done
case "$code" in
0 | 2) ;;
stopped)
  leave
  exit 143
  ;;
*)
  on_host all last
  echo "error: the command has failed with status $code" >&2
  ;;
esac
log "the command has ended with status $code"
if collect && [ -n "$delete" ]; then give_back; else leave; fi
exit "$code"
