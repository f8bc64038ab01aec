#!/usr/bin/env bash
# The second run on a GPU, eight minutes at most: rows of the speed table that are measured again, and the study of config/gpu-small.yaml.
#   bash benchmarks/gpu_second.sh OUTPUT [--quick] [ROW...]     ROW: pretraining, fine-tuning, evaluation, landscape, views, sharing, data
# OUTPUT gets run.log, rows.jsonl, rows.log, study.log and study-1.tar.gz ... study-4.tar.gz: eight files, each below 16 MiB.
OUT=${1:?"usage: gpu_second.sh OUTPUT [--quick] [ROW...]"}
shift
QUICK=
if [ "${1:-}" = --quick ]; then QUICK=$1 && shift; fi
END=${SECONDS_IN_ALL:-455}
source "$(dirname "${BASH_SOURCE[0]}")/gpu_steps.sh"
SCALE=${QUICK:+smoke}
SCALE=${SCALE:-gpu-small}

if (($# > 0)); then
    step rows 150 "$PYTHON" benchmarks/speed_table.py --rows "$OUT/rows.jsonl" --seconds 140 ${QUICK:+"$QUICK"} --only "$@"
fi
# What tells most comes first; the rest of the study as long as there is time. What was stopped goes on from where it was.
for targets in "gates fig_performance fig_recovery table_gates table_methods table_recovery_table" all; do
    step study "$END" "$PYTHON" -m snakemake $targets --cores "$(nproc)" --resources "gpu=${JOBS_AT_A_TIME:-6}" \
        --keep-going --rerun-incomplete --configfile "config/$SCALE.yaml" --config gates=warn
    rm -rf .snakemake/locks # of a run that was stopped; there is no other on this machine
done
END=$((END + 20))
step pack 20 "$PYTHON" benchmarks/pack.py "results/$SCALE" "$OUT"
cat "$OUT/pack.log" >>"$OUT/run.log" 2>/dev/null && rm "$OUT/pack.log"
say "the end"
