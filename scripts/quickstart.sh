#!/usr/bin/env bash
# From a fresh clone to the study's main finding on a data set that is drawn on the spot: table, claims, figure.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
workdir=runs/quickstart
cliptail study quickstart --workdir=$workdir --only=sl "$@"
echo "What other losses will give, by the law (configs/effective_prior.md), before they are trained:"
cliptail forecast quickstart --workdir=$workdir --runs=sl --output=$workdir/forecasts.tsv
cliptail study quickstart --workdir=$workdir "$@"
