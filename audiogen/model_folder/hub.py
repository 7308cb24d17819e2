"""Names of models -> folders on this disk, and back: local paths and hub ids."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audiogen import embedded
from audiogen.files import given_path
from audiogen.model_folder.known import KNOWN, sha256_of

# "org/name": exactly one slash, no leading dot; such a path on the disk goes first.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w-][\w.-]*")
OUR_FILES = ["*.json", "*.safetensors", "*.model", "README.md"]  # with a T5 folder, if any
LM_FILE, CODEC_FILE = PUBLISHED_FILES = ("state_dict.bin", "compression_state_dict.bin")
OUR_LM, OUR_CODEC = "lm.safetensors", "codec.safetensors"
TEXT_FILES = ["README.md", "*/config.json", "*/*.safetensors", "*/*token*", "*/*.model"]
SHA256 = re.compile(r"[0-9a-f]{64}")
ANSWER = 10.0  # seconds that the hub has to list a model's files


class HubError(FileNotFoundError):
    """A hub id that could not be turned into a folder."""


class DamagedFileError(ValueError):
    """A file in the hub's cache is not what the hub says it is."""


def resolve(source: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder that ``source`` names: a path, or a hub id whose files are fetched.

    Args:
        source: a path, "org/name", or "embedded" for the model of the package.
        revision: of a hub id: a commit, branch or tag; None is its main branch.

    Raises:
        FileNotFoundError: if there is neither such a folder nor, for "org/name", such a model
            in the hub or in its cache.
        ValueError: if a path has no revision to choose, or a file that was fetched is damaged.
    """
    folder = _on_disk(source, revision)
    return _download(str(source), revision) if folder is None else folder


def check_source(source: str | Path, *, revision: str | None = None) -> None:
    """Refuse a name of no model, as `resolve` does, and fetch nothing: not the gigabytes either."""
    if _on_disk(source, revision) is not None:
        return
    name = str(source)
    sums = _listed(name, revision)
    if sums is None:
        _cached(name, revision)
    else:
        _wanted(name, set(sums))


def _on_disk(source: str | Path, revision: str | None) -> Path | None:
    """Return the folder of a path or of the package's model, None for a hub id."""
    path = given_path(source)
    if path.exists():
        return _unrevised(path, revision)
    if source == embedded.NAME and embedded.is_there():
        return _unrevised(embedded.FOLDER, revision)
    if isinstance(source, str) and HUB_ID.fullmatch(source):
        return None
    raise FileNotFoundError(
        f"no model at {source}: there is no such folder. Give a folder that holds a config.json "
        f'or a {LM_FILE}, a hub id of the form org/name, or "{embedded.NAME}" for the small model '
        "that comes with the package; `make demo` trains a model into runs/demo/model"
    )


def resolve_codec(source: str | Path, *, revision: str | None = None) -> Path:
    """Return the file or folder that holds the codec of ``source``; raises as `resolve` does.

    Of a model in the published layout only the codec is fetched, not the language model.
    """
    path = given_path(source)
    if path.exists() or not (isinstance(source, str) and HUB_ID.fullmatch(source)):
        return resolve(source, revision=revision)
    from huggingface_hub import hf_hub_download

    sums = _listed(source, revision)
    if sums is None:
        folder = _cached(source, revision)
        published = (folder / CODEC_FILE).is_file() and not (folder / OUR_CODEC).is_file()
        return _verified(folder / CODEC_FILE, source, None) if published else folder
    if CODEC_FILE not in sums or OUR_CODEC in sums:
        return _download(source, revision)
    with _hub_errors(source):
        file = Path(hf_hub_download(source, CODEC_FILE, revision=revision))
    return _verified(file, source, sums[CODEC_FILE])


def _download(name: str, revision: str | None) -> Path:
    """Fetch what is wanted of a model, and nothing else: some hold it in several forms."""
    from huggingface_hub import snapshot_download

    sums = _listed(name, revision)
    if sums is None:
        folder = _cached(name, revision)
    else:
        with _hub_errors(name):
            wanted = _wanted(name, set(sums))
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    for file in PUBLISHED_FILES:
        if (folder / file).is_file():
            _verified(folder / file, name, (sums or {}).get(file))
    return folder


def _listed(name: str, revision: str | None) -> dict[str, str | None] | None:
    """Ask the hub for names and sha256 of a model's files; None if it does not answer.

    Files that are kept as text have no sha256 there. One question: a download that nobody answers
    asks seven times, for half a minute and aloud.
    """
    from huggingface_hub import HfApi, errors

    with _hub_errors(name):
        try:
            found = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=ANSWER)
        except errors.HfHubHTTPError:
            if _in_cache(name, revision) is None:
                raise
            return None  # one is no longer logged in, or the hub is unwell
        except (ConnectionError, errors.HTTPError):
            return None
    return {
        file.rfilename: None if file.lfs is None else file.lfs.sha256
        for file in found.siblings or ()
    }


