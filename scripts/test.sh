#!/usr/bin/env bash
# From a fresh clone to a tested one. Arguments go to pytest: scripts/test.sh tests/models -k vit
# Three processes share the files of tests, for two cores, since some tests wait; -n 0 runs all in one, for a debugger.
set -euo pipefail
EXTRAS="dev,beam,dask,icons,pretrained${EXTRAS:+,$EXTRAS}"
source "$(dirname "$0")/setup.sh"
bash scripts/wordnet.sh
ruff check
ruff check --preview --select=PLW1514  # text files are in UTF-8, whatever the locale; no stable rule yet
ruff format --check
lint-imports --no-cache
python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@"
