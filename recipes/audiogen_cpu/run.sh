#!/usr/bin/env bash
# A language model on recordings, on a CPU: recordings -> codec -> codes -> language model -> does it
# use its captions on clips it never saw? -> sounds -> report
#
#   bash recipes/audiogen_cpu/run.sh --data ESC-50-master [--codec runs/codec_16khz/codec]
#     [--run runs/audiogen_cpu] [--seed 2036] [--experiment audiogen_cpu] [--smoke]
#
# Every stage skips what is done and goes on where it was killed, so the same command is also the
# way to resume. Without --codec one is trained first, an hour. --data takes other captioned folders
# of sounds too; what is expected binds the default experiment on ESC-50 only. --smoke takes a few
# steps and checks nothing. It runs with .venv/bin/python, which `make setup` creates; PYTHON=...
# names another.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(run data codec seed experiment) paths=(run data codec)
run=runs/audiogen_cpu data='' codec='' seed=2036 experiment=audiogen_cpu smoke=''
source recipes/run.bash
need_data recipes/audiogen_cpu/README.md
need_experiment
if [[ $codec && ! -f $codec/config.json ]]; then
  echo "error: $codec is not the folder of a codec; leave --codec out to train one" >&2
  exit 2
fi

recipe=folder codec_steps=() lm_steps=() limit=(--limit 40) crops=40
if [[ -f $data/meta/esc50.csv || -f $data/meta/esc10.csv ]]; then recipe=esc50; fi
if [[ $smoke ]]; then
  crops=2 limit=(--limit 2)
  codec_steps=(logger=none trainer.max_steps=4 trainer.val_check_interval=2 trainer.log_every_n_steps=1 module.warmup_steps=1 module.kmeans_items=4)
  lm_steps=(trainer.max_steps=4 trainer.val_check_interval=2 trainer.log_every_n_steps=1 checkpoint_every=2)
fi
stage data "1/7 sounds from $data" "$python" -m "recipes.datasets.$recipe" "$data" --out "$run/data"
manifest=$run/data/manifest.jsonl
card_of "$manifest"
if [[ ! $codec ]]; then
  codec=$run/codec
  stage codec "2/7 train the codec" "$python" scripts/train_codec.py experiment=codec_16khz_cpu \
    seed="$seed" data.train.manifest="$manifest" export_to="$codec" "${card[@]}" "${codec_steps[@]}"
fi
stage crops "3/7 crops" "$python" -m recipes.audiogen_cpu.crops "$manifest" --count "$crops"
stage tokens "3/7 sounds to codes" "$python" scripts/encode_tokens.py \
  codec_folder="$codec" manifest="$run/data/crops.jsonl" out="$run/tokens" segment_duration=1
stage lm "4/7 train the language model" "$python" scripts/train_lm.py experiment="$experiment" \
  seed="$seed" tokens="$run/tokens" codec_folder="$codec" export_to="$run/model" "${card[@]}" "${lm_steps[@]}"
stage judge "5/7 what held-out codes cost" "$python" -m recipes.audiogen_cpu.judge \
  --model "$run/model" --tokens "$run/tokens" --out "$run/judged"
stage samples "6/7 generate" "$python" -m recipes.demo.samples \
  --manifest "$manifest" --model "$run/model" --out "$run/samples" --seed "$seed" "${limit[@]}"
stage report "7/7 report" "$python" -m recipes.audiogen_cpu.report --run "$run" --out "$run/report.html"
echo "open $run/report.html" >&2
if [[ $smoke ]]; then exit; fi
"$python" -m recipes.audiogen_cpu.gates --run "$run"
