"""Published language models: what they compute comes back, whatever they were built with."""

import random
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from audiogen.model_folder.build import build_on_meta
from audiogen.model_folder.layout import CheckpointError
from audiogen.released import load_language_model, load_released
from audiogen.released.lm_load import build_lm, read_lm_file
from audiogen.released.lm_names import published_places

from .plain_lm import build_plain_lm, plain_greedy
from .published_lm import lm_config, write_lm

BIASES = {f"transformer_lm__bias_{part}": True for part in ("ff", "attn", "proj")}
ODD = {
    "plain": {},
    "biases": BIASES,
    "post-norm": {"transformer_lm__norm_first": False},
    "post-norm, biases, scales": {
        **BIASES,
        "transformer_lm__norm_first": False,
        "transformer_lm__layer_scale": 0.1,
    },
    "layer scale": {"transformer_lm__layer_scale": 1e-4},
    "layer scale that began at 0": {"transformer_lm__layer_scale": 0},
    "relu, wide": {"transformer_lm__activation": "relu", "transformer_lm__hidden_scale": 2.5},
    "positions": {"transformer_lm__max_period": 100, "transformer_lm__positional_scale": 0.5},
}


def random_case(seed):
    """Settings that are drawn, all of them at once."""
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3, 5])
    flags = ("norm_first", "bias_ff", "bias_attn", "bias_proj")
    transformer = {
        "dim": heads * draw.choice([4, 6, 8]),
        "num_heads": heads,
        "num_layers": draw.randint(1, 4),
        "n_q": draw.randint(1, 6),
        "card": draw.randint(2, 40),
        "hidden_scale": draw.choice([1, 2, 4, 5]),
        "activation": draw.choice(["gelu", "relu"]),
        "layer_scale": draw.choice([None, 0.3]),
        **{flag: draw.random() < 0.5 for flag in flags},
    }
    return {f"transformer_lm__{key}": value for key, value in transformer.items()}


@pytest.mark.parametrize("case", [*ODD, *range(12)])
def test_logits_are_those_of_the_plain_model(tmp_path, case):
    changes = ODD[case] if case in ODD else random_case(case)
    config = lm_config(**changes, codebooks_pattern__modeling="parallel")
    plain = build_plain_lm(config, seed=7)
    lm = load_language_model(write_lm(tmp_path, config, plain.state_dict()))
    assert not lm.training
    options = config["transformer_lm"]
    generator = torch.Generator().manual_seed(3)
    sequence = torch.randint(options["card"] + 1, (2, options["n_q"], 9), generator=generator)
    states = torch.randn(2, 5, 32, generator=generator)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    with torch.no_grad():
        text = lm.project_text(states, mask)
        torch.testing.assert_close(text, plain.project(states, mask), rtol=1e-4, atol=1e-5)
        found, expected = lm(sequence, text), plain(sequence, text)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_greedy_codes_are_those_of_the_plain_model(tmp_path, seed):
    draw = random.Random(seed)
    changes = random_case(seed + 50)
    count = changes["transformer_lm__n_q"]
    delays = [draw.randint(0, 4) for _ in range(count)]
    config = lm_config(
        **changes, codebooks_pattern={"modeling": "delay", "delay": {"delays": delays}}
    )
    plain = build_plain_lm(config, seed=seed)
    lm = load_language_model(write_lm(tmp_path, config, plain.state_dict()))
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True] * 3, [True, False, False]])
    text = plain.project(torch.randn(2, 3, 32, generator=generator), mask).detach()
    given = draw.choice([0, 2, 5])
    card = changes["transformer_lm__card"]
    call = {
        "prompt": torch.randint(card, (2, count, given), generator=generator),
        "frames": given + draw.randint(1, 7),
        "scale": draw.choice([1.0, 3.0]),
    }
    expected = plain_greedy(plain, text, delays=delays, **call)
    found = generate_codes(
        lm,
        text,
        None,
        num_frames=call["frames"],
        generators=None,
        guidance_scale=call["scale"],
        prompt=call["prompt"],
    )
    assert torch.equal(found, expected)


def test_the_extra_level_of_torchs_attention(tmp_path):
    config = lm_config(**BIASES, transformer_lm__memory_efficient=False)
    state = build_plain_lm(config).state_dict()
    longer = {
        name.replace("_attn.", "_attn.mha.").replace("_attention.", "_attention.mha."): value
        for name, value in state.items()
    }
    assert sum(".mha." in name for name in longer) == 16
    lm = load_language_model(write_lm(tmp_path, config, longer))
    expected = load_language_model(write_lm(tmp_path, config, state))
    assert_equal(lm, expected)
    twice = state | {"transformer.layers.0.self_attn.mha.in_proj_bias": torch.zeros(48)}
    with pytest.raises(CheckpointError, match=r"unexpected: \S+mha\.in_proj_bias\."):
        load_language_model(write_lm(tmp_path, config, twice))


