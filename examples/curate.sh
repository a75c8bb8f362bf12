#!/usr/bin/env bash
# Curate a collection: every stage over IN/2d (groups of images), IN/video and IN/3d (volumes), any of which may be missing.
#
#     examples/curate.sh IN OUT
#     PROCESSES=8 WEIGHTS=lite CROP=224 PRUNE=1 examples/curate.sh IN OUT
#
# IN is never modified. Run it again and OUT becomes what the present IN and options give: what is new is done, what was
# made from inputs or options that have changed since is redone, and with PRUNE=1 what was made from inputs that are gone
# is removed. A stage in which some inputs fail does not stop the others: they are named as they fail, and the script
# ends with 1. Voxel sizes and provenance come from IN/3d/datasets.csv where there is one. Options come through the
# environment:
#
#     PROCESSES  at once (default: the CPUs there are) CROP      side of a patch in pixels (default 224)
#     WEIGHTS    zenodo (default), lite, a path, a URL THRESHOLD a kept patch scores above it (default 0.5)
#     SLICES     per flipbook (default 5)              LIMIT     flipbooks in all (default 100)
#     PRUNE      1: remove results without their input KEEP_PARTIAL 1: keep the frames of a video that is cut short
#     EXPORT     webdataset, parquet, imagefolder, zarr: kept patches also go to OUT/export, ready to train on
#     SPLIT      of the export, by dataset: train=.9,val=.05,test=.05 (default: all is train)
#     EXCLUDE    a folder of benchmarks (images, volumes): no patch is kept that shows what they show
#     PYTHON     (default: the one of make's .venv)
set -u
unset CDPATH # by which cd would go elsewhere, and say where

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
crop=${CROP:-224}
always=(--update)
if [ "${PRUNE:-}" = 1 ]; then always+=(--prune); fi
if [ -n "${PROCESSES:-}" ]; then always+=(-p "$PROCESSES"); fi
table=()
if [ -f "$here/3d/datasets.csv" ] || [ -L "$here/3d/datasets.csv" ]; then table=(--table "$here/3d/datasets.csv"); fi

# One run per OUT. Where flock is missing (macOS), the scripts' own locks still keep two runs from spoiling each other.
exec 9>>"$out/.curate.lock" || exit 2 # it has said why: a disk that is full, or may not be written
if command -v flock >/dev/null; then
  flock -n 9
  if [ $? -eq 1 ]; then # else it has no locks here, and says so
    echo "another run is at work on $out; this one leaves it alone" >&2
    exit 0
  fi
fi

failed=0 misused=0
stage() {
  echo "== $*"
  "$python" "$root/$1" "${@:2}" "${always[@]}"
  local code=$?
  if [ "$code" -ge 128 ]; then exit "$code"; fi
  if [ "$code" -eq 2 ]; then misused=$((misused + 1)); elif [ "$code" -ne 0 ]; then failed=$((failed + 1)); fi
}

holds() { # FOLDER PATTERN [TESTS OF FIND]: whether the folder holds a name like that
  [ -d "$1" ] && [ -n "$(find -L "$1" -mindepth 1 -name "$2" ! -name '.*' "${@:3}" -print 2>/dev/null | head -n 1)" ]
}

due() { # FOLDER PATTERN RESULTS [TESTS OF FIND]: whether there is something to make, or to remove
  holds "$1" "$2" "${@:4}" || { [ "${PRUNE:-}" = 1 ] && holds "$3/.recipes" '*.json'; }
}

made_by() { # SCRIPT FOLDER ...: whether results of the script may have to be removed from one of the folders
  [ "${PRUNE:-}" = 1 ] && grep -rqs "\"stage\": \"$1\"" "${@:2}" --include='*.json'
}

classify() { # PATCHES FILTERED
  local without=()
  if [ -f "$out/duplicates.csv" ]; then without=(--without "$out/duplicates.csv"); fi
  if due "$1" '*.pkl' "$2"; then
    stage classify_patches.py "$1" "$2" --weights "${WEIGHTS:-zenodo}" --threshold "${THRESHOLD:-0.5}" \
      ${without[@]+"${without[@]}"}
  fi
}

# All volumes under one roof, each once: MRC and videos converted, everything else linked to where it is.
shopt -s nocasematch
mrc=0
is_other() { # FILE: whether it is an MRC, which are counted, or no volume
  if [ -d "$1" ]; then return 1; fi
  case $1 in
    *.json | */datasets.csv) ;; # how a region was downloaded, and the table
    *.mrc | *.mrcs | *.rec | *.st | *.map | *.ali) mrc=$((mrc + 1)) ;;
    *.mrc.gz | *.mrcs.gz | *.rec.gz | *.st.gz | *.map.gz | *.ali.gz) mrc=$((mrc + 1)) ;;
    *.mrc.bz2 | *.mrcs.bz2 | *.rec.bz2 | *.st.bz2 | *.map.bz2 | *.ali.bz2) mrc=$((mrc + 1)) ;;
    *) return 1 ;;
  esac
}
link_volumes() {
  local entry link new=()
  mkdir -p "$out/volumes"
  if { [ -d "$here/3d" ] || [ -L "$here/3d" ]; } && ! ls "$here/3d/" >/dev/null; then # it has said why; what was linked stays
    failed=$((failed + 1))
    return
  fi
  for link in "$out/volumes"/*; do
    if [ -L "$link" ] && [ ! "$link" -ef "$here/3d/${link##*/}" ]; then rm "$link"; fi
  done
  for entry in "$here/3d"/*; do
    link=$out/volumes/${entry##*/}
    if [ -L "$link" ]; then continue; fi
    case ${entry##*.} in
      json | csv | mrc | mrcs | rec | st | map | ali | gz | bz2) if is_other "$entry"; then continue; fi ;;
    esac
    if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then continue; fi
    if [ -e "$link" ]; then
      echo "$entry: $link was made of another input; rename one of the two" >&2
      failed=$((failed + 1))
    else
      new+=("$entry")
    fi
    if [ "${#new[@]}" -ge 500 ]; then ln -s "${new[@]}" "$out/volumes/" && new=(); fi
  done
  if [ "${#new[@]}" -gt 0 ]; then ln -s "${new[@]}" "$out/volumes/"; fi
}

