"""Steps at fixed places in memory: the same codes as steps of Python, captured or not."""

import logging

import pytest
import torch

from audiogen.lm import graphs as module
from audiogen.lm.generate import generate_codes, generate_frames
from audiogen.lm.graphs import Graphs, choose_graphs
from audiogen.lm.model import TokenLM

PATTERNS = {
    "delay": {"name": "delay", "delays": [0, 2, 1]},
    "flat": {"name": "delay", "delays": [0, 1, 2], "flatten_first": 3},
    "parallel": {"name": "parallel"},
    "unroll": {"name": "unroll"},
    "coarse_first": {"name": "coarse_first", "delays": [0, 1]},
    "musiclm": {"name": "musiclm", "group_by": 2},
}
CALLS = {
    "guided": {},
    "plain": {"guidance_scale": 1.0},
    "bare": {"guidance_scale": 0.0},
    "two-step": {"two_step": True, "guidance_scale": -1.0},
    "window": {"guidance_frames": (3, 6)},
    "prompt": {"prompt": 4},
    "prompt, window": {"prompt": 2, "guidance_frames": (4, 9), "top_p": 0.8},
    "greedy": {"temperature": 0.0},
}


def step_by_step():
    """Capture nothing: what a CUDA graph would repeat is done again, on any device."""
    return Graphs(capture=lambda action: action, bucket=4)


def generate(lm, captions, *, graphs, num_frames=9, prompt=0, seed=1, **options):
    text, mask = captions
    rngs = [torch.Generator().manual_seed(seed + item) for item in range(len(text))]
    codes = torch.arange(len(text) * 3 * prompt).view(len(text), 3, prompt) % 16
    call = {"num_frames": num_frames, "prompt": codes.to(text.device), "top_k": 8} | options
    return generate_codes(lm, text, mask, generators=rngs, graphs=graphs, **call)


@pytest.fixture(params=PATTERNS)
def any_lm(request, tiny_lm):
    lm = TokenLM(**tiny_lm.config | {"delays": None, "pattern": PATTERNS[request.param]})
    lm.load_state_dict(tiny_lm.state_dict())
    return lm.eval()


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_fixed_places_change_nothing(any_lm, captions, options):
    expected = generate(any_lm, captions, graphs=False, **options)
    assert torch.equal(generate(any_lm, captions, graphs=step_by_step(), **options), expected)


def test_padding_of_the_text_changes_nothing(tiny_lm, captions):
    """Neither where it is masked nor where zeros are attended to."""
    for mask in (captions[1], None):
        call = (tiny_lm, (captions[0], mask))
        expected = generate(*call, graphs=False)
        assert torch.equal(generate(*call, graphs=step_by_step()), expected)


def test_calls_of_the_same_sizes_share_what_was_captured(tiny_lm, captions):
    """Other captions, seeds, prompts and fewer frames too; what they left behind does not show."""
    captured = []
    graphs = Graphs(capture=lambda action: captured.append(1) or action, bucket=4)
    others = (captions[0].flip(0)[:, :3], captions[1].flip(0)[:, :3])
    calls = [(captions, {}), (others, {"prompt": 5, "seed": 7}), (captions, {"num_frames": 6})]
    for number, (texts, options) in enumerate(calls):
        expected = generate(tiny_lm, texts, graphs=False, **options)
        assert torch.equal(generate(tiny_lm, texts, graphs=graphs, **options), expected)
        assert len(captured) == 3, number  # 11 steps read, in buckets of 4
    with torch.no_grad():
        tiny_lm.head.weight.mul_(-1)  # captured steps read weights where they are
    expected = generate(tiny_lm, captions, graphs=False)
    assert torch.equal(generate(tiny_lm, captions, graphs=graphs), expected)
    assert len(captured) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"num_frames": 12},
        {"guidance_scale": 2.0},
        {"guidance_scale": 1.0},
        {"two_step": True},
        {"temperature": 0.5},
        {"temperature": 0.0},
        {"top_p": 0.5},
    ],
    ids=str,
)
def test_another_kind_of_call_is_captured_anew(tiny_lm, captions, change):
    graphs = step_by_step()
    generate(tiny_lm, captions, graphs=graphs)
    expected = generate(tiny_lm, captions, graphs=False, **change)
    assert torch.equal(generate(tiny_lm, captions, graphs=graphs, **change), expected)


def test_another_model_or_batch_is_captured_anew(tiny_lm, make_lm, captions):
    graphs = step_by_step()
    generate(tiny_lm, captions, graphs=graphs)
    one = (captions[0][:1], captions[1][:1])
    assert torch.equal(generate(tiny_lm, one, graphs=graphs), generate(tiny_lm, one, graphs=False))
    tiny_lm.head.weight = torch.nn.Parameter(-tiny_lm.head.weight.detach())
    assert torch.equal(generate(tiny_lm, one, graphs=graphs), generate(tiny_lm, one, graphs=False))


