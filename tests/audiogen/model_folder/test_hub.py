"""Hub ids without a network: where they go, and what is said when nothing answers."""

import os
import subprocess
import sys

import pytest

from audiogen.checkpoint import load_codec, load_model
from audiogen.model_folder import hub


def test_offline_hub_id():
    with pytest.raises(FileNotFoundError, match="neither a folder here nor in the hub's cache"):
        load_model("nobody/no-such-model")


COUNT = """
import os, socket, sys, time
port = socket.socket()
port.bind(("127.0.0.1", 0))  # and nobody listens
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{port.getsockname()[1]}"
asked, slept = [], []
sys.addaudithook(lambda event, args: event == "socket.connect" and asked.append(args))
time.sleep = slept.append
from audiogen.model_folder import hub
try:
    getattr(hub, sys.argv[1])("nobody/no-such-model")
except hub.HubError as error:
    print(len(asked), len(slept), error)
"""


@pytest.mark.parametrize("resolve", ["resolve", "resolve_codec"])
def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(tmp_path, resolve):
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env = {**kept, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", COUNT, resolve]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    asked, slept, answer = done.stdout.split(maxsplit=2)
    assert 1 <= int(asked) <= 3  # is it published, what is there, and one of the client's own
    assert int(slept) == 0
    assert "the hub cannot be reached" in answer


def test_a_published_codec_in_the_cache_needs_no_answer(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--someone--codec" / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (folder / hub.CODEC_FILE).touch()
    (tmp_path / "models--someone--codec" / "refs").mkdir()
    (tmp_path / "models--someone--codec" / "refs" / "main").write_text("0" * 40)
    assert hub.resolve_codec("someone/codec") == folder / hub.CODEC_FILE


def test_hub_id_in_the_published_layout(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "file_exists", lambda _, name: name == "state_dict.bin")
    with pytest.raises(hub.HubError, match="facebook/audiogen-medium is in the published layout"):
        load_model("facebook/audiogen-medium")


def test_hub_id_of_our_layout(monkeypatch, model, saved):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **keywords: asked.append((name, keywords)) or str(saved),
    )
    assert load_codec("someone/model").fingerprint() == model.codec.fingerprint()
    assert asked == [("someone/model", {"allow_patterns": hub.OUR_FILES})]


def test_a_codec_of_ours_in_the_cache_is_not_asked_for_in_another_layout(monkeypatch, model, saved):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(saved))
    monkeypatch.setattr(huggingface_hub, "file_exists", None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(saved))
    assert load_codec("someone/model").fingerprint() == model.codec.fingerprint()


def test_push_to_hub_uploads_the_folder(monkeypatch, model):
    import huggingface_hub

    seen = {}

    class Api:
        def create_repo(self, name, **keywords):
            seen["repo"] = (name, keywords)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            seen["codec"] = load_codec(folder_path).fingerprint()
            return type("Commit", (), {"repo_url": f"hub/{repo_id}"})()

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert model.push_to_hub("me/model") == "hub/me/model"
    assert seen["repo"] == ("me/model", {"private": True, "exist_ok": True})
    assert seen["codec"] == model.codec.fingerprint()
    with pytest.raises(ValueError, match="org/name"):
        model.push_to_hub("model")


def test_push_to_hub_offline(model):
    with pytest.raises(FileNotFoundError, match="hub cannot be reached"):
        model.push_to_hub("me/model")
