import copy
import io

import pytest
import torch
from torch import Tensor

from audiogen.codec import codebook
from audiogen.codec.quantizer import ResidualVectorQuantizer


def make(**changes: object) -> ResidualVectorQuantizer:
    settings = {"dim": 4, "num_codebooks": 3, "codebook_size": 8, "decay": 0.9, "kmeans_iters": 5}
    return ResidualVectorQuantizer(**(settings | changes))


def latents(seed: int = 0, batch: int = 2, dim: int = 4, frames: int = 30) -> Tensor:
    return torch.randn(batch, dim, frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("case", "threshold"), [("noexpire", 0), ("expire", 12), ("noexpire", 20), ("noexpire", 1000)]
)
def test_training_matches_golden(golden, golden_text, monkeypatch, case, threshold):
    """K-means and two steps of learning; the reference drew the first rows instead of random ones.

    What it replaces it puts back at once: its results are the same whatever the threshold. At the
    one of "expire" no entry is dead, above 15 in every codebook some are, at 1000 all.
    """
    vq, _ = golden("vq")
    monkeypatch.setattr(codebook, "draw_rows", lambda total, count, generator: torch.arange(count))
    said = golden_text("vq", "vq_params_json")
    assert said["expire_threshold"] == 12
    rvq = ResidualVectorQuantizer(
        dim=said["dim"],
        num_codebooks=said["num_quantizers"],
        codebook_size=said["codebook_size"],
        decay=said["decay"],
        kmeans_iters=said["kmeans_iters"],
        dead_code_threshold=threshold,
        dead_code_unit="count",
        paper_exact=True,
    )
    for step, name in enumerate(["x", "x2"]):
        x = vq[name].clone().requires_grad_()
        output = rvq(x)
        output.commitment_loss.backward()
        reference = f"{case}_step{step}"
        assert torch.equal(output.codes.transpose(0, 1), vq[f"{reference}_codes"])
        close(output.latents, vq[f"{reference}_quantized"])
        close(output.commitment_loss, vq[f"{reference}_losses"].mean())
        torch.testing.assert_close(x.grad, vq[f"{reference}_xgrad"], rtol=1e-4, atol=1e-7)
        for buffer in ("embed", "embed_avg", "cluster_size", "inited"):
            ours = torch.stack([getattr(book, buffer) for book in rvq.codebooks])
            torch.testing.assert_close(ours, vq[f"{reference}_{buffer}"], rtol=1e-5, atol=1e-6)
    assert rvq.restarts.sum() == 0
    rvq.eval()
    codes = rvq.encode(vq["x"])
    assert torch.equal(codes.transpose(0, 1), vq[f"{case}_eval_codes"])
    close(rvq.decode(codes), vq[f"{case}_eval_decoded"])


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_the_first_loss_of_each_codebook_matches_golden(golden, monkeypatch):
    """The reference reports one loss per codebook: ours is their mean, whatever their number."""
    vq, _ = golden("vq")
    monkeypatch.setattr(codebook, "draw_rows", lambda total, count, generator: torch.arange(count))
    for used in (1, 2, 3):
        rvq = make(dim=6, codebook_size=10, kmeans_iters=20, paper_exact=True)
        rvq.active_codebooks = used
        close(rvq(vq["x"]).commitment_loss, vq["expire_step0_losses"][:used].mean())


def test_the_default_differs_from_the_reference_where_it_is_wrong(golden, monkeypatch):
    vq, _ = golden("vq")
    monkeypatch.setattr(codebook, "draw_rows", lambda total, count, generator: torch.arange(count))
    settings = {"dim": 6, "codebook_size": 10, "decay": 0.99, "kmeans_iters": 20}
    ours = make(**settings, dead_code_threshold=20, dead_code_unit="count")
    assert torch.equal(ours(vq["x"]).codes.transpose(0, 1), vq["expire_step0_codes"])
    below = vq["expire_step0_cluster_size"] < 20
    assert ours.restarts.tolist() == below.sum(dim=1).tolist()
    dead = below[0].nonzero()[:, 0]
    assert 0 < len(dead) < 10
    revived = ours.codebooks[0].embed[dead]
    rows = vq["x"].transpose(1, 2).reshape(-1, 6)[dead]
    close(revived, rows)
    # The sums start as entry times count: without a restart the entries hardly move at all.
    calm = make(**settings, dead_code_threshold=0)
    calm(vq["x"])
    means = calm.codebooks[0].embed
    assert (means - vq["noexpire_step0_embed"][0]).norm() > 0.5 * means.norm()


