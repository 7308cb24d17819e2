import numpy as np
import pytest

from recipes.audiogen_cpu.judge import gain
from recipes.audiogen_cpu.pool import main, pool


def test_clips_of_all_runs_count_alike(tmp_path, write_run, make_judged):
    found = [make_judged(prefix=p, worth=w) for p, w in (("a", 0.05), ("b", 0.2))]
    runs = [write_run(tmp_path / str(i), found=f) for i, f in enumerate(found)]
    clips = [clip for f in found for clip in f["clips"]]
    differences = np.array([c["nats"]["no_caption"] - c["nats"]["caption"] for c in clips])
    pooled = pool(runs)
    assert pooled["no_caption"] == gain(differences)
    assert pooled["no_caption"]["n"] == 48


def test_command(tmp_path, capsys, write_run, make_judged):
    one, two = (write_run(tmp_path / p, found=make_judged(prefix=p)) for p in "ab")
    assert main([str(one), str(two)]) == 0
    assert "shuffled - caption: +0." in capsys.readouterr().out
    useless = write_run(tmp_path / "c", found=make_judged(prefix="c", worth=0.0))
    assert main([str(useless)]) == 1
    assert main([str(one), str(one)]) == 2
    assert "a0 was held out by a run before it as well" in capsys.readouterr().err
    assert main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("error: ") == 1


def test_one_run_is_pooled_to_itself(tmp_path, write_run, make_judged):
    found = make_judged()
    assert pool([write_run(tmp_path / "a", found=found)])["shuffled"]["nats"] == pytest.approx(
        found["gains"]["shuffled"]["nats"]
    )
