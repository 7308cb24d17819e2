import json

import pytest

from audiogen.checkpoint import load_codec, load_model, save_codec
from audiogen.released import export_released
from recipes.finetune.base import NAME, find_base, main


def test_a_folder_of_ours_stays_where_it_is(base, tmp_path, capsys):
    assert main(["--model", str(base), "--run", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / NAME).read_text())
    assert facts["folder"] == str(base) == capsys.readouterr().out.strip()
    assert (facts["sample_rate"], facts["seconds"]) == (16_000, 0.5)
    assert facts["licence"] == "CC0-1.0"
    assert not (tmp_path / "base").exists()


def test_a_published_model_becomes_one_of_ours(base, tmp_path):
    model = load_model(base)
    try:
        export_released(model, tmp_path / "published")
    except ValueError as error:
        pytest.skip(f"a model of hashed words has no published form: {error}")
    facts = find_base(str(tmp_path / "published"), tmp_path / "run")
    assert facts["folder"] == str(tmp_path / "run" / "base")
    assert facts["codec"] == model.codec.fingerprint()


def test_what_is_no_whole_model_is_one_line(base, tmp_path, capsys):
    save_codec(load_codec(base), tmp_path / "codec")
    for model, said in [("codec", "holds a codec only"), ("nothing", "nothing")]:
        assert main(["--model", str(tmp_path / model), "--run", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "run" / NAME).exists()


def test_a_run_folder_is_one_models(base, tmp_path, make_model, capsys):
    other = make_model(tmp_path / "other", seed=1)
    assert main(["--model", str(base), "--run", str(tmp_path / "run")]) == 0
    assert main(["--model", str(base), "--run", str(tmp_path / "run")]) == 0
    assert main(["--model", str(other), "--run", str(tmp_path / "run")]) == 2
    assert "holds the fine-tuning of another model" in capsys.readouterr().err
