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
    network: str | None = None  # key of evaluation.weights.NETWORKS
    package: str | None = None  # import name of an optional package
    install: str = ""  # how to get that package
    needs_captions: bool = False
    round_trip: bool = False  # holds a sound against the very one it was made from


METRICS = {
    info.key: info
    for info in (
        MetricInfo(key="fad_vggish", label="FAD (VGGish)", best="low", network="vggish"),
        MetricInfo(
            key="kld_passt",
            label="KL divergence of PaSST classes",
            best="low",
            unit="nats",
            network="passt",
        ),
        MetricInfo(
            key="clap_score",
            label="Text consistency (CLAP cosine)",
            best="high",
            network="clap",
            needs_captions=True,
        ),
        MetricInfo(
            key="frechet_logmel_standin",
            label="Frechet distance on log-mel statistics (stand-in, not FAD)",
            best="low",
        ),
        MetricInfo(
            key="level_difference_db",
            label="Level, generated over reference (median)",
            best="zero",
            unit="dB",
        ),
        MetricInfo(key="si_sdr", label="SI-SDR", best="high", unit="dB", round_trip=True),
        MetricInfo(
            key="sisnr_audiocraft",
            label="SI-SNR of segments, negative, as AudioCraft logs it",
            best="low",
            unit="dB",
            round_trip=True,
        ),
        MetricInfo(
            key="mel_distance", label="Mel distance, one resolution", best="low", round_trip=True
        ),
        MetricInfo(
            key="multi_scale_mel",
            label="Mel distance, five resolutions",
            best="low",
            round_trip=True,
        ),
        MetricInfo(
            key="log_spectral_distance",
            label="Log-spectral distance",
            best="low",
            unit="dB",
            round_trip=True,
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
    )
}


def check_metrics(keys: Iterable[str]) -> list[str]:
    """Return the keys, each once and in order.

    Raises:
        ValueError: naming the unknown key, its nearest neighbor and the known ones.
    """
    keys = list(dict.fromkeys(keys))
    for key in keys:
        if key not in METRICS:
            near = difflib.get_close_matches(key, METRICS, n=1, cutoff=0.3)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"unknown metric {key!r}.{hint} Known: {', '.join(METRICS)}.")
    return keys
