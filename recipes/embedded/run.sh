#!/usr/bin/env bash
# The embedded model on one CPU core, some hours: procedural sounds -> codec -> codes -> language
# model -> float16 -> how far it follows a caption.
#
#   bash recipes/embedded/run.sh [--run runs/embedded] [--seed 2036] [--into FOLDER] [--smoke]
#
# Every stage skips what is done and goes on where it was killed, so the same command is also the
# way to resume. --into audiogen/embedded/model puts the result into the package. --smoke takes a
# few steps per stage. It runs with .venv/bin/python, which `make setup` creates; PYTHON=... names
# another one.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(run seed into) paths=(run into)
run=runs/embedded seed=2036 into='' smoke=''
source recipes/run.bash

seconds=3 top_k=250 # of every sound; as `audiogen generate` draws
clips=(--train 6000 --valid 240 --test 288) probe_clips=1920
limit=() few=() codec_steps=() lm_steps=() probe_steps=()
if [[ $smoke ]]; then
  seconds=1 clips=(--train 36 --valid 12 --test 12) probe_clips=36 limit=(--limit 12) few=(--limit 2) probe_steps=(--steps 4)
  codec_steps=(trainer.max_steps=6 trainer.val_check_interval=3 module.warmup_steps=2 checkpoint_every=3
    codec.num_filters=2 codec.dimension=8 samples=null logger=csv)
  lm_steps=(trainer.max_steps=4 trainer.val_check_interval=2 checkpoint_every=2 lm.dim=20 samples=null
    logger=csv)
fi
card=(+card.licence=CC0-1.0 '+card.training_data="procedural sounds of AudioGen"')

stage data "1/10 procedural sounds" "$python" -m recipes.datasets.synthetic \
  --out "$run/data" --seed "$seed" --duration "$seconds" "${clips[@]}"
# The probe is trained on clips that neither codec nor language model ever hears.
stage probe_data "1/10 procedural sounds for the probe" "$python" -m recipes.datasets.synthetic \
  --out "$run/probe" --seed "$((seed + 1))" --duration "$seconds" --train "$probe_clips" --valid 0 --test 0
stage codec "2/10 train the codec" "$python" scripts/train_codec.py experiment=embedded_codec \
  seed="$seed" data.train.manifest="$run/data/manifest.jsonl" export_to="$run/codec" "${card[@]}" "${codec_steps[@]}"
stage half "3/10 round the codec" "$python" -m recipes.embedded.half "$run/codec" "$run/codec_half"
stage captions "4/10 the words of the captions" "$python" -m recipes.embedded.captions \
  --manifest "$run/data/manifest.jsonl" --seed "$seed"
stage tokens "5/10 sounds to codes" "$python" scripts/encode_tokens.py \
  codec_folder="$run/codec_half" manifest="$run/data/captioned.jsonl" out="$run/tokens" segment_duration="$seconds"
stage lm "6/10 train the language model" "$python" scripts/train_lm.py experiment=embedded_lm \
  seed="$seed" tokens="$run/tokens" codec_folder="$run/codec_half" export_to="$run/model" "${card[@]}" "${lm_steps[@]}"
stage build "7/10 round the language model" "$python" -m recipes.embedded.build --model "$run/model" --out "$run/embedded"
stage samples "8/10 generate" "$python" -m recipes.demo.samples --manifest "$run/data/captioned.jsonl" \
  --model "$run/embedded" --out "$run/samples" --duration "$seconds" --top-k "$top_k" --seed "$seed" "${limit[@]}"
stage probe "9/10 does it follow the caption?" "$python" -m recipes.demo.score \
  --probe-manifest "$run/probe/manifest.jsonl" --samples "$run/samples" --tokens "$run/tokens" \
  --duration "$seconds" --out "$run/scores.json" --seed "$seed" "${probe_steps[@]}"
stage prompts "9/10 does it follow people's own words?" "$python" -m recipes.embedded.prompts \
  --model "$run/embedded" --probe-manifest "$run/probe/manifest.jsonl" --out "$run/prompts.json" \
  --seed "$seed" "${few[@]}" "${probe_steps[@]}"
stage card "10/10 the model with its card" "$python" -m recipes.embedded.build --model "$run/model" \
  --out "${into:-$run/embedded}" --scores "$run/scores.json" --prompts "$run/prompts.json"
"$python" -m recipes.embedded.gates --run "$run"
