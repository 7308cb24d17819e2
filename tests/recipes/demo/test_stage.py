"""One stage of the demo: its exit code, its row, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
# Takes a moment to save when it is interrupted, as training does.
SAVES = """
import signal, sys, time
def stop(*_):
    time.sleep(1)
    print("saved", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
time.sleep(60)
"""


def test_ctrl_c_waits_for_the_command_to_save(tmp_path):
    stage = [sys.executable, "-m", "recipes.demo.stage", "--run", str(tmp_path), "--name", "lm"]
    with subprocess.Popen(
        [*stage, "--title", "4/8", "--", sys.executable, "-c", SAVES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        printed, said = process.communicate(timeout=30)
    assert printed == "saved\n"
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "to go on, start the same command again" in said
    assert json.loads((tmp_path / "stages.jsonl").read_text())["exit"] == 130
