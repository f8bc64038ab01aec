#!/usr/bin/env bash
# All speed checks on the GPU that is here, as one table: bash benchmarks/gpu.sh --output docs/results-gpu-small.md
# Without a GPU, or to see that everything works: bash benchmarks/gpu.sh --quick
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CUDA_VISIBLE_DEVICES="$(cut -d, -f1 <<<"${CUDA_VISIBLE_DEVICES-0}")" # one GPU: the baseline would use all of them in one process
exec "${PYTHON:-.venv/bin/python}" benchmarks/speed_table.py "$@"
