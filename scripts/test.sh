#!/usr/bin/env bash
# From a fresh clone to a tested one. Arguments go to pytest: scripts/test.sh tests/models -k vit
set -euo pipefail
EXTRAS="dev,beam,dask,pretrained${EXTRAS:+,$EXTRAS}"
source "$(dirname "$0")/setup.sh"
bash scripts/wordnet.sh
ruff check
ruff format --check
lint-imports --no-cache
python -m pytest "$@"
