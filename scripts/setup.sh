# Sourced by the other scripts: makes .venv if it is missing or older than pyproject.toml, and activates it.
# PYTHON chooses the interpreter (>= 3.11), EXTRAS the extras to install, for example EXTRAS=gpu.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=".venv/installed-$( (cat pyproject.toml; echo "${EXTRAS:-}") | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
  python="${PYTHON:-python3}"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "cliptail_jax needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON=/path/to/python3.11." >&2
    exit 1
  }
  echo "Setting up .venv (about a minute, once) ..."
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --no-compile --editable ".${EXTRAS:+[$EXTRAS]}"
  .venv/bin/python -m compileall -qq -j 0 -x /tests/ .venv/lib || true  # pip uses one core; some files are templates
  touch "$stamp"
fi
source .venv/bin/activate
