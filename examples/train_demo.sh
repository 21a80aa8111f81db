#!/usr/bin/env bash
# Trains the bundled demo model: simulates and prepares a cohort, prepares the real NIH films, trains one preset on both, scores it, and
# copies the weights into the package. About two hours on two cores. NIH: a folder laid out as NIH ChestX-ray14, with a split file.
# The steps were run one by one; this file has not been run end to end. No test patient of NIH and no patient of the evaluation
# cohort, which has another seed, is trained on.
set -euo pipefail
cd "$(dirname "$0")/.."
ic=.venv/bin/intervalchange
nih=${1:?give the folder of NIH ChestX-ray14, with split.csv in it}

$ic simulate cohorts/train --patients 3000 --seed 2 --pixels 128 --splits 85:15:0
$ic prepare mimic_diff_vqa cohorts/train prepared/sim --pixels 128
$ic prepare nih "$nih" prepared/nih --pixels 128 --split "$nih/split.csv"
$ic train set_difference/answer --data prepared/sim --data prepared/nih --mix 1:1 --out runs/demo --size both

# Below which confidence it should not answer: chosen on real validation pairs.
$ic predict runs/demo --data prepared/nih --split val --out runs/demo_val.jsonl
abstain=$($ic score runs/demo_val.jsonl --risk 0.5)

$ic simulate cohorts/eval --patients 300 --seed 900001 --pixels 256 --splits 0:0:1
$ic prepare mimic_diff_vqa cohorts/eval prepared/eval --pixels 256
$ic predict runs/demo --data prepared/eval --out runs/demo.jsonl --controls
$ic score runs/demo.jsonl

.venv/bin/python examples/bundle.py runs/demo --abstain-at "$abstain"
