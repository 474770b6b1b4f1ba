#!/usr/bin/env bash
# Make the folder that a stretch takes along: train rows, fonts, formulas set by other engines, wheels.
#   bash pretraining/extras.sh LATEX_OCR WORK            fonts and packages to WORK, the result to WORK/extras (33 MB)
# Debian's apt-get and dpkg-deb, node, npm, Chromium and Python with pip are needed. What is in WORK already (fonts/,
# node_modules/katex, site/, typeset-*.parquet) is taken as it is. KATEX (5500) and ZIAMATH (3000) are numbers of rows,
# PYTHON_VERSION (3.12) is that of the machine with the GPU.
set -euo pipefail
[ $# -eq 2 ] || { sed -n 2,6p "$0"; exit 2; }
latex_ocr=$1 work=$2
PYTHON=${PYTHON:-python3}
PACKAGES="fonts-texgyre-math fonts-oflb-asana-math texlive-fonts-extra"
mkdir -p "$work/fonts" "$work/extras/wheels"
work=$(realpath "$work")
export PYTHONPATH="$PWD:$PWD/src:$work/site${PYTHONPATH:+:$PYTHONPATH}"

fonts() {
  local names missing=""
  names=$("$PYTHON" -c "from pretraining.wide.fonts import EXTRA; print(*EXTRA.values(), sep='\n')")
  for name in $names; do [ -s "$work/fonts/$name" ] || missing="$missing $name"; done
  [ -n "$missing" ] || return 0
  mkdir -p "$work/packages"
  # shellcheck disable=SC2086
  (cd "$work/packages" && apt-get download -q $PACKAGES)
  for package in "$work"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/packages" --wildcards '*.otf'
  done
  for name in $missing; do
    find "$work/packages" -name "$name" -exec cp {} "$work/fonts/" \;
    [ -s "$work/fonts/$name" ] || { echo "$name is in none of the packages $PACKAGES"; exit 1; }
  done
  rm -rf "$work/packages"
}

fonts
[ -d "$work/node_modules/katex" ] || npm install --silent --prefix "$work" katex
[ -d "$work/site/ziamath" ] || "$PYTHON" -m pip install -q --target "$work/site" --no-deps ziamath ziafont latex2mathml
katex=$work/typeset-katex.parquet ziamath=$work/typeset-ziamath.parquet
[ -s "$katex" ] || "$PYTHON" -m pretraining.wide.katex "$latex_ocr" "$katex" --katex "$work/node_modules/katex" --rows "${KATEX:-5500}"
[ -s "$ziamath" ] || "$PYTHON" -m pretraining.wide.ziamath "$latex_ocr" "$ziamath" --fonts "$work/fonts" --rows "${ZIAMATH:-3000}"
"$PYTHON" -m pretraining.wide.carry "$latex_ocr" "$work/extras" --fonts "$work/fonts" --typeset "$katex" "$ziamath"
"$PYTHON" -m pip download -q --only-binary=:all: --python-version "${PYTHON_VERSION:-3.12}" --platform any \
  --platform manylinux2014_x86_64 --platform manylinux_2_12_x86_64 -d "$work/extras/wheels" pydantic platformdirs freetype-py
du -sh "$work/extras"