def assert_equal(lm, other):
    assert lm.config == other.config
    own, theirs = lm.state_dict(), other.state_dict()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_the_published_medium_model_has_588_tensors(tmp_path):
    """Counted from the reference's own class; nothing of that size is allocated here."""
    config = lm_config(
        transformer_lm__dim=1536,
        transformer_lm__num_heads=24,
        transformer_lm__num_layers=48,
        transformer_lm__n_q=4,
        transformer_lm__card=2048,
        codebooks_pattern__delay__delays=[0, 1, 2, 3],
    )
    state = {"condition_provider.conditioners.description.output_proj.weight": torch.zeros(0, 1024)}
    file = read_lm_file(write_lm(tmp_path, config, state))
    lm = build_on_meta(TokenLM, file.keywords, file.path, said_in="xp.cfg")
    own, places = lm.state_dict(), published_places(lm)
    shapes = {name: place.of(own[place.name]).shape for name, place in places.items()}
    assert len(shapes) == 588
    assert sum(shape.numel() for shape in shapes.values()) == 1_839_131_136
    assert shapes["transformer.layers.47.linear1.weight"] == (6144, 1536)
    assert shapes["emb.3.weight"] == (2049, 1536)
    assert shapes["linears.0.weight"] == (2048, 1536)
    with pytest.raises(CheckpointError, match=r"missing: .*linears\.3\.weight, .*mis-shaped: "):
        build_lm(file)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_float_type_is_widened_or_narrowed_on_request(tmp_path, dtype):
    state = {k: v.to(dtype) for k, v in build_plain_lm(lm_config()).state_dict().items()}
    path = write_lm(tmp_path, None, state)
    lm = load_language_model(path)
    assert {p.dtype for p in lm.parameters()} == {torch.float32}
    assert torch.equal(lm.embedding.weight[17:34], state["emb.1.weight"].float())
    half = load_language_model(path, dtype=torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert half.offsets.dtype == torch.int64
    assert half.offsets.tolist() == [[0], [17], [34]]


def test_parameters_are_loaded_as_their_values(tmp_path):
    """What a state dict holds that was asked for with keep_vars."""
    plain = build_plain_lm(lm_config())
    state = dict(plain.state_dict(keep_vars=True))
    assert all(value.requires_grad for value in state.values())
    lm = load_language_model(write_lm(tmp_path / "kept", None, state))
    assert_equal(lm, load_language_model(write_lm(tmp_path / "plain", None, plain.state_dict())))
    assert all(p.is_leaf and p.grad_fn is None for p in lm.parameters())


def test_the_prefix_of_a_wrapper_is_left_out(tmp_path):
    state = dict(build_plain_lm(lm_config()).state_dict())
    wrapped = {f"module.{name}": value for name, value in state.items()}
    lm = load_language_model(write_lm(tmp_path / "wrapped", None, wrapped))
    assert_equal(lm, load_language_model(write_lm(tmp_path / "bare", None, state)))
    wrapped["out_norm.bias"] = wrapped.pop("module.out_norm.bias")
    count = len(state)
    path = write_lm(tmp_path / "some", None, wrapped)
    with pytest.raises(
        CheckpointError,
        match=rf"{count - 1} of {count} tensors have the prefix 'module\.' .* as out_norm\.bias",
    ):
        load_language_model(path)


@pytest.mark.parametrize("weights", ["best", "ema", "last", "sharded"])
def test_training_checkpoints(tmp_path, weights):
    config = lm_config()
    states = {
        name: build_plain_lm(config, seed=i).state_dict()
        for i, name in enumerate(("best", "ema", "last", "sharded"))
    }
    package = {
        "history": [{}, {}],
        "xp.cfg": OmegaConf.create(config),
        "best_state": {"model": states["best"]},
        "fsdp_best_state": {"model": states["sharded"]} if weights == "sharded" else {},
        "model": states["last"],
        "ema": {"state": {"model": states["ema"]}, "count": 12.0},
        "optimizer": {"state": {}, "param_groups": []},
        "scaler": {"scale": 65536.0},
    }
    torch.save(package, tmp_path / "checkpoint.th")
    (tmp_path / "one").mkdir()
    expected = load_language_model(write_lm(tmp_path / "one", config, states[weights]))
    asked = "best" if weights == "sharded" else weights
    assert_equal(load_language_model(tmp_path, weights=asked), expected)
    if weights == "sharded":
        for other in ("ema", "last"):
            with pytest.raises(CheckpointError, match="cut over several processes"):
                load_language_model(tmp_path, weights=other)


def test_one_piece_of_a_cut_checkpoint(tmp_path):
    path = write_lm(tmp_path, name="checkpoint.th.3")
    with pytest.raises(CheckpointError, match=r"one piece .* give \S+checkpoint\.th, of"):
        load_language_model(path)


def test_every_difference_is_listed_at_once(tmp_path):
    state = dict(build_plain_lm(lm_config()).state_dict())
    del state["out_norm.bias"]
    del state["emb.2.weight"]
    state["linears.9.weight"] = torch.zeros(3)
    state["transformer.layers.1.linear1.weight"] = torch.zeros(5, 6)
    state["linears.0.weight"] = torch.zeros(16, 16, dtype=torch.int64)
    path = write_lm(tmp_path, None, state)
    with pytest.raises(CheckpointError) as caught:
        load_language_model(path)
    for part in (
        str(path),
        "language model that its configuration describes",
        "missing: emb.2.weight, out_norm.bias",
        "unexpected: linears.9.weight",
        "mis-shaped: transformer.layers.1.linear1.weight [5, 6] instead of [64, 16]",
        "not floating point: linears.0.weight torch.int64",
    ):
        assert part in str(caught.value)


def test_weights_that_are_no_numbers_are_named(tmp_path):
    state = dict(build_plain_lm(lm_config()).state_dict())
    state["linears.1.weight"] = torch.full((16, 16), float("inf"))
    with pytest.raises(CheckpointError, match=r"not finite: linears\.1\.weight\."):
        load_language_model(write_lm(tmp_path, None, state))


@pytest.mark.parametrize("key", ["num_layers", "n_q"])
def test_a_model_that_would_take_hours_to_build_is_refused_at_once(tmp_path, key):
    state = build_plain_lm(lm_config()).state_dict()
    config = lm_config(**{f"transformer_lm__{key}": 10**12})
    wrong = f"transformer_lm.{key} 1000000000000 where a whole number from 1 to 1024 is expected"
    with pytest.raises(CheckpointError, match=wrong):
        load_language_model(write_lm(tmp_path, config, state))


@pytest.mark.parametrize("key", ["dim", "card", "hidden_scale"])
def test_a_model_beyond_memory_is_refused_before_memory_is_taken(tmp_path, key):
    state = build_plain_lm(lm_config()).state_dict()
    config = lm_config(**{f"transformer_lm__{key}": 2**20})
    with pytest.raises(CheckpointError, match="mis-shaped: "):
        load_language_model(write_lm(tmp_path, config, state))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_loading_takes_no_more_memory_than_the_model(tmp_path):
    """A loader that widens all tensors before it builds the model takes twice as much."""
    config = lm_config(transformer_lm__dim=512, transformer_lm__num_layers=6)
    state = {k: v.half() for k, v in build_plain_lm(config).state_dict().items()}
    path = write_lm(tmp_path, config, state)
    size = sum(2 * value.nbytes for value in state.values())
    del state
    with most_memory() as taken:
        lm = load_language_model(path)
    assert size == sum(value.nbytes for value in lm.state_dict().values()) > 90e6
    assert taken() < 1.2 * size


@contextmanager
def most_memory():
    """Watch a block; what is yielded tells by how many bytes its own memory grew at most."""
    start, most, done = private_memory(), [0], threading.Event()

    def watch():
        while not done.wait(0.002):
            most.append(private_memory() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(most)
    finally:
        done.set()
        watcher.join()


def private_memory():
    """Bytes of this process that are no pages of files, which the system can drop."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def test_loading_draws_nothing_and_the_file_may_vanish(tmp_path):
    path = write_lm(tmp_path)
    before = torch.get_rng_state()
    lm = load_language_model(path)
    assert torch.equal(torch.get_rng_state(), before)
    kept = lm.head.weight.clone()
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(lm.head.weight, kept)


def test_a_loaded_model_learns_on(tmp_path):
    lm = load_language_model(write_lm(tmp_path)).train()
    logits = lm(torch.zeros(1, 3, 4, dtype=torch.long), torch.randn(1, 2, 16))
    logits.square().mean().backward()
    learned = {name for name, p in lm.named_parameters() if p.grad is not None}
    assert learned == {n for n, _ in lm.named_parameters() if not n.startswith("text_projection")}


def test_a_codec_is_no_language_model(publish, tmp_path):
    path = publish(name="state_dict.bin")
    with pytest.raises(CheckpointError, match=r"is no language model.*Were the two files swapped"):
        load_language_model(path)
    torch.save({"pretrained": "someone/else"}, path)
    with pytest.raises(CheckpointError, match="is no language model"):
        load_released(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no state_dict.bin and no checkpoint.th at"):
        load_language_model(tmp_path)
    with pytest.raises(ValueError, match="weights must be one of best, ema, last; got 'mean'"):
        load_language_model(tmp_path, weights="mean")
