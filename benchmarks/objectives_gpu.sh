#!/usr/bin/env bash
# What the objectives bring to nano, on one GPU with 16 cores, in about 350 s: GRPO, preferences and best of n against
# continued fine-tuning, with auxiliary answers beside the runs that are not GRPO's.
#
#     bash benchmarks/objectives_gpu.sh OUTPUT_FOLDER [MINUTES] [WORK_FOLDER]
set -u
out=$1 minutes=${2:-2} work=${3:-build/objectives} python=${PYTHON:-python3}
mkdir -p "$out" "$work"
here=$(dirname "$0") log=$out/grpo_nano.log
keep() { tar czf "$out/objectives-runs.tgz" -C "$work" $(cd "$work" && find . -name "*.scores.json" -o -name metrics.jsonl -o -name "*.log" -o -name run.json); }
trap keep EXIT
$python "$here/grpo_nano.py" --work "$work/grpo" --minutes "$minutes" --prompts 64 --answers 8 --updates 4 --output "$out/grpo-nano.json" \
  --try grpo-1e-4-hot grpo-3e-4-hot-decayed continued-1e-4 continued-5e-4 \
  dpo-2e-5 dpo-1e-4 kto-2e-5 kto-1e-4 orpo-1e-4 orpo-5e-4 best-1e-4 best-5e-4 >"$log" 2>&1 &
objectives=$!
while kill -0 $objectives 2>/dev/null && ! grep -q "the other runs" "$log"; do sleep 1; done
$python "$here/auxiliary_answers.py" --work "$work/auxiliary" --output "$out" \
  --steps 165 --rows 260 --side-by-side --probe-steps 100 >"$out/auxiliary.log" 2>&1 &
wait $!
wait $objectives
grep " s  " "$log"
