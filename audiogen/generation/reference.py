"""How the reference cuts a sound into windows: in seconds, every product rounded down.

Rounding makes it fail for some durations, lose a frame for others, and put the last frame into a
window of its own for others again. Where it works, `audiogen` can do the same, code for code.

Source: the behavior of AudioCraft 1.4.0a2; MusicGen (arXiv:2306.05284) describes the windows.
"""

from audiogen.generation.windows import Window

MOST = 100_000  # windows; 55 hours of the published model, and nobody waits for more


def reference_plan(
    duration: float, *, max_duration: float, stride: int, frame_rate: float, given: int = 0
) -> list[Window] | None:
    """Return the reference's windows, or None where it fails or leaves frames out.

    Args:
        duration: seconds.
        max_duration: seconds, the longest window.
        stride: frames added per window after the first.
        frame_rate: Hz.
        given: frames of the prompt.

    >>> reference_plan(2.3, max_duration=10.0, stride=100, frame_rate=50)
    [Window(start=0, done=0, end=114)]
    """
    total = int(duration * frame_rate)
    if duration <= max_duration:
        return [Window(0, given, total)] if given < total else None
    plan: list[Window] = []
    start, done = 0, given
    while done < total:
        end = start + int(min(duration - start / frame_rate, max_duration) * frame_rate)
        if end <= done or start > done or len(plan) == MOST:
            return None
        plan.append(Window(start, done, end))
        start, done = start + stride, end
    return plan or None
