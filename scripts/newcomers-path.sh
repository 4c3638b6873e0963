#!/bin/sh
# What it took from nothing to the first generated digit: each command with its seconds, measured as it was done here.
# Arguments: seconds of the epoch at which `make run` began, at which the environment was ready, and at which the
# picture was there; then "fresh" where that environment was made by this very `make run`.
set -eu
cd "$(dirname "$0")/.."
began=$1 ready=$2 done=$3 fresh=${4:-}

# A clone is as long as from the birth of .git to the last folder that was checked out; older ones were worked in since.
clone=""
if [ "$fresh" = fresh ] && born=$(stat -c %W .git 2>/dev/null) && [ "$born" -gt 0 ]; then
    clone=$(($(stat -c %Y tests) - born))
fi
origin=$(git config --get remote.origin.url 2>/dev/null || echo URL)

row() { printf '   %-58s %6s s\n' "$1" "$2"; }

echo
echo " From nothing to the first generated digit"
if [ -n "$clone" ]; then
    row "git clone $(basename "$origin" .git) && cd $(basename "$origin" .git)" "$clone"
fi
if [ "$fresh" = fresh ]; then
    row "make run: installation" "$((ready - began))"
    row "make run: training, digits by light, their judgement" "$((done - ready))"
    row "in all" "$((done - began + ${clone:-0}))"
else
    row "make run (installed before)" "$((done - began))"
fi
echo " Next: open the picture above; labctl figure --list; docs/ (make docs)"
