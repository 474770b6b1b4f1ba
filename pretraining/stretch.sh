#!/usr/bin/env bash
# A stretch of pre-training on a rented GPU whose commands are bounded in time; the training goes on between them.
#   bash pretraining/stretch.sh start EXTRAS [SECONDS]   install EXTRAS/wheels, start training, watch it so long (default 540)
#   bash pretraining/stretch.sh watch [SECONDS]          watch it until it ends or so long; copy the log to $OUT
#   bash pretraining/stretch.sh collect                  weights in parts of 15 MiB, log and provenance to $OUT; a folder
#                                                        $WORK/nano that `model.path` takes, with these weights
# MINUTES (18), WORKERS (15), AGAIN (2), RATE, SEED, TOKENS and MORE (further options) change the training; WORK is its
# folder. The learning rate follows MINUTES.
set -euo pipefail
WORK=${WORK:-/tmp/nano-stretch}
OUT=${OUT:-$WORK/out}
PYTHON=${PYTHON:-python3}

start() {
  local extras=$1
  rm -rf "$WORK" && mkdir -p "$WORK/run"
  cp -r pretraining src "$WORK/" && cp -r "$extras" "$WORK/extras"
  if [ -z "${NO_WHEELS:-}" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$WORK/site" "$WORK"/extras/wheels/*.whl
  fi
  cd "$WORK"
  export PYTHONPATH="$WORK:$WORK/src:$WORK/site" OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
  setsid nohup "$PYTHON" -m pretraining.train --mixture wide --extras extras --data extras/LaTeX_OCR \
    --init src/texlens/models/nano/model.safetensors --out run \
    --minutes "${MINUTES:-18}" --total-minutes "${MINUTES:-18}" --workers "${WORKERS:-15}" --seed "${SEED:-23}" \
    --tokens "${TOKENS:-24576}" --rate "${RATE:-1.2e-3}" --warm-up-steps 300 --again "${AGAIN:-2}" \
    --first-until 0 --second-until 0.7 --decay-from 0.25 ${MORE:-} > run/output.txt 2>&1 < /dev/null &
  echo $! > run/pid
}

watch() {
  local until=$((SECONDS + $1))
  while [ $SECONDS -lt $until ] && kill -0 "$(cat "$WORK/run/pid")" 2> /dev/null; do sleep 2; done
  mkdir -p "$OUT"
  cp "$WORK"/run/{output.txt,log.jsonl,provenance.json} "$OUT/" 2> /dev/null || true
  tail -n 12 "$WORK/run/output.txt"
  if kill -0 "$(cat "$WORK/run/pid")" 2> /dev/null; then echo "still training"; else echo "training has ended"; fi
}

collect() {
  watch 1
  split -b 15m "$WORK/run/model.safetensors" "$OUT/model.safetensors.part-"
  (cd "$WORK/run" && sha256sum model.safetensors) | tee "$OUT/sha256.txt"
  rm -rf "$WORK/nano" && cp -r "$WORK/src/texlens/models/nano" "$WORK/nano" && cp "$WORK/run/model.safetensors" "$WORK/nano/"
  ls -l "$OUT"
}

case ${1:-} in
  start) start "$2" && watch "${3:-540}" ;;
  watch) watch "${2:-560}" ;;
  collect) collect ;;
  *) sed -n 2,8p "$0" && exit 2 ;;
esac
