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

run=runs/demo data='' seed=2036 smoke=''
while (($#)); do
  if [[ $1 == --help || $1 == -h ]]; then sed -n '2,8s/^# \{0,1\}//p' recipes/demo/run.sh; exit; fi
  if [[ $1 == --@(run|data|seed) && -z ${2-} ]]; then echo "error: $1 needs a value" >&2; exit 2; fi
  case $1 in
    --run) run=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --smoke) smoke=1; shift ;;
    *) echo "error: unknown argument $1; see --help" >&2; exit 2 ;;
  esac
done
# Paths are the caller's; from elsewhere they become absolute.
python=${PYTHON:-.venv/bin/python}
if [[ $from != "$PWD" ]]; then
  if [[ $run != /* ]]; then run=$from/$run; fi
  if [[ $data && $data != /* ]]; then data=$from/$data; fi
  if [[ ${PYTHON-} == */* && $PYTHON != /* ]]; then python=$from/$PYTHON; fi
fi
if [[ -d $python ]] || ! command -v "$python" > /dev/null; then
  echo "error: no program $python; \`make setup\` creates .venv, or set PYTHON=" >&2
  exit 2
fi
# Networks this small gain nothing from a second thread, and give the same numbers on any machine
# with one. The allocator keeps what it has instead of returning every buffer: a fifth of the time.
export OMP_NUM_THREADS=1 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000
export AUDIOGEN_RUNS=$run WANDB_MODE=${WANDB_MODE:-offline} WANDB_SILENT=true

stage() { # name, title, command...
  "$python" -m recipes.stage --run "$run" --name "$1" --title "$2" -- "${@:3}"
}

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
  licences=$(sed -n 's/.*"licence": "\([^"]*\)".*/\1/p' "$probe" | sort -u | paste -sd ';' | tr -cd '[:alnum:] .;,/()+-')
  if [[ $licences ]]; then card=("+card.licence='$licences'"); fi
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
