"""Hub ids, from a hub on this machine and without a network, and what is said when none answers."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from audiogen.checkpoint import load_codec, load_model
from audiogen.model_folder import hub, known
from audiogen.pipeline import AudioGen

from .fake_hub import Hub, serve


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


def test_a_hub_that_takes_calls_and_says_nothing_is_not_waited_for(monkeypatch, tmp_path):
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(hub, "ANSWER", 0.2)
        with pytest.raises(FileNotFoundError, match="the hub cannot be reached"):
            hub.resolve("someone/model")


def test_a_published_codec_in_the_cache_needs_no_answer(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--someone--codec" / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (folder / hub.CODEC_FILE).touch()
    (tmp_path / "models--someone--codec" / "refs").mkdir()
    (tmp_path / "models--someone--codec" / "refs" / "main").write_text("0" * 40)
    assert hub.resolve_codec("someone/codec") == folder / hub.CODEC_FILE


COMMITS = ("a" * 40, "b" * 40)


@pytest.fixture
def served(monkeypatch, tmp_path):
    """A hub on this machine, with an empty cache."""
    from huggingface_hub import constants

    answers = Hub()
    with serve(answers) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield answers


@pytest.fixture
def go_offline(monkeypatch):
    from huggingface_hub import constants

    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def published(tmp_path):
    """A folder that looks like a published model, and holds what nobody wants."""
    folder = tmp_path / "published"
    (folder / "t5").mkdir(parents=True)
    for name in (*hub.PUBLISHED_FILES, "model.safetensors", "t5/model.safetensors"):
        (folder / name).write_bytes(name.encode() * 100)
    for name in ("config.json", "README.md", "t5/config.json"):
        (folder / name).write_text("{}")
    return folder


def fetched(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_published_model_is_fetched_with_its_text_encoder_and_nothing_else(served, published):
    served.models["facebook/audiogen-medium"] = {COMMITS[0]: published}
    folder = hub.resolve("facebook/audiogen-medium")
    wanted = {*hub.PUBLISHED_FILES, "README.md", "t5/config.json", "t5/model.safetensors"}
    assert fetched(folder) == wanted
    assert folder.name == COMMITS[0]
    assert known.hub_id_of(folder) == "facebook/audiogen-medium"
    assert known.licence_of(folder / hub.LM_FILE) == ("facebook/audiogen-medium", "CC-BY-NC-4.0")


def test_a_revision(served, published, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(published, newer)
    (newer / hub.LM_FILE).write_bytes(b"new" * 400)
    served.models["someone/model"] = {COMMITS[0]: published, COMMITS[1]: newer}
    assert (hub.resolve("someone/model") / hub.LM_FILE).read_bytes()[:5] == b"state"
    folder = hub.resolve("someone/model", revision=COMMITS[1])
    assert (folder / hub.LM_FILE).read_bytes()[:3] == b"new"
    codec = hub.resolve_codec("someone/model", revision=COMMITS[1])
    assert codec == folder / hub.CODEC_FILE
    with pytest.raises(hub.HubError, match="has someone/model, but not that revision"):
        hub.resolve("someone/model", revision="v2")
    with pytest.raises(ValueError, match="has no revisions: leave revision='v2' out"):
        hub.resolve(published, revision="v2")


def test_of_a_published_model_the_codec_alone(served, published):
    served.models["someone/model"] = {COMMITS[0]: published}
    path = hub.resolve_codec("someone/model")
    assert path.name == hub.CODEC_FILE
    assert fetched(path.parent) == {hub.CODEC_FILE}


def test_without_the_network_the_cache_serves(served, published, go_offline):
    served.models["someone/model"] = {COMMITS[0]: published}
    folder = hub.resolve("someone/model")
    go_offline()
    asked = len(served.asked)
    assert hub.resolve("someone/model") == folder
    assert hub.resolve("someone/model", revision=COMMITS[0]) == folder
    assert hub.resolve_codec("someone/model") == folder / hub.CODEC_FILE
    assert len(served.asked) == asked
    with pytest.raises(hub.HubError, match=r"cannot be reached .*HF_HUB_OFFLINE is set"):
        hub.resolve("someone/model", revision=COMMITS[1])
    with pytest.raises(hub.HubError, match="neither a folder here nor in the hub's cache"):
        hub.resolve("someone/other")


def test_a_hub_that_refuses_leaves_the_cache(served, published):
    served.models["someone/model"] = {COMMITS[0]: published}
    folder = hub.resolve("someone/model")
    served.status["someone/model"] = 503
    assert hub.resolve("someone/model") == folder
    served.status["someone/other"] = 503
    with pytest.raises(hub.HubError, match="the hub refused someone/other"):
        hub.resolve("someone/other")


def test_what_arrived_changed_is_named(served, published):
    served.models["someone/model"] = {COMMITS[0]: published}
    served.corrupt.add(hub.LM_FILE)
    with pytest.raises(hub.DamagedFileError, match=r"state_dict.bin has sha256 .* should have"):
        hub.resolve("someone/model")
    hub.resolve_codec("someone/model")


def test_what_was_changed_in_the_cache_is_named_without_a_network(served, published, go_offline):
    served.models["someone/model"] = {COMMITS[0]: published}
    file = (hub.resolve("someone/model") / hub.LM_FILE).resolve()
    go_offline()
    file.chmod(0o644)
    file.write_bytes(b"other" * 200)
    with pytest.raises(hub.DamagedFileError, match=f"remove {file} and load someone/model again"):
        hub.resolve("someone/model")


def test_the_known_revision_has_known_hashes(served, published, monkeypatch):
    """Whatever the hub says of it: the files are those that were published."""
    model = known.KNOWN[0]
    assert model.name == "facebook/audiogen-medium"
    assert model.files[hub.LM_FILE][0] == 3_678_455_287
    served.models[model.name] = {model.revision: published}
    with pytest.raises(
        hub.DamagedFileError, match=f"should have .*{model.files[hub.LM_FILE][1][:12]}"
    ):
        hub.resolve(model.name)


def test_a_known_file_is_known_wherever_it_lies(tmp_path, monkeypatch):
    path = tmp_path / "copy.bin"
    path.write_bytes(b"weights")
    assert known.known_file(path) is None
    model = replace(known.KNOWN[0], files={"state_dict.bin": (7, known.sha256_of(path))})
    monkeypatch.setattr(known, "KNOWN", (model,))
    assert known.licence_of(path) == ("facebook/audiogen-medium", "CC-BY-NC-4.0")
    path.write_bytes(b"wEights")
    assert known.licence_of(path) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "is no model that is known here"),
        (("README.md",), "is no model that is known here"),
        (("state_dict.bin",), "has a state_dict.bin and no compression_state_dict.bin"),
        (("compression_state_dict.bin",), "holds a codec only"),
    ],
)
def test_what_is_no_whole_model_is_not_fetched(served, tmp_path, files, said):
    (tmp_path / "repo").mkdir()
    for name in files:
        (tmp_path / "repo" / name).write_bytes(b"x" * 600)
    served.models["someone/model"] = {COMMITS[0]: tmp_path / "repo"}
    for ask in (hub.resolve, hub.check_source):
        with pytest.raises(hub.HubError, match=said):
            ask("someone/model")
    assert not any("resolve" in path for path in served.asked)


@pytest.mark.parametrize("ask", [hub.resolve, hub.check_source])
def test_an_id_that_is_not_there(served, ask):
    with pytest.raises(hub.HubError, match="has no model someone/model that you may read"):
        ask("someone/model")


def test_a_model_is_looked_for_without_being_fetched(served, saved, go_offline):
    served.models["someone/model"] = {COMMITS[0]: saved}
    hub.check_source("someone/model")
    assert served.asked
    assert not any("resolve" in path for path in served.asked)
    go_offline()
    with pytest.raises(hub.HubError, match="neither a folder here nor in the hub's cache"):
        hub.check_source("someone/model")


def test_a_model_of_ours(served, model, saved, go_offline):
    (saved / "state_dict.bin").write_bytes(b"old" * 300)  # both layouts: ours goes first
    served.models["someone/model"] = {COMMITS[0]: saved}
    assert load_codec("someone/model").fingerprint() == model.codec.fingerprint()
    expected = model.generate_codes(["rain"], duration=0.02, seed=1)
    for _ in range(2):
        loaded = AudioGen.from_pretrained("someone/model")
        assert torch.equal(loaded.generate_codes(["rain"], duration=0.02, seed=1), expected)
        go_offline()


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
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_token")
    assert model.push_to_hub("me/model") == "hub/me/model"
    assert seen["repo"] == ("me/model", {"private": True, "exist_ok": True})
    assert seen["codec"] == model.codec.fingerprint()
    with pytest.raises(ValueError, match="org/name"):
        model.push_to_hub("model")


def test_push_to_hub_without_a_login(monkeypatch, model):
    """Refused before the model is written, in one line."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr(model, "save_pretrained", None)
    with pytest.raises(hub.HubError, match=r"nobody is logged in .* me/model .* `hf auth login`"):
        model.push_to_hub("me/model")


def test_push_to_hub_offline(monkeypatch, model):
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    with pytest.raises(FileNotFoundError, match="hub cannot be reached"):
        model.push_to_hub("me/model")
