"""Patterns of every kind, drawn at random."""

from hypothesis import strategies as st


@st.composite
def delay(draw, codebooks):
    return {
        "delays": draw(
            st.none() | st.lists(st.integers(0, 6), min_size=codebooks, max_size=codebooks)
        ),
        "flatten_first": draw(st.integers(0, 4)),
        "empty_initial": draw(st.integers(0, 3)),
    }


@st.composite
def unroll(draw, codebooks):
    """Groups in any order, each with a delay of its own."""
    drawn = draw(st.lists(st.integers(0, codebooks), min_size=codebooks, max_size=codebooks))
    groups = sorted(set(drawn))
    delays = draw(st.lists(st.integers(0, 5), min_size=len(groups), max_size=len(groups)))
    flattening = [groups.index(group) for group in drawn]
    return draw(
        st.sampled_from(
            [{}, {"flattening": flattening, "delays": [delays[group] for group in flattening]}]
        )
    )


@st.composite
def coarse_first(draw, codebooks):
    fine = codebooks - 1
    return {"delays": draw(st.none() | st.lists(st.integers(0, 5), min_size=fine, max_size=fine))}


def parallel(codebooks):
    return st.builds(lambda empty: {"empty_initial": empty}, st.integers(0, 3))


def musiclm(codebooks):
    return st.builds(lambda group_by: {"group_by": group_by}, st.integers(1, codebooks + 1))


KINDS = {
    "delay": delay,
    "parallel": parallel,
    "unroll": unroll,
    "coarse_first": coarse_first,
    "musiclm": musiclm,
}


@st.composite
def mono_patterns(draw, codebooks):
    """A pattern of ``codebooks`` codebooks as a mapping."""
    name = draw(st.sampled_from(sorted(KINDS)))
    return {"name": name} | draw(KINDS[name](codebooks))


@st.composite
def patterns(draw):
    """A pattern as a mapping, and its number of codebooks."""
    codebooks = draw(st.integers(1, 5))
    options = draw(mono_patterns(codebooks))
    if draw(st.integers(0, 4)):
        return options, codebooks
    stereo = {"name": "stereo", "pattern": options, "per_timestep": draw(st.booleans())}
    return stereo, 2 * codebooks
