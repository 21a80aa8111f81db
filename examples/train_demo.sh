#!/usr/bin/env bash
# Trains the bundled demo model: simulated films (seed 2) and the training films of an NIH folder laid out as ../shared/data/nih_films,
# from ImageNet, in two passes; measures it on simulated patients of another seed and on real films; copies the weights into the
# package. About four hours on two cores. The steps were run one by one; this file has not been run end to end.
#
# bash examples/train_demo.sh ../shared/data/nih_films ../shared/data/cxr_longitudinal
set -euo pipefail
nih=$(realpath "$1") longitudinal=$(realpath "$2")
cd "$(dirname "$0")/.."
ic=.venv/bin/intervalchange

$ic simulate cohorts/train --patients 3000 --seed 2 --pixels 128 --splits 85:15:0
$ic prepare mimic_diff_vqa cohorts/train prepared/sim --pixels 128
$ic prepare nih "$nih" prepared/nih --pixels 128 --split "$nih/split.csv"
# Each pass is 125 CPU minutes. The first reads findings from the maps alone and does not make the rates of the sources even.
$ic train set_difference/answer --data prepared/sim --data prepared/nih --mix 1:1 --out runs/demo-first --size both \
  --model.whole_film false --model.even_rates false
$ic train set_difference/answer --data prepared/sim --data prepared/nih --mix 2:3 --out runs/demo --size both --from runs/demo-first

$ic simulate cohorts/eval --patients 300 --seed 900001 --pixels 256 --splits 0:0:1
$ic prepare mimic_diff_vqa cohorts/eval prepared/eval --pixels 256
$ic predict runs/demo --data prepared/eval --out runs/demo.jsonl --controls
$ic score runs/demo.jsonl
# Below which confidence it says "I am not sure": the risk on real validation pairs.
$ic predict runs/demo --data prepared/nih --split val --out runs/demo_nih_val.jsonl
$ic score runs/demo_nih_val.jsonl --risk 0.3333
.venv/bin/python benchmarks/real_films.py runs/demo --nih "$nih" --longitudinal "$longitudinal"

.venv/bin/python examples/bundle.py runs/demo --abstain-at "${ABSTAIN_AT:-0.219211}"