if holds "$in/2d" '*' ! -type d || made_by cleanup2d "$out"/clean2d/*; then
  stage preprocess/cleanup2d.py "$in/2d" -o "$out/clean2d"
fi
if due "$out/clean2d" '*' "$out/patches/2d" ! -type d; then # folders of failed images are empty
  stage patchify2d.py "$out/clean2d" "$out/patches/2d" -cs "$crop" --dedupe
fi

link_volumes
if holds "$in/video" '*' ! -type d || made_by vid2stack "$out/volumes"; then
  stage preprocess/vid2stack.py "$in/video" -o "$out/volumes" ${KEEP_PARTIAL:+--keep-partial}
fi
if [ "$mrc" -gt 0 ] || made_by mrc2byte "$out/volumes"; then
  stage preprocess/mrc2byte.py "$in/3d" -o "$out/volumes"
fi
if due "$out/volumes" '*' "$out/patches/3d"; then
  stage patchify3d.py "$out/volumes" "$out/patches/3d" -cs "$crop" ${table[@]+"${table[@]}"}
fi

# What datasets share is kept once, and nothing that a benchmark shows.
dictionaries=()
for folder in "$out/patches/2d" "$out/patches/3d"; do
  if [ -d "$folder" ]; then dictionaries+=("$folder"); fi
done
if holds "$out/patches" '*.pkl' || { [ "${PRUNE:-}" = 1 ] && [ -f "$out/duplicates.csv" ]; }; then
  stage collection/dedupe_collection.py ${dictionaries[@]+"${dictionaries[@]}"} -o "$out/duplicates.csv" \
    ${EXCLUDE:+--exclude "$EXCLUDE"}
fi
classify "$out/patches/2d" "$out/filtered/2d"
classify "$out/patches/3d" "$out/filtered/3d"
if holds "$out/filtered/3d" '*.tiff' || made_by 'reconstruct3d[^"]*' "$out/flipbooks"; then
  stage 3d/reconstruct3d.py "$out/filtered/3d" -vd "$out/volumes" -sd "$out/flipbooks" -nz "${SLICES:-5}" \
    --limit-total "${LIMIT:-100}" --flipbook gif --montage
fi

# The collection as a whole: a page to look through, and, where it is asked for, an export.
if [ -n "$(find "$out/filtered" -name '*.csv' ! -path '*/.*' -print 2>/dev/null | head -n 1)" ] ||
  { [ "${PRUNE:-}" = 1 ] && [ -f "$out/report/index.html" ]; }; then
  overviews=()
  if holds "$out/patches/3d" '*.pkl' && holds "$out/volumes" '*'; then overviews=(--volumes "$out/volumes"); fi
  cut=()
  if [ -d "$out/patches" ]; then cut=("$out/patches"); fi
  stage collection/report.py "$out/filtered" ${cut[@]+"${cut[@]}"} -o "$out/report" \
    --threshold "${THRESHOLD:-0.5}" ${overviews[@]+"${overviews[@]}"} ${table[@]+"${table[@]}"}
fi
if [ -n "${EXPORT:-}" ] &&
  { holds "$out/filtered" '*.tiff' || { [ "${PRUNE:-}" = 1 ] && [ -f "$out/export/README.md" ]; }; }; then
  ties=()
  if [ -f "$out/duplicates.csv" ]; then ties=(--duplicates "$out/duplicates.csv"); fi
  stage collection/export.py "$out/filtered" -o "$out/export" --format "$EXPORT" ${SPLIT:+--split "$SPLIT"} \
    ${ties[@]+"${ties[@]}"} ${table[@]+"${table[@]}"}
fi

count() { find "$out/filtered" -name '*.csv' ! -name '.*' -exec cat {} + 2>/dev/null | grep -cE ",($1)(,[a-z ]+)?$"; }
echo "kept $(count True) of $(count 'True|False') patches; look at the contact sheets $out/filtered/*/*.png"
if [ -f "$out/report/index.html" ]; then echo "click through the collection: $out/report/index.html"; fi
if [ -n "${EXPORT:-}" ] && [ -f "$out/export/README.md" ]; then echo "ready to train on, with a card: $out/export"; fi
if [ "$failed" -gt 0 ]; then
  echo "$failed of the stages report failures, named above; the same command tries again what may be read by then" >&2
fi
if [ "$misused" -gt 0 ]; then
  echo "$misused of the stages could not run as they were asked to, see above; repeating will not help" >&2
fi
[ "$((failed + misused))" -eq 0 ]
