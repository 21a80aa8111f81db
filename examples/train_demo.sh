#!/usr/bin/env bash
# Trains the bundled demo model from scratch: simulates and prepares a cohort, trains one preset in two passes, scores it,
# and copies the weights into the package. About two hours on two cores. The steps were run one by one; this file has not
# been run end to end. The evaluation cohort has another seed, so that none of its patients is trained on.
set -euo pipefail
cd "$(dirname "$0")/.."
ic=.venv/bin/intervalchange

$ic simulate cohorts/train --patients 3600 --seed 2 --pixels 256 --splits 85:15:0
$ic prepare mimic_diff_vqa cohorts/train prepared/train --pixels 256
# The second, short pass has less augmentation, and thresholds for at most 5% false changes on validation.
$ic train set_difference/answer --data prepared/train --out runs/demo-first --size small
$ic train set_difference/answer --data prepared/train --out runs/demo --size small --from runs/demo-first \
  --train.epochs 1 --train.learning_rate 0.0003 --train.augment 0.3 --model.max_false_change 0.05

$ic simulate cohorts/eval --patients 300 --seed 900001 --pixels 256 --splits 0:0:1
$ic prepare mimic_diff_vqa cohorts/eval prepared/eval --pixels 256
$ic predict runs/demo --data prepared/eval --out runs/demo.jsonl --controls
$ic score runs/demo.jsonl

.venv/bin/python examples/bundle.py runs/demo
