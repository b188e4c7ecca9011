#!/usr/bin/env bash
# Gets WordNet where NLTK neither has it nor can download it: the data of Debian's wordnet-base, copied into the user's
# cache. It needs no root and installs nothing. Called by test.sh; by hand: source scripts/setup.sh; bash scripts/wordnet.sh
find_wordnet() {
  python -c 'from cliptail_jax.concepts.wordnet import wordnet; wordnet()' 2>/dev/null
}

fetch_package() { # into the current folder; package lists that are missing or stale are fetched anew, for this once
  local own=(-o Dir::State="$PWD/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$PWD/cache")
  apt-get download wordnet-base || {
    mkdir -p state/lists/partial cache/archives/partial &&
      apt-get "${own[@]}" update && apt-get "${own[@]}" download wordnet-base
  }
}

copy_to_cache() {
  python -c 'import pathlib, sys
from cliptail_jax.concepts.wordnet import copy_debian_files
copy_debian_files(pathlib.Path(sys.argv[1]))' "$1/usr/share/wordnet"
}

find_wordnet || {
  echo "Fetching WordNet ..."
  folder="$(mktemp -d)"
  { (cd "$folder" && fetch_package && dpkg-deb -x wordnet-base_*.deb .) >"$folder/log" 2>&1 && copy_to_cache "$folder"; } ||
    echo "No WordNet: run 'python -m nltk.downloader wordnet', or install Debian's package wordnet-base." >&2
  rm -rf "$folder"
}
