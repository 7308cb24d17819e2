#!/usr/bin/env bash
# A codec on a CPU: recordings -> training -> health of the codec -> does it reach what it has to?
#
#   bash recipes/codec_16khz/run.sh --data ESC-50-master [--run runs/codec_16khz] [--seed 2036]
#     [--experiment codec_16khz_cpu] [--smoke]
#
# Every stage skips what is done and goes on where it was killed, so the same command is also the
# way to resume. --data takes other folders of sounds too, --experiment any of conf/experiment that
# trains a codec; what is expected binds the default on ESC-50 only. --smoke takes a few steps and
# checks nothing. It runs with .venv/bin/python, which `make setup` creates; PYTHON=... names another.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(run data seed experiment) paths=(run data)
run=runs/codec_16khz data='' seed=2036 experiment=codec_16khz_cpu smoke=''
source recipes/run.bash
need_data recipes/codec_16khz/README.md
need_experiment

recipe=folder steps=()
if [[ -f $data/meta/esc50.csv ]]; then recipe=esc50; fi
if [[ $smoke ]]; then
  steps=(logger=none trainer.max_steps=4 trainer.val_check_interval=2 trainer.log_every_n_steps=1 module.warmup_steps=1 module.kmeans_items=4)
fi
stage data "1/3 sounds from $data" "$python" -m "recipes.datasets.$recipe" "$data" --out "$run/data"
manifest=$run/data/manifest.jsonl
card_of "$manifest"
stage codec "2/3 train the codec" "$python" scripts/train_codec.py experiment="$experiment" \
  seed="$seed" data.train.manifest="$manifest" export_to="$run/codec" "${card[@]}" "${steps[@]}"
stage health "3/3 health of the codec" "$python" -m recipes.codec_16khz.health \
  --codec "$run/codec" --manifest "$manifest" --run "$run" --out "$run/health"
echo "open $run/health/health.html" >&2
if [[ $smoke ]]; then exit; fi
"$python" -m recipes.codec_16khz.gates --run "$run"
