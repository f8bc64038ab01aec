#!/usr/bin/env bash
# The first run on a GPU, five minutes at most: the tests that need one, then the speed table with a profile of both kinds of steps.
#   bash benchmarks/gpu_first.sh OUTPUT            --quick after it: tiny sizes, on any machine
# OUTPUT gets run.log (what was done when), tests.log, rows.jsonl (a line a row, as they come) and rows.log.
OUT=${1:?"usage: gpu_first.sh OUTPUT [--quick]"}
QUICK=${2:-}
END=${SECONDS_IN_ALL:-290}
source "$(dirname "${BASH_SOURCE[0]}")/gpu_steps.sh"
TABLE=("$PYTHON" benchmarks/speed_table.py --data "$WORK/data" ${QUICK:+"$QUICK"})

# While the tests run: the data of all rows, and the compiled code of the first two, which later processes find in the cache. As many steps
# as in the rows, so that batches have the same shapes.
warm() {
    step prepare 90 "$PYTHON" -W ignore benchmarks/throughput.py --config config/paper.yaml benchmarks/paper_speed.yaml --threads 4 \
        --only "our loop" --stage "$1" --steps "$2" --data "$WORK/data"
}
prepare() {
    step prepare 60 "${TABLE[@]}" --only-data
    if [ -z "$QUICK" ]; then
        warm pretrain 30 &
        warm task1 300 &
        wait
    fi
}
prepare &
step tests 110 "$PYTHON" -m pytest -m gpu -v --durations=10 -p no:cacheprovider tests/gpu
wait
LEFT=$((END - SECONDS - 10)) # so that a row that is stopped is written, too
step rows "$END" "${TABLE[@]}" --rows "$OUT/rows.jsonl" --seconds "$((LEFT > 0 ? LEFT : 0))"
say "the end"
