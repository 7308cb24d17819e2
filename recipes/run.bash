# What the run.sh of the recipes share. Each sets its defaults and sources this at the project's root:
#
#   options=(run seed) paths=(run) run=runs/demo seed=2036 smoke=''
#   source recipes/run.bash    # reads "$@"
#
# options are the words that take a value, each with a variable of its name, - being _ there; paths
# are those among them that name files. The head of the run.sh, up to the first line that is no
# comment, is its help.
# Set afterwards: the variables, `python`, what the programs read from the environment, and `stage`.
script=$0
if [[ $0 != /* ]]; then script=$from/$0; fi

while (($#)); do
  if [[ $1 == --help || $1 == -h ]]; then sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$script"; exit; fi
  if [[ $1 == --smoke ]]; then smoke=1; shift; continue; fi
  if [[ $1 != --* || " ${options[*]} " != *" ${1#--} "* ]]; then
    echo "error: unknown argument $1; see --help" >&2
    exit 2
  fi
  if [[ -z ${2-} ]]; then echo "error: $1 needs a value" >&2; exit 2; fi
  word=${1#--}
  printf -v "${word//-/_}" %s "$2"
  shift 2
done

# Paths are the caller's; from elsewhere they become absolute.
python=${PYTHON:-.venv/bin/python}
if [[ $from != "$PWD" ]]; then
  for name in "${paths[@]}"; do
    if [[ ${!name} && ${!name} != /* ]]; then printf -v "$name" %s "$from/${!name}"; fi
  done
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

need_data() { # README
  if [[ $data ]]; then return; fi
  echo "error: --data needs the folder of ESC-50 or of other sounds; see $1" >&2
  exit 2
}

need_experiment() {
  if [[ -f conf/experiment/$experiment.yaml ]]; then return; fi
  echo "error: no conf/experiment/$experiment.yaml; see ls conf/experiment" >&2
  exit 2
}

stage() { # name, title, command...
  "$python" -m recipes.stage --run "$run" --name "$1" --title "$2" -- "${@:3}"
}

card_of() { # manifest; sets card, what the model card says of the sounds
  local licences
  licences=$(sed -n 's/.*"licence": "\([^"]*\)".*/\1/p' "$1" | sort -u | paste -sd ';' | tr -cd '[:alnum:] .;,/()+-')
  card=()
  if [[ $licences ]]; then card=("+card.licence='$licences'"); fi
}