def test_nan_of_one_call_does_not_reach_the_next(tiny_lm, captions):
    graphs = step_by_step()
    expected = generate(tiny_lm, captions, graphs=False)
    weight = tiny_lm.embedding.weight.detach().clone()
    torch.nn.init.constant_(tiny_lm.embedding.weight, torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        generate(tiny_lm, captions, graphs=graphs)
    with torch.no_grad():
        tiny_lm.embedding.weight.copy_(weight)
    assert torch.equal(generate(tiny_lm, captions, graphs=graphs), expected)


def test_frames_come_as_they_are_completed(tiny_lm, captions):
    frames = generate_frames(
        tiny_lm, *captions, num_frames=5, generators=None, graphs=step_by_step()
    )
    first = next(frames).clone()
    rest = list(frames)
    expected = generate(tiny_lm, captions, graphs=False, num_frames=5, temperature=0)
    assert torch.equal(torch.stack([first, *rest], dim=-1), expected)


def failing(error):
    def capture(action):
        raise error

    return capture


def test_a_capture_that_fails_is_told_once_and_done_without(tiny_lm, captions, caplog):
    graphs = Graphs(capture=failing(RuntimeError("operation not permitted\nand more")), bucket=4)
    with caplog.at_level(logging.WARNING):
        codes = generate(tiny_lm, captions, graphs=graphs)
    assert torch.equal(codes, generate(tiny_lm, captions, graphs=False))
    assert [record.message for record in caplog.records] == [
        "CUDA graph not captured, going on without: operation not permitted"
    ]


def test_a_capture_that_was_asked_for_fails_loudly(tiny_lm, captions):
    graphs = Graphs(capture=failing(RuntimeError("not permitted")), strict=True)
    with pytest.raises(RuntimeError, match="not permitted"):
        generate(tiny_lm, captions, graphs=graphs)


def test_too_little_memory_is_never_passed_over(tiny_lm, captions):
    graphs = Graphs(capture=failing(torch.OutOfMemoryError("too little")))
    with pytest.raises(torch.OutOfMemoryError):
        generate(tiny_lm, captions, graphs=graphs)


def test_who_gets_graphs(tiny_lm):
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    mine = step_by_step()
    assert choose_graphs(mine, tiny_lm, cpu) is mine
    assert choose_graphs(None, tiny_lm, cpu) is None
    assert choose_graphs(False, tiny_lm, cuda) is None
    assert choose_graphs(True, tiny_lm, cuda).strict
    assert not choose_graphs(None, tiny_lm, cuda).strict
    with pytest.raises(ValueError, match="need a model on a CUDA device, this one is on cpu"):
        choose_graphs(True, tiny_lm, cpu)
    with pytest.raises(ValueError, match="true, false, None or a Graphs, got 'yes'"):
        choose_graphs("yes", tiny_lm, cuda)
    with pytest.raises(ValueError, match="bucket must be at least 1 step, got 0"):
        Graphs(bucket=0)
    tiny_lm.blocks[0].register_forward_hook(lambda *_: None)
    assert choose_graphs(None, tiny_lm, cuda) is None
    assert choose_graphs(True, tiny_lm, cuda) is not None


@pytest.fixture
def on_cuda(any_lm, captions):
    return any_lm.cuda(), tuple(part.cuda() for part in captions)


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_graphs_and_eager_steps_draw_the_same_codes(on_cuda, batch, options):
    lm, captions = on_cuda
    items = torch.arange(batch).cuda() % 3
    captions = tuple(part[items] for part in captions)
    for num_frames in (9, 150):
        call = {"num_frames": num_frames, **options}
        expected = generate(lm, captions, graphs=False, **call)
        assert torch.equal(generate(lm, captions, graphs=True, **call), expected)


@pytest.mark.gpu
def test_graphs_are_replayed_for_later_calls(on_cuda, monkeypatch):
    captured, counts = [], []
    capture = module.CudaCapture.__call__
    monkeypatch.setattr(
        module.CudaCapture, "__call__", lambda *args: captured.append(1) or capture(*args)
    )
    lm, captions = on_cuda
    graphs = Graphs(strict=True)
    for seed in (1, 5):
        expected = generate(lm, captions, graphs=False, num_frames=100, seed=seed)
        found = generate(lm, captions, graphs=graphs, num_frames=100, seed=seed)
        assert torch.equal(found, expected)
        counts.append(len(captured))
    assert counts[0] == counts[1] > 1


@pytest.mark.gpu
def test_no_replayed_step_waits(on_cuda):
    lm, captions = on_cuda
    graphs = Graphs(strict=True)
    expected = generate(lm, captions, graphs=graphs, num_frames=20)
    frames = generate_frames(
        lm,
        *captions,
        num_frames=20,
        generators=[torch.Generator().manual_seed(1 + item) for item in range(3)],
        top_k=8,
        graphs=graphs,
    )
    made = [next(frames)]  # what comes before the steps may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        made += [next(frames) for _ in range(18)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    made += list(frames)
    assert torch.equal(torch.stack(made, dim=-1), expected)
