#!/usr/bin/env bash
# Runs the tests with other versions of the packages than those in .venv, in an environment of its own:
#   scripts/test_versions.sh lowest    the lowest ones that pyproject.toml allows (Python 3.11, or PYTHON)
#   scripts/test_versions.sh newest    the newest ones that can be installed (Python 3.13, or PYTHON)
# Further arguments go to pytest: scripts/test_versions.sh lowest tests/runs -k checkpoint
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
lowest) python="${PYTHON:-python3.11}" resolution=lowest-direct ;;
newest) python="${PYTHON:-python3.13}" resolution=highest ;;
*)
  echo "error: the first argument is 'lowest' or 'newest'" >&2
  exit 2
  ;;
esac
environment=".venv-$1"
[ -x "$environment/bin/uv" ] || { "$python" -m venv "$environment" && "$environment/bin/pip" install --quiet uv; }
source "$environment/bin/activate"
uv pip install --quiet --upgrade --resolution "$resolution" --editable ".[dev,beam,dask,icons,pretrained]"
bash scripts/wordnet.sh
python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "${@:2}"
