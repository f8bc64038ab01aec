#!/usr/bin/env bash
# Run the smoke study and the tests of training with the lowest, or the highest, versions that pyproject.toml allows.
#
#   tests/bounds.sh lowest                       # or: highest
#   PYTHON=python3.13 tests/bounds.sh highest    # with another Python
#
# Works on a copy of the repository in a temporary folder, with an environment of its own there; torch from a registry brings several GB
# of CUDA libraries along. Not a part of .ci/run, which takes the exact versions of requirements.txt.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    lowest) resolution=lowest-direct ;;
    highest) resolution=highest ;;
    *) echo "usage: [PYTHON=python3.x] tests/bounds.sh lowest|highest" >&2; exit 2 ;;
esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$folder"
cd "$folder"

"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet uv
.venv/bin/uv pip install --quiet --resolution "$resolution" --editable '.[diagnose]'
# What runs the tests is no bound of ours: the newest that goes with the rest.
.venv/bin/uv pip freeze --exclude-editable >installed.txt
.venv/bin/uv pip install --quiet --constraint installed.txt pytest pytest-xdist filelock
.venv/bin/python --version
.venv/bin/uv pip freeze --exclude-editable | grep -iE '^(torch|transformers|tokenizers|safetensors|snakemake|pydantic|numpy|pandas|pyarrow|matplotlib|scipy|datasets|peft)=='

.venv/bin/snakemake --cores 2 --configfile config/smoke.yaml --show-failed-logs -- all
.venv/bin/python -m pytest -q tests/training tests/model tests/methods tests/stages tests/views tests/test_tables.py tests/figures/test_figures.py
