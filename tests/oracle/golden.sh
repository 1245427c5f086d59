#!/bin/sh
# Writes the golden features and the format fixtures that the extractor's tests compare with:
# tests/oracle/golden.sh CACHE. Not needed to run the tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$("$here/setup.sh" "${1:?give a cache folder}")
wavs=$1/oracle-wavs
cd "$root"
cargo run --quiet -p voxage-extract --example golden_wavs -- "$wavs"
"$python" "$here/golden.py" "$wavs" workers/extract/tests/golden/oracle.json
"$python" "$here/formats.py" "$wavs" workers/extract/tests/formats
