import pytest

from evaluation.catalog import METRICS, check_metrics
from evaluation.weights import NETWORKS, missing_reason, weights_path


def test_every_network_metric_has_an_entry():
    assert {info.network for info in METRICS.values()} - {None} == set(NETWORKS)


@pytest.mark.parametrize("network", NETWORKS)
def test_missing_weights_say_which_file_from_where_to_where(tmp_path, network, monkeypatch):
    assert (
        missing_reason(network, tmp_path)
        == f"this version has no {NETWORKS[network].name} embedder"
    )
    monkeypatch.setattr("evaluation.weights.find_spec", lambda module: module)
    reason = missing_reason(network, tmp_path)
    assert NETWORKS[network].file in reason
    assert NETWORKS[network].source in reason
    assert str(tmp_path) in reason
    assert "--weights" in reason
    other = missing_reason(network, tmp_path, option="scores.weights=")
    assert other == reason.replace("--weights", "scores.weights=")


def test_weights_in_place_are_not_called_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.weights.find_spec", lambda module: module)
    weights_path("vggish", tmp_path).touch()
    assert missing_reason("vggish", tmp_path) is None


def test_unknown_metrics_get_the_nearest_name():
    assert check_metrics(["kld_passt", "fad_vggish", "kld_passt"]) == ["kld_passt", "fad_vggish"]
    with pytest.raises(ValueError, match=r"unknown metric 'kld'\. Did you mean kld_passt"):
        check_metrics(["kld"])
