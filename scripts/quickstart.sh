#!/usr/bin/env bash
# From a fresh clone to the study's main finding on a data set that is drawn on the spot: table, claims, figure.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
cliptail study quickstart --workdir=runs/quickstart "$@"
