#!/usr/bin/env bash
# Set up .venv with the exact versions of requirements.txt. Needs Python 3.11 or later; does nothing when all is there, and goes on where
# it was interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "setup.sh: $1" >&2
    exit 1
}

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "there is no $python; name one: PYTHON=python3.11 bash setup.sh"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than Python 3.11; name another one: PYTHON=python3.11 bash setup.sh"

# The scripts in an environment hold its path. In a clone that was moved or copied they would run another folder's, or nothing.
place=$(pwd -P)
marks=$("$python" - <<'PYTHON'
import hashlib
print(hashlib.sha256(open("requirements.txt", "rb").read() + open("pyproject.toml", "rb").read()).hexdigest()[:16])
PYTHON
)
done_mark=.venv/installed-$marks
[ -e "$done_mark" ] && [ "$(cat "$done_mark")" = "$place" ] && exit 0

if [ -e .venv ] && { ! [ "$(cat .venv/made-in 2>/dev/null)" = "$place" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    [ -L .venv ] && fail ".venv is a link to an environment of another folder; remove the link, so that this clone gets its own"
    echo "setup.sh: .venv is incomplete, or was made for another folder; it is made again" >&2
    rm -rf .venv
fi
if ! [ -e .venv ]; then
    "$python" -m venv .venv ||
        { rm -rf .venv; fail "$python cannot make an environment: install its venv package (Debian and Ubuntu: apt install python3-venv)"; }
    echo "$place" >.venv/made-in
fi
.venv/bin/python -m pip install --quiet --no-compile --requirement requirements.txt
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
# pip would compile in one process; what does not compile is a template or for another Python, and pip passes it over, too.
.venv/bin/python -m compileall -q -j 4 .venv/lib >/dev/null 2>&1 || true
rm -f .venv/installed-*
echo "$place" >"$done_mark"