def _in_cache(name: str, revision: str | None) -> Path | None:
    """Return the folder of a model in the hub's cache, whole or not; whoever reads it will say."""
    from huggingface_hub import try_to_load_from_cache

    for mark in (OUR_CODEC, LM_FILE, CODEC_FILE, "config.json"):
        found = try_to_load_from_cache(name, mark, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _cached(name: str, revision: str | None) -> Path:
    folder = _in_cache(name, revision)
    if folder is None:
        raise HubError(_offline(name))
    return folder


def _wanted(name: str, files: set[str]) -> list[str]:
    """Return patterns of what to fetch."""
    if LM_FILE in files and not files & {OUR_CODEC, OUR_LM}:
        if CODEC_FILE not in files:
            raise HubError(
                f"{name} has a {LM_FILE} and no {CODEC_FILE}, which turns codes to sound"
            )
        return TEXT_FILES + list(PUBLISHED_FILES)
    if "config.json" in files:
        return OUR_FILES
    if CODEC_FILE in files:
        raise HubError(f"{name} holds a codec only: load it with Codec.from_pretrained")
    raise HubError(
        f"{name} is no model that is known here: it has neither a config.json nor a {LM_FILE}. "
        "Give another id"
    )


def _verified(file: Path, name: str, digest: str | None) -> Path:
    """Compare a published file with what the hub says, or said when it was fetched.

    Raises:
        DamagedFileError: if it is another file.
    """
    stored = file.resolve().name  # the cache names large files by their sha256
    known = {
        model.files[file.name][1]
        for model in KNOWN
        if model.name == name and model.revision == file.parent.name and file.name in model.files
    }
    wanted = known | {d for d in (digest, stored if SHA256.fullmatch(stored) else None) if d}
    found = sha256_of(file) if wanted else None
    if wanted - {found}:
        raise DamagedFileError(
            f"{file} has sha256 {str(found)[:12]} and should have "
            f"{', '.join(sorted(d[:12] for d in wanted))}: it was damaged or replaced; remove "
            f"{file.resolve()} and load {name} again"
        )
    return file


def _unrevised(path: Path, revision: str | None) -> Path:
    if revision is not None:
        raise ValueError(
            f"{path} is on this disk and has no revisions: leave revision={revision!r} out, or "
            "give a hub id"
        )
    return path


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
    except errors.RevisionNotFoundError as error:
        raise HubError(f"the hub has {name}, but not that revision of it: see its page") from error
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


def check_login(name: str) -> None:
    """Refuse to upload without a login, before the minutes that it takes to write a model.

    Raises:
        ValueError: if ``name`` is not of the form org/name.
        HubError: if there is no token.
    """
    if not HUB_ID.fullmatch(name):
        raise ValueError(f"expected a hub id of the form org/name, got {name!r}")
    from huggingface_hub import get_token

    if not get_token():
        raise HubError(
            f"nobody is logged in to the hub, so {name} cannot be written: log in with `hf auth "
            "login`, or set HF_TOKEN"
        )


def upload(folder: Path, name: str, *, private: bool, message: str) -> str:
    """Create the hub repository ``name`` if need be, upload ``folder``, return its address.

    Raises:
        FileNotFoundError: if the hub cannot be reached or refuses.
        ValueError: if ``name`` is not of the form org/name.
    """
    check_login(name)
    from huggingface_hub import HfApi

    with _hub_errors(name):
        api = HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    return str(commit.repo_url)