def test_paper_exact_starts_in_eval_mode():
    rvq = make(paper_exact=True).eval()
    rvq.encode(latents())
    assert not any(book.is_inited for book in rvq.codebooks)  # only a forward pass starts them
    rvq(latents())
    assert all(book.is_inited for book in rvq.codebooks)
    started = copy.deepcopy(rvq.state_dict())
    rvq(latents(1))
    for name, value in rvq.state_dict().items():
        assert torch.equal(value, started[name]), name


def test_paper_exact_draws_for_restarts_that_do_not_happen():
    quiet, drawing = make(paper_exact=True, dead_code_threshold=0), make(paper_exact=True)
    for step in range(3):
        quiet(latents(step))
        drawing(latents(step))
    for ours, theirs in zip(quiet.codebooks, drawing.codebooks, strict=True):
        assert torch.equal(ours.embed[0], theirs.embed[0]) == (ours is quiet.codebooks[0])
    assert not torch.equal(quiet.generator.get_state(), drawing.generator.get_state())
    assert drawing.restarts.sum() == 0


def test_latents_that_are_not_finite_teach_nothing():
    rvq = make(dead_code_threshold=0.9)
    rvq(latents())
    before = copy.deepcopy(rvq.state_dict())
    broken = latents(1)
    broken[1, 2, 3] = torch.nan
    rvq(broken)
    for name, value in rvq.state_dict().items():
        if name != "_extra_state":
            torch.testing.assert_close(value, before[name], rtol=1e-6, atol=1e-7)


