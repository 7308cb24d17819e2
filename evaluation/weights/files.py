"""Where the weights of each pretrained network come from, and whether they are in place.

Nothing is downloaded here: `python -m evaluation fetch` does that when asked to. The files are
third-party and large. Only what was found beside a file or in its name is written down: None is not
known here, and may well be published.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

DEFAULT_FOLDER = Path("~/.cache/audiogen/weights")


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """One published file of weights."""

    file: str  # its name in the weights folder; cards name it so
    network: str  # key of `evaluation.catalog.NETWORKS`
    what: str
    url: str | None  # None: no address is known that serves it as it is
    sha256: str | None = None  # None: not known
    sha256_prefix: str | None = None  # leading digits, where the publisher put them into the name
    size: int | None = None  # bytes; None: not known
    licence: str | None = None  # license; None: not known, see where it comes from
    needs: tuple[str, ...] = ()  # other files without which it is of no use
    packed: bool = (
        False  # whether the address has it compressed by gzip; the rest is said of it bare
    )


TORCHVGGISH = "https://github.com/harritaylor/torchvggish/releases/download/v0.1"
AUDIOSET = "https://storage.googleapis.com/audioset"
PASST = "https://github.com/kkoutini/PaSST/releases/download"
LAION = "https://huggingface.co/lukewys/laion_clap/resolve/main"
PANNS = "https://zenodo.org/records/3987831/files"
OPENL3 = "https://github.com/marl/openl3/raw/models"
ROBERTA = "https://huggingface.co/FacebookAI/roberta-base/resolve/main"
GPT2 = "https://huggingface.co/openai-community/gpt2/resolve/main"
MICROSOFT = "https://huggingface.co/microsoft/msclap/resolve/main"
TOKENIZER = ("roberta-base/vocab.json", "roberta-base/merges.txt")
GPT2_TOKENIZER = ("gpt2/vocab.json", "gpt2/merges.txt")


def _vggish() -> list[WeightFile]:
    rows = (
        ("vggish-10086976.pth", TORCHVGGISH, "for torch", "10086976"),
        ("vggish_pca_params-970ea276.pth", TORCHVGGISH, "its PCA, which no FAD uses", "970ea276"),
        ("vggish_model.ckpt", AUDIOSET, "TensorFlow's own checkpoint", None),
        ("vggish_pca_params.npz", AUDIOSET, "its PCA, which no FAD uses", None),
    )
    return [
        WeightFile(
            file=file, network="vggish", what=what, url=f"{base}/{file}", sha256_prefix=prefix
        )
        for file, base, what, prefix in rows
    ]


def _passt() -> list[WeightFile]:
    rows = (
        ("passt-s-f128-p16-s10-ap.476-swa.pt", "v0.0.1-audioset", "10 s"),
        ("passt-s-f128-20sec-p16-s10-ap.474-swa.pt", "v0.0.5", "20 s"),
        ("passt-s-f128-30sec-p16-s10-ap.473-swa.pt", "v0.0.5", "30 s"),
    )
    return [
        WeightFile(file=file, network="passt", what=f"of {what}", url=f"{PASST}/{tag}/{file}")
        for file, tag, what in rows
    ]


def _clap() -> list[WeightFile]:
    tiny, base = "HTSAT-tiny", "HTSAT-base, without fusion"
    rows = (
        ("music_audioset_epoch_15_esc_90.14.pt", f"{base}; AudioCraft's"),
        ("music_speech_audioset_epoch_15_esc_89.98.pt", f"{base}; AudioLDM 2's"),
        ("music_speech_epoch_15_esc_89.25.pt", base),
        ("630k-best.pt", f"{tiny}, without fusion"),
        ("630k-audioset-best.pt", f"{tiny}, without fusion"),
        ("630k-fusion-best.pt", f"{tiny}, with fusion"),
        ("630k-audioset-fusion-best.pt", f"{tiny}, with fusion; stable-audio-metrics'"),
    )
    files = [
        WeightFile(file=file, network="clap", what=what, url=f"{LAION}/{file}", needs=TOKENIZER)
        for file, what in rows
    ]
    return files + _words("clap", TOKENIZER, ROBERTA)


def _msclap() -> list[WeightFile]:
    weights = WeightFile(
        file="CLAP_weights_2023.pth",  # 690 MB, as its page rounds it
        network="msclap",
        what="HTSAT-tiny and GPT-2; av-benchmark's",
        url=f"{MICROSOFT}/CLAP_weights_2023.pth",
        licence="MS-PL",  # its page's; the package is under MIT
        needs=GPT2_TOKENIZER,
    )
    return [weights, *_words("msclap", GPT2_TOKENIZER, GPT2)]


def _words(network: str, files: tuple[str, ...], base: str) -> list[WeightFile]:
    return [
        WeightFile(
            file=file,
            network=network,
            what="words of the text tower",
            url=f"{base}/{Path(file).name}",
        )
        for file in files
    ]


def _panns() -> list[WeightFile]:
    return [
        WeightFile(file=file, network="panns", what=what, url=f"{PANNS}/{file.replace('=', '%3D')}")
        for file, what in (
            ("Cnn14_16k_mAP=0.438.pth", "Cnn14 at 16 kHz"),
            ("Cnn14_mAP=0.431.pth", "Cnn14 at 32 kHz"),
        )
    ]


def _openl3() -> list[WeightFile]:
    content = {"env": "environmental sounds", "music": "music"}
    return [
        WeightFile(
            file=f"openl3_audio_{sees}_{kind}.h5",
            network="openl3",
            what=f"sees {sees}, trained on {content[kind]}",
            url=f"{OPENL3}/openl3_audio_{sees}_{kind}-v0_4_0.h5.gz",
            licence="CC BY 4.0",
            packed=True,
        )
        for sees in ("mel256", "mel128", "linear")
        for kind in content
    ]


FILES = {
    entry.file: entry
    for entry in (*_vggish(), *_passt(), *_clap(), *_msclap(), *_panns(), *_openl3())
}


def weight_file(file: str) -> WeightFile:
    """Return the entry of a file.

    Raises:
        ValueError: naming the nearest known file.
    """
    if file in FILES:
        return FILES[file]
    near = difflib.get_close_matches(file, FILES, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"no file of weights is called {file!r}.{hint} Known: {', '.join(FILES)}.")


def weights_path(file: str, folder: Path | None) -> Path:
    """Return where a file of weights is expected to be.

    Args:
        file: its name, one of `FILES` or the user's own.
        folder: the weights folder; None is `DEFAULT_FOLDER`.
    """
    return (folder or DEFAULT_FOLDER).expanduser() / file


def missing_reason(file: str, folder: Path | None, *, option: str = "--weights") -> str | None:
    """Say why a file of weights cannot be used, with what to do about it; None if it is there.

    Args:
        file: its name, one of `FILES` or the user's own, which may be a folder.
        folder: the weights folder; None is `DEFAULT_FOLDER`.
        option: how the caller's user names another folder.
    """
    path = weights_path(file, folder)
    if path.exists():
        return None
    entry = FILES.get(file)
    if entry is None or entry.url is None:
        how = f"put {file} into {path.parent}"
    else:
        where = "" if folder is None else f" --folder {folder}"
        origin = f"{entry.url}{', unpacked,' if entry.packed else ''}"
        how = f"python -m evaluation fetch {file}{where}, or put {file} from {origin} there"
    return f"weights missing: {path} does not exist. {how}, or name another folder with {option}"
