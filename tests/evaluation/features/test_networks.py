import pytest
import torch

from evaluation.embedders.registry import build_network
from evaluation.features.networks import Networks, check_device
from evaluation.protocols.card import load_protocol
from evaluation.settings import Settings


def test_facts_say_what_ran(tiny):
    card = load_protocol("audiocraft")
    settings = Settings(weights=tiny.weights, dtype="bfloat16")
    facts = Networks(settings.applied_to(card), ["vggish"], settings).facts
    demo = settings.applied_to(load_protocol("demo"))
    facts |= Networks(demo, ["logmel"], settings).facts
    assert facts["vggish"]["dtype"] == "bfloat16"
    assert facts["vggish"]["weights"] == "vggish-10086976.pth"
    assert facts["vggish"]["options"]["window"] == 1.0
    assert facts["logmel"]["dtype"] == "float32"  # it has no weights to work in another one
    assert facts["logmel"]["weights_sha256"] is None
    assert not facts["logmel"]["stand_in"]


def test_random_weights_are_marked_where_there_should_be_others(tiny):
    card, settings = load_protocol("audiocraft"), Settings(random_weights=True)
    networks = Networks(card, ["vggish"], settings)
    assert networks.facts["vggish"]["stand_in"]
    logmel = Networks(load_protocol("demo"), ["logmel"], settings)
    assert (logmel.facts["logmel"]["stand_in"], logmel.warnings()) == (False, [])
    assert "vggish: random weights" in networks.warnings()[0]


def test_only_what_is_asked_for_is_built(tiny):
    networks = Networks(load_protocol("audiocraft"), ["passt"], Settings(weights=tiny.weights))
    assert list(networks.built) == ["passt"]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "vulkan"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(ValueError, match="device"):
        check_device(device)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "vgg"}, "unknown network 'vgg'"),
        ({"dtype": "float16"}, "dtype must be one of float32, bfloat16, got 'float16'"),
        ({"options": {"bands": 3}}, "network logmel: .*bands"),
        ({"options": {"sample_rate": 8000, "patch": 1.0, "hop": 0.5}}, "at least 16000 Hz"),
    ],
)
def test_what_cannot_be_built_says_why(change, message):
    given = {"name": "logmel", "options": {"sample_rate": 16000, "patch": 1.0, "hop": 0.5}} | change
    with pytest.raises(ValueError, match=message):
        build_network(given.pop("name"), weights=None, **given)


def test_log_mel_statistics_are_the_same_in_two_steps():
    from evaluation.embedders.logmel import LogMelStatistics

    options = {"sample_rate": 16000, "patch": 1.0, "hop": 0.5}
    network = build_network("logmel", weights=None, options=options)
    sound = torch.randn(50000, generator=torch.Generator().manual_seed(0))
    rows = network.run(network.windows(sound))["embedding"]
    torch.testing.assert_close(rows, LogMelStatistics(**options)(sound))
    assert rows.shape == (5, network.outputs["embedding"])