def test_each_codebook_quantizes_what_is_left():
    rvq = make(num_codebooks=6, codebook_size=32).train()
    x = latents(frames=200)
    rvq(x)
    rvq.eval()
    codes = rvq.encode(x)
    errors = [(x - rvq.decode(codes[:, :k])).square().mean().item() for k in range(1, 7)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * errors[0]


def test_forward_encode_and_decode_agree():
    rvq = make()
    rvq(latents())
    rvq.eval()
    output = rvq(latents(1))
    codes = rvq.encode(latents(1))
    assert torch.equal(output.codes, codes)
    torch.testing.assert_close(output.latents, rvq.decode(codes), rtol=1e-5, atol=1e-6)
    assert output.bandwidth == 9  # bits per frame: 3 codebooks of log2(8)


def test_gradients_pass_straight_through():
    rvq = make()
    x = latents().requires_grad_()
    upstream = latents(7)
    (rvq(x).latents * upstream).sum().backward()
    torch.testing.assert_close(x.grad, upstream, rtol=0, atol=0)


def test_commitment_loss_is_the_mean_squared_residual():
    rvq = make(num_codebooks=1, kmeans_init=False).eval()
    x = latents()
    expected = (x - rvq.decode(rvq.encode(x))).square().mean()
    torch.testing.assert_close(rvq(x).commitment_loss, expected)


def test_eval_mode_learns_nothing():
    for started in (False, True):
        rvq = make()
        if started:
            rvq(latents())
        rvq.eval()
        before = copy.deepcopy(rvq.state_dict())
        rvq(latents(1))
        rvq.encode(latents(2))
        for name, value in rvq.state_dict().items():
            assert torch.equal(value, before[name]), name


def test_codebook_dropout_draws_every_number_and_only_in_training():
    rvq = make(codebook_dropout=True)
    seen = {rvq(latents(i)).codes.shape[1] for i in range(30)}
    assert seen == {1, 2, 3}
    assert {rvq(latents(i)).bandwidth for i in range(30)} == {3, 6, 9}
    rvq.eval()
    assert {rvq(latents(i)).codes.shape[1] for i in range(10)} == {3}


def test_same_seed_same_codebooks_whatever_the_global_stream():
    torch.manual_seed(1)
    first = make(seed=5)
    first(latents())
    torch.manual_seed(2)
    second, other = make(seed=5), make(seed=6)
    second(latents())
    other(latents())
    assert torch.equal(first.codebooks[2].embed, second.codebooks[2].embed)
    assert not torch.equal(first.codebooks[2].embed, other.codebooks[2].embed)


def test_learning_leaves_the_global_stream_alone():
    state = torch.get_rng_state()
    make(codebook_dropout=True)(latents())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("steps_before", [0, 1, 5])
def test_a_saved_state_continues_exactly(steps_before):
    """K-means, restarts and dropout of a continued run are those of the uninterrupted one."""
    settings = {"codebook_dropout": True, "dead_code_threshold": 0.9}
    whole = make(**settings)
    for step in range(steps_before):
        whole(latents(step))
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed = make(**settings, seed=123)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for step in range(steps_before, steps_before + 4):
        ours, theirs = whole(latents(step)), resumed(latents(step))
        assert torch.equal(ours.codes, theirs.codes)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert whole.restarts.sum() > 0


def test_copies_do_not_share_randomness():
    rvq = make()
    clone = copy.deepcopy(rvq)
    state = rvq.generator.get_state()
    clone(latents())
    assert torch.equal(rvq.generator.get_state(), state)
    rvq(latents())
    assert torch.equal(rvq.codebooks[0].embed, clone.codebooks[0].embed)


def test_loading_an_untrained_state_runs_kmeans_again():
    fresh = make().state_dict()
    rvq = make()
    rvq(latents())
    assert rvq.codebooks[0].is_inited
    rvq.load_state_dict(fresh)
    assert not rvq.codebooks[0].is_inited


def test_a_state_for_inference_only_keeps_the_generator():
    rvq = make()
    state = {k: v for k, v in rvq.state_dict().items() if k.startswith("codebooks")}
    rvq.load_state_dict(state)
    del state["codebooks.1.embed"]
    with pytest.raises(RuntimeError, match=r"Missing key.*codebooks\.1\.embed"):
        rvq.load_state_dict(state)


def test_usage_reports_each_codebook():
    rvq = make(num_codebooks=2, codebook_size=4)
    rvq.codebooks[0].cluster_size.copy_(torch.tensor([2.0, 2.0, 0.0, 0.0]))
    rvq.codebooks[1].cluster_size.copy_(torch.tensor([1.0, 1.0, 1.0, 1.0]))
    usage = rvq.usage()
    torch.testing.assert_close(usage["perplexity"], torch.tensor([2.0, 4.0]))
    assert usage["usage"].tolist() == [0.5, 1.0]
    assert usage["restarts"].tolist() == [0, 0]


def test_autocast_does_not_touch_the_codebooks():
    """Sixteen bits would choose other entries: enough latents are compared to see it."""
    rvq = make(kmeans_init=False, codebook_size=64).eval()
    x = latents(frames=1000)
    expected = rvq(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = rvq(x)
        codes = rvq.encode(x)
    assert torch.equal(output.codes, expected.codes)
    assert torch.equal(codes, expected.codes)
    assert output.latents.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebook_size": 1}, "got 1: one code carries no bits"),
        ({"num_codebooks": 0}, "num_codebooks must be at least 1"),
        ({"kmeans_iters": 0}, "kmeans_iters must be at least 1"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\)"),
        ({"dead_code_threshold": -1}, "must not be negative"),
        ({"dead_code_threshold": float("nan")}, "must not be negative or infinite, got nan"),
        ({"dead_code_threshold": 2.0}, "dead_code_unit='count'"),
        ({"dead_code_unit": "max"}, "must be 'mean' or 'count'"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)
