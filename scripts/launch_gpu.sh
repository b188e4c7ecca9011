#!/usr/bin/env bash
# Runs a command on the GPUs of this machine, of a list of hosts, or of nodes that SLURM gives: one process a machine, which
# uses all of its GPUs. The package is installed with the extra 'gpu' where that has not been done.
#
#   scripts/launch_gpu.sh -- cliptail train clip:data=cifar100_lt --workdir=runs/clip
#   scripts/launch_gpu.sh --hosts=gpu1,gpu2 -- cliptail train ... --workdir=/shared/runs/clip
#   scripts/launch_gpu.sh --slurm --nodes=2 --gpus=8 --sbatch=--time=1-0 -- cliptail train ... --workdir=runs/clip
#
# Hosts are reached by ssh, without a password; the code is copied to each, without runs and data, and the command runs there
# in the background: interrupt this script, start it again with the same arguments, and it goes on showing the first host's
# log. The work directory must be one that all of them see. SLURM runs the command in this folder, which all nodes must see;
# before the time is up training saves, and the job goes back into the queue until it is done.
#
#   --hosts=A,B      hosts, the first of which the others must reach by this name
#   --port=PORT      there; 8476 if left out
#   --slurm          submits a job
#   --nodes=N        of the job; 1 if left out
#   --gpus=N         of each node
#   --sbatch=OPTION  one more option of sbatch, as --sbatch=--partition=gpu; may be repeated
#   --stop           ends the command that runs on the hosts, which saves first, and starts none
#   --dry_run        prints the commands of a launch, and runs none
#   --help           prints this
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/launch/common.sh
source scripts/launch/common.sh

hosts="" port=8476 slurm="" nodes=1 gpus="" sbatch=() stop=""
parse "hosts port nodes gpus sbatch" "slurm stop" "$@"
IFS=, read -ra hosts <<<"$hosts"
[ -n "$stop" ] || needs_command
[ ${#hosts[@]} -eq 0 ] || [ -z "$slurm" ] || fail "--hosts and --slurm exclude each other: SLURM chooses its nodes"
for host in "${hosts[@]}"; do [ -n "$host" ] || fail "--hosts has an empty name: it is hosts with commas between, as a,b"; done
for value in "$port" "$nodes" "${gpus:-1}"; do
  [[ "$value" =~ ^[1-9][0-9]*$ ]] || fail "'$value' is no number: --port, --nodes and --gpus take one"
done
if [ -n "$slurm" ]; then
  [ -n "$gpus" ] || fail "--gpus is missing: how many GPUs of each node, as --gpus=8"
  [ -n "$dry_run" ] || command -v sbatch >/dev/null || fail "sbatch is missing: --slurm is for a login node of SLURM"
elif [ -n "$gpus" ] || [ "$nodes" != 1 ] || [ ${#sbatch[@]} -gt 0 ]; then
  fail "--nodes, --gpus and --sbatch belong to --slurm"
fi
[ -z "$stop" ] || [ ${#hosts[@]} -gt 0 ] || fail "--stop needs --hosts; on this machine use Ctrl-C, with SLURM scancel"

install() { # here
  run env EXTRAS=gpu bash -c 'source scripts/setup.sh'
}

first="${hosts[0]:-}"
remote() { # HOST COMMAND
  run ssh -o BatchMode=yes "$1" "$2"
}

as_process() { # NUMBER: the command as this one of the processes, one a host
  process=(env JAX_COORDINATOR_ADDRESS="${first#*@}:$port" JAX_NUM_PROCESSES="${#hosts[@]}" JAX_PROCESS_ID="$1"
    "${command[@]}")
}

copy_code() {
  note "copying the code to each host"
  pack
  for host in "${hosts[@]}"; do
    run scp -o BatchMode=yes "$archive" "$host:cliptail_jax.tar.gz"
    remote "$host" "$unpack"
  done
}

start() {
  note "starting the command on each host"
  local number
  for number in "${!hosts[@]}"; do
    as_process "$number"
    on_host "${hosts[$number]}" start gpu "${process[@]}"
  done
}

submit() {
  # srun ends all tasks with the first that fails; with 143 training has been stopped by SIGTERM, and has saved.
  local job
  job="srun --kill-on-bad-exit=1 $(quoted "${command[@]}"); code=\$?; [ \$code != 143 ] || scontrol requeue \$SLURM_JOB_ID; exit \$code"
  run mkdir -p runs
  run sbatch --job-name=cliptail_jax --nodes="$nodes" --ntasks-per-node=1 --gpus-per-node="$gpus" --requeue \
    --open-mode=append --signal=TERM@300 --output=runs/slurm-%j.log "${sbatch[@]}" \
    --wrap=". .venv/bin/activate && { $job; }" # by sh
}

if [ -n "$stop" ]; then
  for host in "${hosts[@]}"; do on_host "$host" stop; done
elif [ -n "$slurm" ]; then
  note "installing the package here"
  install
  note "submitting the job; its log is runs/slurm-JOB.log"
  submit
elif [ ${#hosts[@]} -eq 0 ]; then
  note "installing the package here"
  install
  note "running the command"
  run bash -c 'source .venv/bin/activate && exec "$@"' launch "${command[@]}"
else
  as_process 0
  first_command=("${process[@]}")
  if [ -n "$dry_run" ]; then
    note "where the command is not yet running: the code, and the command"
    status "${first_command[@]}"
    copy_code
    start
    follow
    status "${first_command[@]}"
    exit
  fi
  case "$(status "${first_command[@]}")" in
  running) ;;
  busy) fail "$first runs another command; --stop ends it" ;;
  *)
    for number in "${!hosts[@]}"; do # what is left of this command there ends when it starts
      as_process "$number"
      [ "$(on_host "${hosts[$number]}" status "${process[@]}" 2>/dev/null || true)" != busy ] ||
        fail "${hosts[$number]} runs another command; --stop ends it"
    done
    copy_code
    start
    ;;
  esac
  follow || true
  code="$(status "${first_command[@]}")"
  case "$code" in
  running | "") fail "the connection to $first broke; the command goes on there, and this script shows it again" ;;
  stopped) exit 143 ;;
  0 | 2) exit "$code" ;;
  *)
    for host in "${hosts[@]}"; do on_host "$host" last; done
    echo "error: the command has failed with status $code; the same command goes on from the last checkpoint" >&2
    exit 1
    ;;
  esac
fi
