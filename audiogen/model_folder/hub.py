"""Names of models -> folders on this disk, and back: local paths and hub ids."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audiogen.files import given_path

# "org/name": exactly one slash, no leading dot; such a path on the disk goes first.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w-][\w.-]*")
OUR_FILES = ["*.json", "*.safetensors", "*.model", "README.md"]  # with a T5 folder, if any
LM_FILE, CODEC_FILE = PUBLISHED_FILES = ("state_dict.bin", "compression_state_dict.bin")


class HubError(FileNotFoundError):
    """A hub id that could not be turned into a folder."""


def resolve(source: str | Path) -> Path:
    """Return the folder that ``source`` names: a path, or a hub id whose files are fetched.

    Raises:
        FileNotFoundError: if there is neither such a folder nor, for "org/name", such a model
            in the hub or in its cache.
    """
    path = given_path(source)
    if path.exists():
        return path
    if isinstance(source, str) and HUB_ID.fullmatch(source):
        return _download(source)
    raise FileNotFoundError(
        f"no model at {source}: there is no such folder. Give a folder that holds a config.json, "
        "or a hub id of the form org/name; `make demo` trains a model into runs/demo/model"
    )


def resolve_codec(source: str | Path) -> Path:
    """Return the file or folder that holds the codec of ``source``; raises as `resolve` does.

    Of a model in the published layout only the codec is fetched, not the language model.
    """
    path = given_path(source)
    if path.exists() or not (isinstance(source, str) and HUB_ID.fullmatch(source)):
        return resolve(source)
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(source, "codec.safetensors"), str):  # one of ours
        return resolve(source)
    with _hub_errors(source):
        if _is_published(source):
            return Path(hf_hub_download(source, CODEC_FILE))
    return _download(source)


def _is_published(name: str) -> bool:
    """Say whether the hub has a codec of the published layout, or the cache of this machine.

    One question: a download that nobody answers asks seven times, for half a minute and aloud.
    """
    from huggingface_hub import errors, file_exists, try_to_load_from_cache

    cached = isinstance(try_to_load_from_cache(name, CODEC_FILE), str)
    try:
        return file_exists(name, CODEC_FILE) or cached  # also if one is no longer logged in
    except (ConnectionError, errors.HTTPError) as error:
        if isinstance(error, errors.HfHubHTTPError) and not cached:
            raise  # it did answer
        return cached


def _download(name: str) -> Path:
    from huggingface_hub import file_exists, snapshot_download

    with _hub_errors(name):
        folder = Path(snapshot_download(name, allow_patterns=OUR_FILES))
        if not (folder / "config.json").is_file():
            found = [file for file in PUBLISHED_FILES if file_exists(name, file)]
            raise HubError(_not_ours(name, found))
    return folder


def _not_ours(name: str, published: list[str]) -> str:
    if published:
        return (
            f"{name} is in the published layout ({', '.join(published)}), of which this version "
            "of audiogen reads the codec only, by Codec.from_pretrained: as a whole model use one "
            "saved by audiogen (config.json + safetensors)"
        )
    return f"{name} is not a model saved by audiogen: it has no config.json. Give another id"


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence with a way out."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"{name} asks for its licence to be accepted: do so on its page, then log in with "
            "`hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"the hub has no model {name} that you may read, and there is no such folder here: "
            "check the spelling, or log in with `hf auth login` if it is private"
        ) from error
    except errors.HfHubHTTPError as error:
        raise HubError(f"the hub refused {name}: {str(error).splitlines()[0]}") from error
    except (errors.LocalEntryNotFoundError, ConnectionError, errors.HTTPError) as error:
        raise HubError(_offline(name)) from error


def _offline(name: str) -> str:
    return (
        f"{name} is neither a folder here nor in the hub's cache, and the hub cannot be reached "
        "(no network, or HF_HUB_OFFLINE is set): give a local folder, or fetch it once with "
        f"`hf download {name}` where there is a network"
    )


def upload(folder: Path, name: str, *, private: bool, message: str) -> str:
    """Create the hub repository ``name`` if need be, upload ``folder``, return its address.

    Raises:
        FileNotFoundError: if the hub cannot be reached or refuses.
        ValueError: if ``name`` is not of the form org/name.
    """
    if not HUB_ID.fullmatch(name):
        raise ValueError(f"expected a hub id of the form org/name, got {name!r}")
    from huggingface_hub import HfApi

    with _hub_errors(name):
        api = HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    return str(commit.repo_url)
