#!/usr/bin/env bash
# The whole road on a CPU: sounds -> codec -> codes -> language model -> sounds -> scores -> report.
#
#   bash recipes/demo/run.sh [--run runs/demo] [--data FOLDER] [--seed 2036] [--smoke]
#
# Without --data the sounds are procedural. Every stage skips what is done and goes on where it was
# killed, so the same command is also the way to resume. --smoke takes a few steps per stage.
# It runs with .venv/bin/python, which `make setup` creates; PYTHON=... names another one.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(run data seed) paths=(run data)
run=runs/demo data='' seed=2036 smoke=''
source recipes/run.bash

card=() limit=() codec_steps=() lm_steps=() clips=() probe_steps=() probe_clips=1920
if [[ $smoke ]]; then
  probe_clips=36 clips=(--train 36 --valid 12 --test 12) limit=(--limit 12) probe_steps=(--steps 20)
  codec_steps=(trainer.max_steps=8 trainer.val_check_interval=4 module.warmup_steps=2 checkpoint_every=4)
  lm_steps=(trainer.max_steps=8 trainer.val_check_interval=4 checkpoint_every=4)
fi

if [[ $data ]]; then
  recipe=folder
  if [[ -f $data/meta/esc50.csv ]]; then recipe=esc50; fi
  stage data "1/8 sounds from $data" "$python" -m "recipes.datasets.$recipe" "$data" --out "$run/data"
  probe=$run/data/manifest.jsonl
  card_of "$probe"
else
  stage data "1/8 procedural sounds" "$python" -m recipes.datasets.synthetic \
    --out "$run/data" --seed "$seed" "${clips[@]}"
  # The probe is trained on clips that neither codec nor language model ever hears.
  stage probe_data "1/8 procedural sounds for the probe" "$python" -m recipes.datasets.synthetic \
    --out "$run/probe" --seed "$((seed + 1))" --train "$probe_clips" --valid 0 --test 0
  probe=$run/probe/manifest.jsonl
  card=(+card.licence=CC0-1.0 '+card.training_data="procedural sounds of AudioGen"')
fi
stage codec "2/8 train the codec" "$python" scripts/train_codec.py experiment=demo_codec \
  seed="$seed" data.train.manifest="$run/data/manifest.jsonl" export_to="$run/codec" "${card[@]}" "${codec_steps[@]}"
stage tokens "3/8 sounds to codes" "$python" scripts/encode_tokens.py \
  codec_folder="$run/codec" manifest="$run/data/manifest.jsonl" out="$run/tokens" segment_duration=2
stage lm "4/8 train the language model" "$python" scripts/train_lm.py experiment=demo_lm \
  seed="$seed" tokens="$run/tokens" codec_folder="$run/codec" export_to="$run/model" "${card[@]}" "${lm_steps[@]}"
stage samples "5/8 generate" "$python" -m recipes.demo.samples \
  --manifest "$run/data/manifest.jsonl" --model "$run/model" --out "$run/samples" --seed "$seed" "${limit[@]}"
stage probe "6/8 does it follow the caption?" "$python" -m recipes.demo.score --probe-manifest "$probe" \
  --samples "$run/samples" --tokens "$run/tokens" --out "$run/scores.json" --seed "$seed" "${probe_steps[@]}"
stage evaluation "7/8 evaluate" "$python" -m evaluation "$run/samples/reference" \
  "$run/samples/generated" --protocol demo --json "$run/evaluation.json" > /dev/null
stage report "8/8 report" "$python" -m recipes.demo.report --run "$run" --out "$run/report.html"
echo "open $run/report.html" >&2
