"""ViSQOL and PESQ: the wrappers on stand-ins of the packages; the packages where they are."""

import importlib.metadata
import math
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from evaluation.metrics.listener import UnratedError
from evaluation.metrics.pesq import Pesq
from evaluation.metrics.visqol import Visqol

needs_visqol = pytest.mark.skipif(
    find_spec("visqol") is None, reason="visqol-python is not installed"
)
needs_pesq = pytest.mark.skipif(find_spec("pesq") is None, reason="pesq is not installed")


def chirp(rate, *, seconds=1.0):
    """A chirp in bursts over faint noise."""
    times = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    tone = torch.sin(2 * math.pi * (300 * times + 400 * times**2)) * (times % 0.25 < 0.2)
    hiss = torch.randn(len(times), generator=torch.Generator().manual_seed(0))
    return (0.3 * tone + 0.01 * hiss).float()


def faded(sound):
    """The sound with its last two thirds gone: far from it, while it is less far from this."""
    return torch.where(torch.arange(len(sound)) < len(sound) // 3, sound, 0.0)


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins that record their calls and answer with `answers`, or raise them."""
    record = SimpleNamespace(calls=[], answer=3.5, created=None, lattice=False)

    def answer(*arguments):
        record.calls.append(arguments)
        if isinstance(record.answer, Exception):
            raise record.answer
        return record.answer

    class VisqolApi:
        def create(self, **options):
            record.created = options

        def measure_from_arrays(self, *arguments):
            return SimpleNamespace(moslqo=answer(*arguments))

    visqol, mapper, pesq = (ModuleType(n) for n in ("visqol", "visqol.quality_mapper", "pesq"))
    visqol.VisqolApi = VisqolApi
    mapper.has_lattice_runtime = lambda: record.lattice
    pesq.pesq = answer
    for module in (visqol, mapper, pesq):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("visqol", "pesq"):
        module = sys.modules[f"evaluation.metrics.{name}"]
        monkeypatch.setattr(module, "version", lambda package: "9.9")
    return record


LISTENERS = {"visqol": Visqol, "speech": lambda: Visqol(mode="speech"), "pesq": Pesq}


def waveforms_of(call):
    return [argument for argument in call if isinstance(argument, np.ndarray)]


@pytest.mark.parametrize("name", LISTENERS)
def test_the_original_comes_first(packages, name):
    listener = LISTENERS[name]()
    original, degraded = torch.full((9,), 0.5), torch.full((9,), 0.25)
    assert listener(original, degraded) == 3.5
    first, second = waveforms_of(packages.calls[0])
    np.testing.assert_array_equal(first, original)
    np.testing.assert_array_equal(second, degraded)
    others = [x for x in packages.calls[0] if not isinstance(x, np.ndarray)]
    assert listener.sample_rate in others
    assert listener.version == "9.9"


def test_rates_modes_and_the_mapping_of_speech(packages):
    assert (Visqol().name, Visqol().sample_rate) == ("visqol-audio", 48000)
    speech = Visqol(mode="speech")
    assert (speech.name, speech.sample_rate) == ("visqol-speech-polynomial", 16000)
    assert packages.created == {"mode": "speech", "use_lattice_model": False}
    packages.lattice = True
    assert Visqol(mode="speech").name == "visqol-speech-lattice"
    assert packages.created["use_lattice_model"] is True
    Visqol()
    assert packages.created == {"mode": "audio", "use_lattice_model": False}
    with pytest.raises(ValueError, match="mode must be one of audio, speech, got 'music'"):
        Visqol(mode="music")


def test_loud_sounds_are_clipped_for_visqol(packages):
    Visqol()(torch.tensor([2.0, -2.0, 0.5]), torch.tensor([0.1, -1.0, 1.0]))
    first, second = waveforms_of(packages.calls[0])
    np.testing.assert_allclose(first, [0.99, -0.99, 0.5])
    np.testing.assert_allclose(second, [0.1, -0.99, 0.99])


@pytest.mark.parametrize("name", LISTENERS)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ValueError("Too few samples"), "Too few samples"),
        (RuntimeError(b"No utterances detected"), "No utterances detected"),
        (math.nan, "gave nan"),
        (math.inf, "gave inf"),
    ],
)
def test_a_pair_without_a_mark_says_why(packages, name, answer, reason):
    packages.answer = answer
    with pytest.raises(UnratedError, match=reason):
        LISTENERS[name]()(torch.ones(9), torch.ones(9))


@pytest.mark.parametrize("name", LISTENERS)
def test_silence_is_never_handed_to_a_listener(packages, name):
    """ViSQOL gives anything its best mark beside a silent original."""
    listener = LISTENERS[name]()
    for pair, side in (((0, 1), "reference"), ((1, 0), "generated")):
        with pytest.raises(UnratedError, match=f"the {side} sound is silent"):
            listener(*(torch.full((9,), float(value)) for value in pair))
    assert packages.calls == []


@pytest.mark.parametrize("name", LISTENERS)
def test_what_is_no_sound_is_a_mistake_not_a_pair_without_a_mark(packages, name):
    listener = LISTENERS[name]()
    for pair in ((torch.ones(1, 9), torch.ones(1, 9)), (torch.ones(9) / 0, torch.ones(9))):
        with pytest.raises(ValueError, match=r"mono waveforms|NaN or infinite") as caught:
            listener(*pair)
        assert not isinstance(caught.value, UnratedError)


@pytest.mark.parametrize("name", ["visqol", "pesq"])
def test_without_the_package_it_says_what_to_install(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install ('\.\[visqol\]'|pesq)$"):
        LISTENERS[name]()


@needs_visqol
def test_visqol_itself():
    """An exact copy gets the best mark of audio mode; the roles of the two sounds differ."""
    listener = Visqol()
    sound = chirp(listener.sample_rate)
    assert listener(sound, sound) == pytest.approx(4.732, abs=2e-3)
    assert listener(sound, faded(sound)) == pytest.approx(2.77, abs=0.05)
    assert listener(faded(sound), sound) > 4
    with pytest.raises(UnratedError, match="Too few samples"):
        listener(sound[:2400], sound[:2400])
    assert listener.version == importlib.metadata.version("visqol-python")


@needs_pesq
def test_pesq_itself():
    listener = Pesq()
    sound = chirp(listener.sample_rate)
    noisy = sound + 0.05 * torch.randn(len(sound), generator=torch.Generator().manual_seed(1))
    assert listener(sound, sound) == pytest.approx(4.644, abs=2e-3)
    assert 1 < listener(sound, noisy) < 3
    assert listener(sound, noisy) != pytest.approx(listener(noisy, sound), abs=0.1)
    with pytest.raises(UnratedError, match="1/4 of a second"):
        listener(sound[:800], sound[:800])
