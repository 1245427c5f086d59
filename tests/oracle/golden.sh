#!/usr/bin/env bash
# Writes the golden features and the format fixtures that the tests of extractor and trainer
# compare with.
# Not needed to run the tests. Its Python packages need Python 3.11 or later.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(deploy/venv tests/oracle/requirements.txt)
wavs=$(mktemp -d)
trap 'rm -rf "$wavs"' EXIT
cargo run --quiet -p voxage-extract --example golden_wavs -- "$wavs"
"$python" tests/oracle/golden.py "$wavs" workers/extract/tests/golden/oracle.json
"$python" tests/oracle/formats.py "$wavs" workers/extract/tests/formats
data=${VOXAGE_DATA:-../shared/data}
if [ -d "$data" ]; then
  "$python" tests/oracle/golden_real.py "$data" workers/extract/tests/golden
else
  echo "no real recordings at $data: their golden features stay as they are" >&2
fi
python=$(deploy/venv tests/oracle/embedding.txt)
"$python" tests/oracle/embedding.py "$(deploy/weights)" "$wavs" workers/extract/tests/golden/embedding.json
python=$(deploy/venv tests/oracle/timm.txt)
"$python" -P tests/oracle/timm_golden.py workers/trainer/tests/golden
