#!/usr/bin/env bash
# All that is measured on a GPU, under 8 minutes, with torch, torchvision, numpy and pandas alone:
#     PYTHON=python3 benchmarks/gpu_all.sh
# Each script prints its table and keeps it in benchmarks/results. One that fails does not stop the
# others; the exit status says that one failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CUBLAS_WORKSPACE_CONFIG=:4096:8 # cuBLAS is deterministic with this only
python=${PYTHON:-python}
status=0
run() { timeout "$1" "$python" "${@:2}" || { status=1; echo "failed: ${*:2}"; }; }
run 180 benchmarks/gpu_tsav.py  # frames per second, with the loader, beside 6 000
run 90 benchmarks/gpu_jca.py --seconds 3  # seconds of an epoch
run 200 benchmarks/gpu_steps.py --seconds 0.5  # every network's step, three precisions, deterministic
exit $status
