#!/usr/bin/env bash
# From a fresh clone to a tested one. Arguments go to pytest: scripts/test.sh tests/models -k vit
# After --changed, the tests that depend on what has changed since main: scripts/test.sh --changed -m "not program"
# Three processes share the files of tests, for two cores, since some tests wait; -n 0 runs all in one, for a debugger.
set -euo pipefail
EXTRAS="dev,frames,beam,dask,icons,pretrained${EXTRAS:+,$EXTRAS}"
source "$(dirname "$0")/setup.sh"
if [ "${1:-}" = --changed ]; then
  selected="$(python scripts/changed_tests.py)"
  [ -n "$selected" ] || exit 0
  set -- $selected "${@:2}"
fi
bash scripts/wordnet.sh
unset PYTHONDONTWRITEBYTECODE # else each program that tests start compiles the package's modules again
ruff check
ruff check --preview --select=PLW1514  # text files are in UTF-8, whatever the locale; no stable rule yet
ruff format --check
lint-imports --no-cache
python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@"
