# shellcheck shell=bash disable=SC2034
# Sourced by the launch scripts: errors, dry runs, quoting, and the code as an archive.
dry_run=
fail() {
  echo "error: $*" >&2
  exit 2
}

quoted() { # the arguments as a shell reads them back
  local text
  printf -v text '%q ' "$@"
  printf '%s' "${text% }"
}

run() { # or, in a dry run, only say it
  if [ -n "$dry_run" ]; then
    quoted "$@" && echo
  else
    "$@"
  fi
}

note() { # what the commands that follow are for
  if [ -n "$dry_run" ]; then echo "# $*"; else echo "$*" >&2; fi
}

usage() { # the comment at the head of the script that calls
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "scripts/$(basename "$0")"
}

needs_value() { # of an argument --KEY=VALUE
  case "$1" in
  *=?*) printf '%s' "${1#*=}" ;;
  *) fail "${1%%=*} needs a value, as ${1%%=*}=VALUE" ;;
  esac
}

parts=(cliptail_jax configs scripts pyproject.toml README.md LICENSE) # neither runs nor data
archive=
pack() { # sets archive
  archive="${TMPDIR:-/tmp}/cliptail_jax-$$.tar.gz"
  trap 'rm -f "$archive"' EXIT
  run tar --exclude=__pycache__ -czf "$archive" "${parts[@]}"
}
unpack='mkdir -p cliptail_jax && cd cliptail_jax && rm -rf cliptail_jax configs scripts && tar -xzf ../cliptail_jax.tar.gz'
