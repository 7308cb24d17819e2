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

run=runs/codec_16khz data='' seed=2036 experiment=codec_16khz_cpu smoke=''
while (($#)); do
  if [[ $1 == --help || $1 == -h ]]; then sed -n '2,11s/^# \{0,1\}//p' recipes/codec_16khz/run.sh; exit; fi
  if [[ $1 == --@(run|data|seed|experiment) && -z ${2-} ]]; then echo "error: $1 needs a value" >&2; exit 2; fi
  case $1 in
    --run) run=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --experiment) experiment=$2; shift 2 ;;
    --smoke) smoke=1; shift ;;
    *) echo "error: unknown argument $1; see --help" >&2; exit 2 ;;
  esac
done
if [[ ! $data ]]; then
  echo "error: --data needs the folder of ESC-50 or of other sounds; see recipes/codec_16khz/README.md" >&2
  exit 2
fi
if [[ ! -f conf/experiment/$experiment.yaml ]]; then
  echo "error: no conf/experiment/$experiment.yaml; see ls conf/experiment" >&2
  exit 2
fi
# Paths are the caller's; from elsewhere they become absolute.
python=${PYTHON:-.venv/bin/python}
if [[ $from != "$PWD" ]]; then
  if [[ $run != /* ]]; then run=$from/$run; fi
  if [[ $data != /* ]]; then data=$from/$data; fi
  if [[ ${PYTHON-} == */* && $PYTHON != /* ]]; then python=$from/$PYTHON; fi
fi
if [[ -d $python ]] || ! command -v "$python" > /dev/null; then
  echo "error: no program $python; \`make setup\` creates .venv, or set PYTHON=" >&2
  exit 2
fi
# Networks this small gain nothing from a second thread, and give the same numbers on any machine
# with one. The allocator keeps what it has instead of returning every buffer.
export OMP_NUM_THREADS=1 MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000
export AUDIOGEN_RUNS=$run WANDB_MODE=${WANDB_MODE:-offline} WANDB_SILENT=true

stage() { # name, title, command...
  "$python" -m recipes.stage --run "$run" --name "$1" --title "$2" -- "${@:3}"
}

recipe=folder steps=()
if [[ -f $data/meta/esc50.csv ]]; then recipe=esc50; fi
if [[ $smoke ]]; then
  steps=(logger=none trainer.max_steps=4 trainer.val_check_interval=2 trainer.log_every_n_steps=1 module.warmup_steps=1 module.kmeans_items=4)
fi
stage data "1/3 sounds from $data" "$python" -m "recipes.datasets.$recipe" "$data" --out "$run/data"
manifest=$run/data/manifest.jsonl
licences=$(sed -n 's/.*"licence": "\([^"]*\)".*/\1/p' "$manifest" | sort -u | paste -sd ';' | tr -cd '[:alnum:] .;,/()+-')
card=()
if [[ $licences ]]; then card=("+card.licence='$licences'"); fi
stage codec "2/3 train the codec" "$python" scripts/train_codec.py experiment="$experiment" \
  seed="$seed" data.train.manifest="$manifest" export_to="$run/codec" "${card[@]}" "${steps[@]}"
stage health "3/3 health of the codec" "$python" -m recipes.codec_16khz.health \
  --codec "$run/codec" --manifest "$manifest" --run "$run" --out "$run/health"
echo "open $run/health/health.html" >&2
if [[ $smoke ]]; then exit; fi
"$python" -m recipes.codec_16khz.gates --run "$run"
