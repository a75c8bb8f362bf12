#!/usr/bin/env bash
# Cut and classify a folder of volumes on a SLURM cluster, each task of a job array a share of them.
#
#   sbatch --array=1-16 --cpus-per-task=8 --mem=32G --time=4:00:00 examples/slurm_array.sh VOLUMES OUT
#
# Tasks may end early, be requeued or run twice: the same command goes on from what is done, and two tasks never do one
# volume twice. Afterwards one run without an array does what lost tasks left, and says what failed. Grid Engine and LSF
# set variables of their own, which --shard auto knows, too.
set -euo pipefail

volumes=${1:?usage: sbatch --array=1-N slurm_array.sh VOLUMES OUT}
out=${2:?usage: sbatch --array=1-N slurm_array.sh VOLUMES OUT}
# SLURM runs a copy of this script, from the folder that it was submitted in.
suite=${SUITE:-${SLURM_SUBMIT_DIR:-.}}
python=${PYTHON:-$suite/.venv/bin/python}
shard=()
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then shard=(--shard auto); fi

# A volume that fails costs the task its exit code, not the stages after it.
status=0
"$python" "$suite/patchify3d.py" "$volumes" "$out/patches" "${shard[@]}" || status=$?
# A task that was given no volume, or whose volumes all failed, has nothing to classify yet.
if compgen -G "$out/patches/*.pkl" > /dev/null; then
    "$python" "$suite/classify_patches.py" "$out/patches" "$out/filtered" --weights "${WEIGHTS:-lite}" "${shard[@]}" \
        || status=$?
fi
exit "$status"
