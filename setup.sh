#!/usr/bin/env bash
# Set up .venv with the exact versions of requirements.txt. Needs Python 3.11 or later; does nothing when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup.sh: $python is older than Python 3.11; name another one: PYTHON=python3.11 bash setup.sh" >&2
    exit 1
}

done_mark=.venv/installed-$(cat requirements.txt pyproject.toml | sha256sum | cut -c1-16)
[ -e "$done_mark" ] && exit 0

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --requirement requirements.txt
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
rm -f .venv/installed-*
touch "$done_mark"
