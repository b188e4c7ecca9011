# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the launch scripts: their arguments, errors, dry runs, quoting, the code as an archive, and commands on hosts.
# Those scripts define `remote HOST COMMAND`, which runs a command on a host, and `first`, the host whose log is shown.
dry_run=""
fail() {
  echo "error: $*" >&2
  exit 2
}

quoted() { # the arguments as a shell reads them back
  local text
  printf -v text '%q ' "$@"
  if [[ "$text" = *"\$'"* ]]; then # which sh does not read
    printf -v text "'%s' " "${@//\'/\'\\\'\'}"
  fi
  printf '%s' "${text% }"
}

run() { # or, in a dry run, only print it
  if [ -n "$dry_run" ]; then
    quoted "$@" && echo
  else
    "$@"
  fi
}

note() { # what the commands that follow are for
  if [ -n "$dry_run" ]; then echo "# $*"; else echo "$*" >&2; fi
}

# Sets a variable for each argument: --KEY=VALUE for the KEYS, --KEY for the FLAGS; one that starts as an array collects its
# values. What follows -- becomes the array `command`. --help prints the comment at the head of the script.
parse() { # KEYS FLAGS ARGUMENTS...
  local keys=" $1 " flags=" $2 dry_run " key
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    key="${1%%=*}"
    key="${key#--}"
    if [ "$1" = --help ]; then
      sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "scripts/$(basename "$0")"
      exit
    elif [ "$1" = "--$key" ] && [[ "$flags" = *" $key "* ]]; then
      printf -v "$key" 1
    elif [[ "$1" = --* && "$keys" = *" $key "* ]]; then
      [[ "$1" = *=?* ]] || fail "--$key needs a value, as --$key=VALUE"
      local -n variable="$key"
      if [[ "$(declare -p "$key")" = "declare -a"* ]]; then variable+=("${1#*=}"); else variable="${1#*=}"; fi
      unset -n variable
    else
      fail "unknown argument '$1'; --help lists them, and the command comes after --"
    fi
    shift
  done
  command=("${@:2}")
}

needs_command() {
  [ ${#command[@]} -gt 0 ] || fail "there is no command: put it behind --, as -- cliptail train ..."
}

parts=(cliptail_jax configs scripts pyproject.toml README.md LICENSE) # neither runs nor data
scratch="$(mktemp -d "${TMPDIR:-/tmp}/cliptail_jax.XXXXXX")"
trap 'rm -rf "$scratch"' EXIT
archive="$scratch/cliptail_jax.tar.gz"
pack() { # once, so that what goes on after a preemption does so with the same code
  [ -e "$archive" ] || run tar --exclude=__pycache__ -czf "$archive" "${parts[@]}"
}
unpack='mkdir -p cliptail_jax && cd cliptail_jax && rm -rf cliptail_jax configs scripts && tar -xzf ../cliptail_jax.tar.gz'

on_host() { # HOST ACTION...: what host.sh does there
  remote "$1" "bash cliptail_jax/scripts/launch/host.sh $(quoted "${@:2}")"
}

follow() {
  note "following the first host's log"
  on_host "$first" follow
}

status() { # of the command on the first host, as host.sh prints it; nothing if there is no answer
  on_host "$first" status "$@" 2>/dev/null || true
}
