#!/usr/bin/env bash
# The bundled demo model from nothing: a simulated cohort, a prepared folder, one preset, and the weights into the package.
# The steps were run one by one, this file not yet end to end. The evaluation cohort is of another seed and never seen in training.
set -euo pipefail
cd "$(dirname "$0")/.."
ic=.venv/bin/intervalchange

$ic simulate cohorts/train --patients 2400 --seed 1 --pixels 256 --splits 9:1:0
$ic prepare mimic_diff_vqa cohorts/train prepared/train --pixels 256
# Two passes of the learning rate: the second starts from the first, with half the augmentation.
$ic train set_difference/answer --data prepared/train --out runs/demo-first --size small
$ic train set_difference/answer --data prepared/train --out runs/demo --size small --from runs/demo-first \
  --train.epochs 14 --train.augment 0.5 --train.eval_cases 600

$ic simulate cohorts/eval --patients 300 --seed 900000 --pixels 256 --splits 0:0:1
$ic prepare mimic_diff_vqa cohorts/eval prepared/eval --pixels 256
$ic predict runs/demo --data prepared/eval --out runs/demo.jsonl --controls
$ic score runs/demo.jsonl

.venv/bin/python examples/bundle.py runs/demo
