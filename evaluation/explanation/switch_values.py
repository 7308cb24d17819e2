"""The values that published tools give to the choices of a card."""

from typing import Any

LOUDNESS = [{"loudness": {"target": -14.0, "floor": 0.002}}, "clip"]  # AudioCraft's
WINDOWS: dict[str, tuple[dict[str, Any], ...]] = {  # network -> its options
    "vggish": (
        {"window": 1.0, "hop": 0.5},
        {"window": 0.96, "hop": 0.96},
        {"window": 0.96, "hop": 0.48},
    ),
    "openl3": ({"hop": 0.5}, {"hop": 1.0}, {"center": True}, {"center": False}),
    "logmel": ({"patch": 1.0, "hop": 0.5}, {"patch": 1.0, "hop": 1.0}),
    "passt": ({"segments": "split"}, {"segments": "cut_or_pad"}, {"segments": "overlap"}),
}
TINY, BASE = {"tower": "tiny", "fusion": False}, {"tower": "base", "fusion": False}
CHECKPOINTS: dict[str, tuple[dict[str, Any], ...]] = {
    "clap": (
        {"weights": "music_audioset_epoch_15_esc_90.14.pt"} | BASE,
        {"weights": "music_speech_audioset_epoch_15_esc_89.98.pt"} | BASE,
        {"weights": "630k-audioset-best.pt"} | TINY,
        {"weights": "630k-audioset-fusion-best.pt"} | TINY | {"fusion": True, "long": "fusion"},
    ),
    "openl3": (
        {"weights": "openl3_audio_mel256_env.h5"},
        {"weights": "openl3_audio_mel256_music.h5"},
    ),
    "passt": (
        {"weights": "passt-s-f128-p16-s10-ap.476-swa.pt", "model": "passt_s_swa_p16_128_ap476"},
        {"weights": "passt-s-f128-20sec-p16-s10-ap.474-swa.pt", "model": "passt_20sec"},
        {"weights": "passt-s-f128-30sec-p16-s10-ap.473-swa.pt", "model": "passt_30sec"},
    ),
}
OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {  # kind of metric -> option -> values
    "kl": {
        "direction": ("reference||generated", "generated||reference"),
        "activation": ("softmax", "sigmoid"),
        "epsilon": (0.0, 1e-6),
        "segments": ("items", "mean_logits", "first"),
    },
    "frechet": {
        "statistics": ("float64", "float32"),
        "vectors": ("float32", "float16"),
        "file_means": ("exact", "float16"),
        "method": ("auto", "scipy_sqrtm"),
    },
    "cosine_text": {"items": ("clips", "captions"), "windows": ("mean_cosine", "mean_embedding")},
    "kernel": {"bandwidth": ("reference", "generated")},
    "inception": {"splits": (10, 1), "order": ("audioldm_eval", "given")},
    "prdc": {"k": (5, 3)},
}
DEFAULTS = {  # of the scorers; a card may leave an option out
    kind: {name: values[0] for name, values in own.items()} for kind, own in OPTIONS.items()
}
