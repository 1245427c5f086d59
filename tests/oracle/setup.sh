#!/bin/sh
# Makes a Python environment with the oracles' pinned packages in a cache folder and prints
# its interpreter: PYTHON=$(tests/oracle/setup.sh CACHE). Needs Python 3.11 or later.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:?give a cache folder}/oracle-venv
stamp=$venv/requirements.txt
if ! cmp -s "$here/requirements.txt" "$stamp"; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$stamp"
fi
echo "$venv/bin/python"
