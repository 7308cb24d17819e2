"""The sounds that a language model in training is scored by: made, looked at, written."""

from pathlib import Path

from audiogen.audio import write_audio
from audiogen.pipeline import AudioGen
from audiogen.training.references import References


def write_scored(
    model: AudioGen,
    references: References,
    folder: Path,
    *,
    batch_size: int,
    guidance_scale: float,
    seed: int,
) -> list[str]:
    """Write a sound for every reference, by its name.

    Args:
        model: makes them.
        references: what they are held against: captions, names, lengths.
        folder: for the files.
        batch_size: sounds made at once.
        guidance_scale: of the generation.
        seed: sound i draws from (seed, i).

    Returns:
        What a reader of the scores must know of the sounds.

    Raises:
        ValueError: with their number, if some are not finite: of the others there is no score.
    """
    names, captions = references.names, references.batch["captions"]
    broken, peaks = 0, dict[str, float]()
    for start in range(0, len(names), batch_size):
        part = slice(start, start + batch_size)
        sounds = model.generate(
            captions[part],
            duration=references.seconds,
            seeds=[(seed, i) for i in range(len(names))[part]],
            guidance_scale=guidance_scale,
        )
        for name, sound in zip(names[part], sounds, strict=True):
            cut = sound[:, : references.lengths[name]]
            if not cut.isfinite().all():
                broken += 1
                continue
            write_audio(folder / name, cut, model.codec.sample_rate, clipping="clamp")
            peaks[name] = float(cut.abs().max())
    if broken:
        raise ValueError(
            f"{broken} of {len(names)} generated sounds have samples that are NaN or infinite"
        )
    clipped = {name: peak for name, peak in peaks.items() if peak > 1}
    if not clipped:
        return []
    loudest = max(clipped, key=lambda name: clipped[name])
    return [
        f"{len(clipped)} of {len(names)} generated sounds were beyond full scale and are clipped, "
        f"{loudest} at a peak of {clipped[loudest]:.3g}"
    ]
