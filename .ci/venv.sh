#!/usr/bin/env bash
# Makes .venv as requirements.lock says, and installs the project into it. `make` calls it when .venv/.complete is
# older than pyproject.toml or the lock. It may be killed at any moment, run again, and run beside itself.
# BASE_PYTHON names the interpreter to build on; without it the first fitting one of the list below is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
complete=$venv/.complete # made last
marker=$venv/.installing # made first, removed last: still there means the install was killed half way
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

fail() {
    echo "error: $*" >&2
    exit 2
}

find_python() {
    local candidate seen=""
    for candidate in ${BASE_PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if "$candidate" -c "$fits" 2>/dev/null; then
            "$candidate" -c 'import venv, ensurepip' 2>/dev/null ||
                fail "$candidate has no venv module; on Debian and Ubuntu it is in the package python3-venv"
            echo "$candidate"
            return
        fi
        seen+=" $candidate: $("$candidate" --version 2>/dev/null || echo not found);"
    done
    fail "Python 3.11 is needed (3.12 and 3.13 are accepted), saw$seen install it, or name it: make BASE_PYTHON=/path/to/python3.11"
}

# One install at a time; the lock is on a file that is always there, so nothing is left behind.
exec 9<requirements.lock
if command -v flock >/dev/null; then flock 9; fi
if [[ $complete -nt pyproject.toml && $complete -nt requirements.lock && ! -e $marker ]]; then exit 0; fi

rm -rf "$venv.broken"
if [[ -e $marker ]] || { [[ -e $venv ]] && ! "$venv/bin/python" -c pass 2>/dev/null; }; then
    echo "$venv was left half made: starting over" >&2
    mv "$venv" "$venv.broken" # first out of the way in one step, so that a kill cannot leave half of it looking whole
    rm -rf "$venv.broken"
fi
if [[ -e $venv ]] && ! "$venv/bin/python" -c "$fits"; then
    fail "$venv holds $("$venv/bin/python" --version), and 3.11 is needed: remove it with make clean, then run this again"
fi

base=$(find_python)
rm -f "$complete"
mkdir -p "$venv"
touch "$marker"
if [[ ! -e $venv/bin/python ]]; then "$base" -m venv "$venv"; fi

# uv unpacks 5 GB in seconds where pip takes minutes. Its version stands in the lock like every other.
python=$venv/bin/python
uv_pin=$(grep -m1 '^uv==' requirements.lock)
if [[ $("$python" -m uv --version 2>/dev/null) != "uv ${uv_pin#uv==}"* ]]; then
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
    "$python" -m pip install --quiet --disable-pip-version-check "$uv_pin"
fi
"$python" -m uv pip install --python "$python" --build-constraints requirements.lock --requirements requirements.lock
"$python" -m uv pip install --python "$python" --offline --no-deps --no-build-isolation --editable .

touch "$complete"
rm -f "$marker"
