# Read by gpu_first.sh and gpu_second.sh: which Python, where results go, and how a step is run. Needs nothing of a network.
set -uo pipefail
mkdir -p "$OUT" || exit
OUT=$(cd "$OUT" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo "$PWD/.venv/bin/python" || command -v python3)}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 MPLBACKEND=agg TOKENIZERS_PARALLELISM=false
export CUDA_VISIBLE_DEVICES="$(cut -d, -f1 <<<"${CUDA_VISIBLE_DEVICES-0}")" # one GPU: the baseline would use all of them in one process

say() { printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$OUT/run.log"; }

# step NAME LIMIT COMMAND...: at most so many seconds, and none after END; what it prints goes to NAME.log. No failure stops what comes next.
step() {
    local name=$1 limit=$2 left=$((END - SECONDS)) code=0
    shift 2
    if ((left < limit)); then limit=$left; fi
    if ((limit < 5)); then
        say "$name: not begun, the time is up"
        return
    fi
    say "$name: begun, at most $limit s"
    timeout --kill-after=8 "$limit" "$@" >>"$OUT/$name.log" 2>&1 || code=$?
    case $code in
    0) say "$name: done" ;;
    124 | 137) say "$name: stopped by its limit" ;;
    *) say "$name: failed with code $code: $(tail -n 1 "$OUT/$name.log" | cut -c1-200)" ;;
    esac
}

# Packages that are missing here may lie in .wheels (benchmarks/wheels.py). They go into a folder of their own and change nothing else.
if compgen -G ".wheels/*.whl" >/dev/null; then
    if "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$WORK/packages" .wheels/*.whl >"$WORK/pip.log" 2>&1; then
        export PYTHONPATH="$WORK/packages${PYTHONPATH:+:$PYTHONPATH}"
    else
        say "wheels: not installed: $(tail -n 1 "$WORK/pip.log")"
    fi
fi
say "on $("$PYTHON" benchmarks/speed_table.py --machine 2>&1 | tr -d '\n{}"' | tr -s ' ')"
