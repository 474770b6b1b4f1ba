#!/usr/bin/env bash
# A slice of the suite under other versions of Python and of our dependencies, each in an environment of its own in
# .versions/: their newest releases, torch and transformers included. A version that is not there, or whose packages can't
# be downloaded, is skipped with the reason. 3 to 6 GB a version where only CUDA builds of torch are offered.
#
#   tests/versions.sh 3.12 3.13 3.14
set -uo pipefail
cd "$(dirname "$0")/.."
SLICE=(tests/unit/config tests/unit/adapters tests/unit/exporting tests/unit/inference tests/unit/inputs tests/unit/models
  tests/unit/serve tests/integration/test_engines.py)
passed=0 failed=0 skipped=0

skip() {
  echo "python $1: skipped, $2"
  skipped=$((skipped + 1))
}

environment() { # prints nothing; leaves .versions/VERSION with the newest packages that pyproject.toml admits
  local folder=.versions/$1
  [ -f "$folder/done" ] && return
  "python$1" -m venv "$folder" 2>"$folder.log" || return
  "$folder/bin/python" -m pip install -q ${PIP_EXTRA:-} -e '.[dev]' 2>"$folder.log" && touch "$folder/done"
}

mkdir -p .versions
for version in "$@"; do
  if ! "python$version" -c '' 2>/dev/null; then
    skip "$version" "no python$version here"
    continue
  fi
  if ! environment "$version"; then
    skip "$version" "$(tail -n 1 ".versions/$version.log")"
    continue
  fi
  python=.versions/$version/bin/python
  "$python" -c 'import torch, transformers, sys; print("python", sys.version.split()[0], "torch", torch.__version__, "transformers", transformers.__version__)'
  if OMP_NUM_THREADS=1 "$python" -m pytest -q -m "not slow" -p no:cacheprovider "${SLICE[@]}"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done
echo "versions: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
