#!/usr/bin/env bash
# Scores on AudioCaps, from a model and a folder of test audio to a table beside published results:
# are model and networks there? -> audit of the audio -> choice of captions -> sounds -> scores -> table and page
#
#   bash recipes/audiocaps_metrics/run.sh MODEL AUDIO_FOLDER --csv test.csv [--run runs/audiocaps]
#     [--protocol audiocraft] [--captions random] [--list FILE] [--limit N] [--seed 2036]
#     [--duration 10] [--batch 32] [--processes 1] [--device auto] [--weights FOLDER]
#     [--cache FOLDER] [--workers 0] [--dtype float32] [--without NAME,NAME]
#   bash recipes/audiocaps_metrics/run.sh --generated SOUNDS AUDIO_FOLDER --csv test.csv
#   bash recipes/audiocaps_metrics/run.sh embedded --stand-in 8 --weights random
#
# MODEL: a model folder, a hub id such as facebook/audiogen-medium, or embedded. AUDIO_FOLDER: the
# clips, named in any of the usual ways; only read. --csv: test.csv of AudioCaps. --protocol: cards,
# with commas between several. --captions: random (one of each clip, by the seed), first, all, or
# listed, as --list says. --limit: only the first so many clips, for a trial. --generated: score
# these sounds, make none. --without: sounds that no card could score, such as a silent one, by the
# names of the files in RUN/generated; the table says so. --weights: folder of the pretrained
# networks; random takes networks of the right shapes with random weights, to try everything out.
# --stand-in: make so many procedural sounds and take them for the test set. Both mark every score.
# Every stage skips what is done and goes on where it was killed, so the same command is also the way
# to resume. Under srun and in SLURM job arrays each task makes its share of the sounds, and the last
# one scores. It runs with .venv/bin/python, which `make setup` creates; PYTHON=... names another.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# What is no option is MODEL and AUDIO_FOLDER; the rest is for run.bash.
given=() words=()
while (($#)); do
  if [[ $1 == --help || $1 == -h ]]; then words+=("$1")
  elif [[ $1 == --* ]]; then words+=("${@:1:2}"); if (($# > 1)); then shift; fi
  else given+=("$1"); fi
  shift
done
set -- "${words[@]}"

options=(run csv protocol captions list limit seed duration batch processes device weights cache workers dtype without generated stand-in text-encoder codec fast)
paths=(run csv list generated cache)
run=runs/audiocaps csv='' protocol=audiocraft captions=random list='' limit='' seed=2036 duration=10 batch=32 processes=1
device=auto weights='' cache='' workers='' dtype='' without='' generated='' stand_in='' text_encoder='' codec='' fast='' smoke=''
source recipes/run.bash

mistake() { echo "error: $1; see --help" >&2; exit 2; }
own() { if [[ $1 != /* && -e $from/$1 ]]; then echo "$from/$1"; else echo "$1"; fi; } # a path of the caller's, or a name

model='' audio=''
if [[ ! $generated ]]; then model=${given[0]-}; given=("${given[@]:1}"); fi
if [[ $stand_in ]]; then audio=$run/stand_in/audio csv=$run/stand_in/test.csv
else audio=${given[0]-}; given=("${given[@]:1}"); fi
if ((${#given[@]})); then mistake "${given[0]} is one word too many"; fi
if [[ ! $model && ! $generated ]]; then mistake "name a model, or sounds with --generated"; fi
if [[ ! $audio ]]; then mistake "name the folder of test audio, or take --stand-in 8"; fi
if [[ ! $csv ]]; then mistake "--csv needs the test.csv of AudioCaps"; fi
model=$(own "$model") audio=$(own "$audio")

IFS=, read -r -a cards <<< "$protocol"
for i in "${!cards[@]}"; do
  if [[ ${cards[i]} == *.* ]]; then cards[i]=$(own "${cards[i]}"); fi # a card of one's own
done
scoring=(--device "$device")
if [[ $weights ]]; then scoring+=(--weights "$(own "$weights")"); fi
if [[ $cache ]]; then scoring+=(--cache "$cache"); fi
if [[ $workers ]]; then scoring+=(--workers "$workers"); fi
if [[ $without ]]; then scoring+=("--without=$without"); fi
if [[ $dtype ]]; then scoring+=(--dtype "$dtype"); fi
if [[ ! $generated ]]; then
  stage check "1/7 is the model there?" "$python" -m recipes.audiocaps_metrics.generate --check --run "$run" --model "$model"
fi
for card in "${cards[@]}"; do
  stage check "1/7 can $card be scored here?" "$python" -m recipes.audiocaps_metrics.score --check --run "$run" --protocol "$card" "${scoring[@]}"
done

if [[ $stand_in ]]; then
  stage stand_in "2/7 a stand-in for the test set" "$python" -m recipes.audiocaps_metrics.stand_in \
    --out "$run/stand_in" --count "$stand_in" --seconds "$duration"
fi
stage audit "3/7 the test audio" "$python" -m recipes.audiocaps_metrics.audit "$audio" --csv "$csv" --out "$run/audit"
chosen=(--captions "$captions" --seed "$seed")
if [[ $list ]]; then chosen+=(--list "$list"); fi
if [[ $limit ]]; then chosen+=(--limit "$limit"); fi
stage captions "4/7 captions" "$python" -m recipes.audiocaps_metrics.choose --run "$run" --csv "$csv" "${chosen[@]}"
if [[ $generated ]]; then
  stage generate "5/7 the sounds to score" "$python" -m recipes.audiocaps_metrics.made \
    --run "$run" --csv "$csv" --generated "$generated"
else
  making=(--duration "$duration" --batch "$batch" --processes "$processes" --device "$device")
  if [[ $text_encoder ]]; then making+=(--text-encoder "$text_encoder"); fi
  if [[ $codec ]]; then making+=(--codec "$codec"); fi
  if [[ $fast ]]; then making+=(--fast "$fast"); fi
  stage generate "5/7 generate" "$python" -m recipes.audiocaps_metrics.generate --run "$run" --model "$model" "${making[@]}"
fi
if [[ ! -f $run/generated.json ]]; then echo "the last task to finish its share scores" >&2; exit; fi
# Tasks that finish at the same moment all find every sound made: the first of them scores. The lock
# goes with this process, however it ends; where there are no locks, several come to the same scores.
if command -v flock > /dev/null; then
  exec {lock}>> "$run/scoring.lock"
  code=0
  flock --nonblock --conflict-exit-code 75 "$lock" || code=$?
  if ((code == 75)); then echo "another task is scoring" >&2; exit; fi
fi
for card in "${cards[@]}"; do
  stage score "6/7 score by $card" "$python" -m recipes.audiocaps_metrics.score --run "$run" --protocol "$card" "${scoring[@]}"
done
stage table "7/7 table and page" "$python" -m recipes.audiocaps_metrics.table --run "$run"
echo "open $run/report.html" >&2
"$python" -m recipes.audiocaps_metrics.gates --run "$run"
