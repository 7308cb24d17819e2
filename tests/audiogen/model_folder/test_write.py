"""Model folders as they are written; what a kill leaves is in test_replace.py."""

import pytest
from safetensors import SafetensorError

from audiogen.files import full_disk
from audiogen.model_folder.layout import CheckpointError


def test_files_are_as_readable_as_any_new_file(saved):
    (saved / "new").touch()
    modes = {path.name: path.stat().st_mode for path in saved.iterdir()}
    assert len(modes) > 3
    assert set(modes.values()) == {modes["new"]}, modes


def test_a_folder_of_something_else_is_not_replaced(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="will not write a model over"):
        model.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_is_said_as_every_other_full_disk(model, tmp_path, monkeypatch):
    """Safetensors has a class of its own for it; a traceback is what came of that."""

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")

    monkeypatch.setattr("audiogen.model_folder.write.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device: .*codec\.safetensors") as caught:
        model.save_pretrained(tmp_path / "m")
    assert full_disk(caught.value) is not None
    assert not list(tmp_path.iterdir())
