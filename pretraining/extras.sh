#!/usr/bin/env bash
# Make the folder that a stretch takes along: train rows, fonts, formulas set by other engines, wheels.
#   bash pretraining/extras.sh LATEX_OCR NODE_MODULES FONTS EXTRAS
# NODE_MODULES holds katex (npm install katex), FONTS the files that pretraining/wide/fonts.py names (Debian's
# fonts-texgyre-math, fonts-oflb-asana-math, texlive-fonts-extra); node, Chromium and ziamath (pip install ziamath) are
# needed. KATEX (5500) and ZIAMATH (3000) are numbers of rows, PYTHON_VERSION (3.12) that of the machine with the GPU.
# Rows that are there already (EXTRAS/../typeset-*.parquet) are not made again.
set -euo pipefail
[ $# -eq 4 ] || { sed -n 2,7p "$0"; exit 2; }
latex_ocr=$1 node_modules=$2 fonts=$3 extras=$4
PYTHON=${PYTHON:-python3}
mkdir -p "$extras/wheels"
katex=$extras/../typeset-katex.parquet ziamath=$extras/../typeset-ziamath.parquet
[ -s "$katex" ] || "$PYTHON" -m pretraining.wide.katex "$latex_ocr" "$katex" --katex "$node_modules/katex" --rows "${KATEX:-5500}"
[ -s "$ziamath" ] || "$PYTHON" -m pretraining.wide.ziamath "$latex_ocr" "$ziamath" --fonts "$fonts" --rows "${ZIAMATH:-3000}"
"$PYTHON" -m pretraining.wide.carry "$latex_ocr" "$extras" --fonts "$fonts" --typeset "$katex" "$ziamath"
"$PYTHON" -m pip download -q --only-binary=:all: --no-deps --python-version "${PYTHON_VERSION:-3.12}" \
  --platform manylinux2014_x86_64 --platform manylinux_2_12_x86_64 --platform any -d "$extras/wheels" \
  pydantic pydantic_core annotated_types typing_inspection platformdirs freetype-py
du -sh "$extras"
