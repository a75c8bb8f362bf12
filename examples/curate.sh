#!/usr/bin/env bash
# Curate a collection: every stage over IN/2d (groups of images), IN/video and IN/3d (volumes), any of which may be missing.
#
#     examples/curate.sh IN OUT
#     PROCESSES=8 WEIGHTS=lite CROP=224 examples/curate.sh IN OUT
#
# IN is never modified. Run it again and it does only what is new. A stage in which some inputs fail does not stop the
# others: they are named as they fail, and the script ends with 1. Options come through the environment:
#
#     PROCESSES  at once (default: all cores)          CROP      side of a patch in pixels (default 224)
#     WEIGHTS    zenodo (default), lite, a path, a URL THRESHOLD a kept patch scores above it (default 0.5)
#     SLICES     per flipbook (default 5)              LIMIT     flipbooks in all (default 100)
#     PYTHON     (default: the one of make's .venv)
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
if [ $# -ne 2 ] || [ ! -d "$1/2d" ] && [ ! -d "$1/video" ] && [ ! -d "$1/3d" ]; then
  echo "usage: $0 IN OUT   (IN: a folder with 2d/, video/ or 3d/ in it)" >&2
  exit 2
fi
in=${1%/} out=${2%/}
here=$(cd "$in" && pwd) && mkdir -p "$out" && there=$(cd "$out" && pwd) || exit 2
case $there/ in
  "$here/" | "$here"/2d/* | "$here"/video/* | "$here"/3d/*)
    echo "$0: OUT ($out) lies among what is read; name another folder" >&2
    exit 2
    ;;
esac

python=${PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x "$root/.venv/bin/python" ]; then python=$root/.venv/bin/python; fi
fi
cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
processes=${PROCESSES:-$cores}
crop=${CROP:-224}

# One run per OUT. Where flock is missing (macOS), the scripts' own locks still keep two runs from spoiling each other.
exec 9>>"$out/.curate.lock"
if command -v flock >/dev/null && ! flock -n 9; then
  echo "another run is at work on $out; this one leaves it alone" >&2
  exit 0
fi

failed=0
stage() {
  echo "== $*"
  "$python" "$root/$1" "${@:2}"
  local code=$?
  if [ "$code" -ge 128 ]; then exit "$code"; fi
  if [ "$code" -ne 0 ]; then failed=$((failed + 1)); fi
}

holds() { # FOLDER PATTERN: whether the folder holds a name like that
  [ -d "$1" ] && [ -n "$(find -L "$1" -mindepth 1 -name "$2" ! -name '.*' -print 2>/dev/null | head -n 1)" ]
}

classify() { # PATCHES FILTERED
  if holds "$1" '*.pkl'; then
    stage classify_patches.py "$1" "$2" --weights "${WEIGHTS:-zenodo}" --threshold "${THRESHOLD:-0.5}" -p "$processes"
  fi
}

# A group that was cut again, because its images changed, is classified again.
forget_outdated() { # PATCHES FILTERED
  local patches table group
  for patches in "$1"/*.pkl; do
    group=$(basename "$patches" .pkl)
    table=$2/$group.csv
    if [ -e "$table" ] && [ "$patches" -nt "$table" ]; then rm -rf "$table" "${2:?}/$group"; fi
  done
}

# All volumes under one roof, each once: MRC and videos converted, everything else linked to where it is.
shopt -s nocasematch
mrc=0
link_volumes() {
  local entry link
  mkdir -p "$out/volumes"
  for link in "$out/volumes"/*; do
    if [ -L "$link" ] && [ ! -e "$link" ]; then rm "$link"; fi
  done
  for entry in "$here/3d"/*; do
    link=$out/volumes/$(basename "$entry")
    if [ -f "$entry" ]; then
      case $entry in
        *.json) continue ;; # how a region was downloaded, beside it
        *.mrc | *.mrcs | *.rec | *.st | *.map | *.ali) mrc=$((mrc + 1)) && continue ;;
      esac
    fi
    if [ -e "$entry" ] && [ ! -e "$link" ]; then ln -s "$entry" "$link"; fi
  done
}

if holds "$in/2d" '*'; then
  stage preprocess/cleanup2d.py "$in/2d" -o "$out/clean2d" -p "$processes"
fi
if holds "$out/clean2d" '*'; then
  stage patchify2d.py "$out/clean2d" "$out/patches/2d" -cs "$crop" --dedupe --update -p "$processes"
  forget_outdated "$out/patches/2d" "$out/filtered/2d"
fi
classify "$out/patches/2d" "$out/filtered/2d"

link_volumes
if holds "$in/video" '*'; then
  stage preprocess/vid2stack.py "$in/video" -o "$out/volumes" -p "$processes"
fi
if [ "$mrc" -gt 0 ]; then
  stage preprocess/mrc2byte.py "$in/3d" -o "$out/volumes" -p "$processes"
fi
if holds "$out/volumes" '*'; then
  stage patchify3d.py "$out/volumes" "$out/patches/3d" -cs "$crop" -p "$processes"
fi
classify "$out/patches/3d" "$out/filtered/3d"
if holds "$out/filtered/3d" '*.tiff'; then
  stage 3d/reconstruct3d.py "$out/filtered/3d" -vd "$out/volumes" -sd "$out/flipbooks" -nz "${SLICES:-5}" \
    --limit "${LIMIT:-100}" --flipbook gif --montage -p "$processes"
fi

count() { find "$out/filtered" -name '*.csv' ! -name '.*' -exec cat {} + 2>/dev/null | grep -c "$1"; }
echo "kept $(count ',True$') of $(count ',\(True\|False\)$') patches; look at the contact sheets $out/filtered/*/*.png"
if [ "$failed" -gt 0 ]; then
  echo "$failed of the stages report failures, above; the same command tries those inputs again" >&2
  exit 1
fi
