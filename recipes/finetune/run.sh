#!/usr/bin/env bash
# A model learns your sounds: folder of sounds -> can its codec say them? -> codes -> fine-tuning ->
# what was learned, what was forgotten, what was learned by heart -> sounds -> page
#
#   bash recipes/finetune/run.sh --data FOLDER --model MODEL [--run runs/finetune] [--method lora]
#     [--updates 400] [--lr 1e-3] [--batch 16] [--crops 8] [--known FOLDER] [--keep 0.25]
#     [--min-files 3] [--with WORDS] [--seed 2036] [--smoke]
#
# --data: sounds with captions beside them, in a captions.csv or in their names (see
# recipes/datasets/folder.py). --model: a folder or hub id of a whole model. --method: lora trains
# small adapters, full all weights; --lr is that of its experiment, or yours. --crops: varied crops
# of each training clip; 0 takes the clips as they are, the default for 200 and more. --known: a
# folder of codes of sounds that the model was trained on, to measure what it forgets of them;
# --keep mixes such a share of them in. --min-files: of the folder, fewer usable sounds are an error.
# --with: more words for scripts/train_lm.py, between quotes.
# Every stage skips what is done and goes on where it was killed, so the same command is also the
# way to resume. --smoke takes a few steps and checks nothing. It runs with .venv/bin/python, which
# `make setup` creates; PYTHON=... names another.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(run data model method updates lr batch crops known keep min-files with seed) paths=(run data known)
run=runs/finetune data='' model='' method=lora updates=400 lr='' batch=16 crops='' known='' keep=0 min_files='' with='' seed=2036 smoke=''
source recipes/run.bash
need_data recipes/finetune/README.md
experiment=finetune_$method
need_experiment
if [[ ! $model ]]; then
  echo "error: --model needs the folder or hub id of a whole model to begin with; see recipes/finetune/README.md" >&2
  exit 2
fi
if [[ $model != /* && -e $from/$model ]]; then model=$from/$model; fi

if [[ $keep != 0 && ! $known ]]; then
  echo "error: --keep needs --known, the folder of the codes to keep" >&2
  exit 2
fi

fact() { # name; from base.json
  sed -n "s/^ \"$1\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" "$run/base.json"
}

recipe=folder steps=(updates="$updates") limit=() least=()
if [[ $lr ]]; then steps+=(optim.lr="$lr"); fi
if [[ $min_files ]]; then least=(--min-files "$min_files"); fi
read -r -a more <<< "$with"
if [[ -f $data/meta/esc50.csv || -f $data/meta/esc10.csv ]]; then recipe=esc50; fi
stage base "1/9 the model" "$python" -m recipes.finetune.base --model "$model" --run "$run"
base=$(fact folder) rate=$(fact sample_rate) seconds=$(fact seconds) device=$(fact device)
torch_device=cpu trainer=(trainer=cpu data.num_workers=0)
if [[ $device == gpu ]]; then torch_device=cuda trainer=(trainer=gpu data.num_workers=4 module.checkpoint_blocks=true); fi

stage data "2/9 sounds from $data" "$python" -m "recipes.datasets.$recipe" "$data" \
  --out "$run/data" --sample-rate "$rate" "${least[@]}"
manifest=$run/data/manifest.jsonl clips=$run/data/manifest.jsonl
card_of "$manifest"
stage codec "3/9 can the codec say them?" "$python" -m recipes.finetune.codec_check \
  --codec "$base" --manifest "$manifest" --out "$run/codec"
if [[ ! $crops ]]; then
  crops=0
  if (($(grep -c '"split": "train"' "$manifest") < 200)); then crops=8; fi
fi
if [[ $smoke ]]; then
  crops=1 limit=(--limit 3)
  steps=(updates=4 trainer.val_check_interval=2 trainer.log_every_n_steps=1 checkpoint_every=2 module.schedule.warmup=1)
fi
if [[ $crops != 0 ]]; then
  stage crops "4/9 crops" "$python" -m recipes.audiogen_cpu.crops "$manifest" \
    --seconds "$seconds" --count "$crops"
  clips=$run/data/crops.jsonl
fi
stage tokens "4/9 sounds to codes" "$python" scripts/encode_tokens.py codec_folder="$base" \
  manifest="$clips" out="$run/tokens" segment_duration="$seconds" device="$torch_device"
mixed=() judged=()
if [[ $known ]]; then
  mixed=(data.train.known="$known" data.train.share="$keep") judged=(--base-tokens "$known")
fi
stage lm "5/9 fine-tune" "$python" scripts/train_lm.py experiment="$experiment" "${trainer[@]}" \
  seed="$seed" lm.source="$base" tokens="$run/tokens" data.batch_size="$batch" samples=null \
  export_to="$run/model" "${card[@]}" "${steps[@]}" "${mixed[@]}" "${more[@]}"
pair=(--base "$base" --model "$run/model" --tokens "$run/tokens" --device "$torch_device")
stage judge "6/9 what held-out codes cost, before and after" "$python" -m recipes.finetune.judge \
  "${pair[@]}" "${judged[@]}" --out "$run/judged.json"
stage forgetting "7/9 how far it moved" "$python" -m recipes.finetune.forgetting \
  "${pair[@]}" --seed "$seed" --out "$run/forgetting.json"
stage samples "8/9 generate" "$python" -m recipes.finetune.samples \
  "${pair[@]}" --seed "$seed" "${limit[@]}" --out "$run/samples"
stage nearest "8/9 the nearest training clips" "$python" -m recipes.finetune.nearest \
  --samples "$run/samples" --model "$run/model" --manifest "$manifest" --out "$run/nearest"
stage report "9/9 page" "$python" -m recipes.finetune.report --run "$run" --out "$run/report.html"
echo "open $run/report.html" >&2
echo "the model is $run/model: audiogen generate --model $run/model \"...\"" >&2
if [[ $smoke ]]; then exit; fi
"$python" -m recipes.finetune.gates --run "$run"
