"""The metrics by key: what each is called, which way is better, what it needs. No heavy imports."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricInfo:
    """What a reader must know about a metric to read its number."""

    key: str
    label: str
    best: str  # "low", "high" or "zero"
    unit: str = ""
    kind: str | None = None  # of a score over features of a network; None is measured on the pair
    network: str | None = None  # pretrained, a key of `NETWORKS`; None needs no weights
    package: str | None = None  # import name of an optional package
    install: str = ""  # how to get that package
    needs_captions: bool = False
    round_trip: bool = False  # holds a sound against the very one it was made from


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkInfo:
    """What a card must hand to a network, and what comes out."""

    title: str
    rates: tuple[int, ...]  # Hz, one of these; empty is any
    channels: int
    outputs: tuple[str, ...]
    pretrained: bool = True


NETWORKS = {
    "vggish": NetworkInfo(title="VGGish", rates=(16000,), channels=1, outputs=("embedding",)),
    "passt": NetworkInfo(
        title="PaSST", rates=(32000,), channels=1, outputs=("embedding", "logits")
    ),
    "panns": NetworkInfo(
        title="PANNs", rates=(16000, 32000), channels=1, outputs=("embedding", "logits")
    ),
    "clap": NetworkInfo(title="CLAP", rates=(48000,), channels=1, outputs=("embedding",)),
    "msclap": NetworkInfo(
        title="Microsoft's CLAP", rates=(44100,), channels=1, outputs=("embedding",)
    ),
    "openl3": NetworkInfo(title="OpenL3", rates=(44100,), channels=2, outputs=("embedding",)),
    "logmel": NetworkInfo(
        title="log-mel statistics", rates=(), channels=1, outputs=("embedding",), pretrained=False
    ),
}


def _frechet() -> list[MetricInfo]:
    return [
        *(
            MetricInfo(key=key, label=label, best="low", kind=kind, network=network)
            for key, label, kind, network in (
                ("fad_vggish", "FAD (VGGish)", "frechet", "vggish"),
                ("fad_vggish_infinity", "FAD-inf (VGGish)", "frechet_infinity", "vggish"),
                ("fd_panns", "Frechet distance (PANNs)", "frechet", "panns"),
                ("fd_passt", "Frechet distance (PaSST)", "frechet", "passt"),
                ("fd_clap", "Frechet distance (CLAP)", "frechet", "clap"),
                ("fd_openl3", "Frechet distance (OpenL3)", "frechet", "openl3"),
                ("kad_vggish", "KAD (VGGish), x 100", "kernel", "vggish"),
                ("kad_panns", "KAD (PANNs), x 100", "kernel", "panns"),
                ("kad_passt", "KAD (PaSST), x 100", "kernel", "passt"),
            )
        ),
        MetricInfo(
            key="frechet_logmel_standin",
            label="Frechet distance on log-mel statistics (stand-in, not FAD)",
            best="low",
            kind="frechet",
        ),
    ]


def _divergences() -> list[MetricInfo]:
    return [
        MetricInfo(key=key, label=label, best="low", unit="nats", kind="kl", network=network)
        for key, label, network in (
            ("kld_passt", "KL divergence of PaSST classes", "passt"),
            (
                "kld_passt_reverse",
                "KL divergence of PaSST classes, generated || reference",
                "passt",
            ),
            ("kld_panns", "KL divergence of PANNs classes", "panns"),
            ("kld_panns_sigmoid", "KL sum over PANNs classes, sigmoid", "panns"),
        )
    ]


def _higher() -> list[MetricInfo]:
    """Return the scores over features of which more is better."""
    rows = [
        ("inception_panns", "Inception score (PANNs)", "inception", "panns"),
        ("inception_passt", "Inception score (PaSST)", "inception", "passt"),
        ("clap_audio", "CLAP cosine of sound and reference", "cosine_audio", "clap"),
    ]
    rows += [
        (f"{what}_{network}", f"{what.capitalize()} ({NETWORKS[network].title})", "prdc", network)
        for network in ("passt", "clap")
        for what in ("precision", "recall", "density", "coverage")
    ]
    return [
        MetricInfo(
            key="clap_score",
            label="Text consistency (CLAP cosine)",
            best="high",
            kind="cosine_text",
            network="clap",
            needs_captions=True,
        ),
        MetricInfo(
            key="msclap_score",
            label="Text consistency (cosine of Microsoft's CLAP)",
            best="high",
            kind="cosine_text",
            network="msclap",
            needs_captions=True,
        ),
        *(
            MetricInfo(key=key, label=label, best="high", kind=kind, network=network)
            for key, label, kind, network in rows
        ),
    ]


def _pairs() -> list[MetricInfo]:
    """Return what is measured on the waveforms of a pair."""
    return [
        MetricInfo(
            key="level_difference_db",
            label="Level, generated over reference (median)",
            best="zero",
            unit="dB",
        ),
        *(
            MetricInfo(key=key, label=label, best=best, unit=unit, round_trip=True)
            for key, label, best, unit in (
                ("si_sdr", "SI-SDR", "high", "dB"),
                (
                    "sisnr_audiocraft",
                    "SI-SNR of segments, negative, as AudioCraft logs it",
                    "low",
                    "dB",
                ),
                ("mel_distance", "Mel distance, one resolution", "low", ""),
                ("multi_scale_mel", "Mel distance, five resolutions", "low", ""),
                ("log_spectral_distance", "Log-spectral distance", "low", "dB"),
            )
        ),
        MetricInfo(
            key="visqol",
            label="ViSQOL (MOS-LQO, 1 to 5)",
            best="high",
            round_trip=True,
            package="visqol",
            install="in the source folder: pip install '.[visqol]'",
        ),
        MetricInfo(
            key="pesq",
            label="PESQ, wideband, for speech (MOS-LQO, 1 to 5)",
            best="high",
            round_trip=True,
            package="pesq",
            install="pip install pesq, whose C code comes under terms of its own",
        ),
    ]


METRICS = {info.key: info for info in (*_frechet(), *_divergences(), *_higher(), *_pairs())}


def nearest(word: object, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the known word most like one, empty if none is.

    >>> nearest("kld", ["clap_score", "kld_passt"]), nearest("nope", ["codec", "demo"])
    (' Did you mean kld_passt?', '')
    """
    text, known = str(word), list(known)
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.6)
    near += [each for each in known if len(text) > 1 and each.startswith(text)]
    return f" Did you mean {near[0]}?" if near else ""


def check_metrics(keys: Iterable[str]) -> list[str]:
    """Return the keys, each once and in order.

    Raises:
        ValueError: naming the unknown key, its nearest neighbor and the known ones; or if there is
            none, or a text in the place of a list.
    """
    if isinstance(keys, str):
        raise ValueError(f"metrics is a list of keys, got the text {keys!r}: pass [{keys!r}]")
    keys = list(dict.fromkeys(keys))
    if not keys:
        raise ValueError("metrics is an empty list; None takes all that the card has")
    for key in keys:
        if key not in METRICS:
            hint = nearest(key, METRICS)
            raise ValueError(f"unknown metric {key!r}.{hint} Known: {', '.join(METRICS)}.")
    return keys
