#!/usr/bin/env bash
# Gets WordNet, as NLTK reads it, where NLTK neither has it nor can download it: the data of Debian's wordnet-base, installed
# or fetched, are copied to the user's cache. It needs no root and installs nothing. test.sh calls it, since tests compare
# with NLTK; by hand, after `source scripts/setup.sh`: bash scripts/wordnet.sh
scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python=python # of the active environment, or else that of setup.sh
[ -n "${VIRTUAL_ENV:-}" ] || [ ! -x "$scripts/../.venv/bin/python" ] || python="$scripts/../.venv/bin/python"
"$python" -c 'import cliptail_jax.concepts.wordnet' 2>/dev/null || {
  echo "error: cliptail_jax is not installed for $(type -P "$python" || echo python): run 'source scripts/setup.sh' first" >&2
  exit 2
}

find_wordnet() { # or let NLTK download it
  "$python" -c 'from cliptail_jax.concepts.wordnet import cache_folder, wordnet; import nltk
wordnet(); nltk.data.path.append(str(cache_folder())); nltk.corpus.wordnet.ensure_loaded()' 2>/dev/null
}

fetch_package() { # into the current folder; missing or outdated package lists are fetched to a temporary place
  local own=(-o Dir::State="$PWD/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$PWD/cache")
  apt-get download wordnet-base || {
    mkdir -p state/lists/partial cache/archives/partial &&
      apt-get "${own[@]}" update && apt-get "${own[@]}" download wordnet-base
  }
}

find_wordnet || "$python" "$scripts/debian_wordnet.py" /usr/share/wordnet 2>/dev/null || {
  echo "Fetching WordNet ..."
  folder="$(mktemp -d)"
  { (cd "$folder" && fetch_package && dpkg-deb -x wordnet-base_*.deb .) >"$folder/log" 2>&1 &&
    "$python" "$scripts/debian_wordnet.py" "$folder/usr/share/wordnet"; } ||
    echo "No WordNet: run 'python -m nltk.downloader wordnet', or install Debian's package wordnet-base." >&2
  rm -rf "$folder"
}
