"""A step asks the device for nothing: run without values, where any question fails."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from audiogen.lm.generate import generate_codes
from audiogen.lm.graphs import Call, GraphedSteps
from audiogen.lm.guidance import Guidance
from audiogen.lm.model import TokenLM
from audiogen.lm.plan import Plan
from audiogen.lm.sampling import Sampling
from audiogen.lm.step import Steps

SIZES = {"num_codebooks": 3, "codebook_size": 16, "text_dim": 6, "dim": 24, "num_layers": 1}
PATTERNS = [{"name": "delay", "delays": [0, 1, 2]}, {"name": "musiclm"}]
UNFINISHED = {"norm_first": False, "bias_attn": True, "bias_ff": True, "layer_scale": 0.5}


class GivenNoise:
    """Races decided beforehand."""

    def __init__(self, noise):
        self.noise = noise

    def next(self):
        return self.noise


def fake_call(*, pattern=PATTERNS[0], prompt_frames=0, guidance=None, sampling=None, **options):
    """A call on a CUDA device that is not there, of tensors without values."""
    guidance, sampling = guidance or Guidance(scale=3.0), sampling or Sampling(top_k=4)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        lm = TokenLM(**SIZES, num_heads=2, pattern=pattern, **options).eval()
        text, mask = torch.zeros(2, 5, 24), torch.ones(2, 5, dtype=torch.bool)
        noise = torch.ones(2, 3, 16)
    plan = Plan.of(lm.pattern, num_frames=4, prompt_frames=prompt_frames, guidance=guidance)
    with noise.fake_mode:
        sequence = torch.zeros(2, 3, plan.layout.shape[1], dtype=torch.long, device="cuda")
    return Call(
        lm=lm,
        text=text,
        text_mask=mask,
        plan=plan,
        guidance=guidance,
        sampling=sampling,
        sequence=sequence,
        noise=GivenNoise(noise),
    )


def eager(call):
    return call.eager_steps()


def graphed(call):
    return GraphedSteps(call, capture=lambda action: action, bucket=3)


CASES = [
    {},
    {"guidance": Guidance(scale=3.0, two_step=True), "pattern": PATTERNS[1]},
    {"guidance": Guidance(scale=3.0, frames=(2, 3)), "prompt_frames": 1},
    {"guidance": Guidance(scale=0.0), "sampling": Sampling(top_p=0.5)},
    {"guidance": Guidance(scale=1.0), "sampling": Sampling(temperature=0)},
    UNFINISHED,
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("make", [eager, graphed])
@torch.no_grad()
def test_all_steps_run_where_there_are_no_values(make, case):
    """And all on one device: a tensor from elsewhere would be refused, too."""
    call = fake_call(**case)
    with call.sequence.fake_mode:
        steps = make(call)
        for step in call.plan.steps:
            steps.take(step)
        assert steps.sequence.device.type == steps.harm.device.type == "cuda"
        with pytest.raises(DataDependentOutputException):
            steps.check()  # the one question, when all is done


@torch.no_grad()
def test_a_question_within_a_step_would_be_noticed(monkeypatch):
    call = fake_call()
    monkeypatch.setattr(
        Sampling,
        "choose",
        lambda self, logits, noise: logits.argmax(-1).clamp(max=int(logits.max())),
    )
    with call.sequence.fake_mode:
        steps = eager(call)
        with pytest.raises(DataDependentOutputException):
            steps.take(1)


def test_a_whole_generation_asks_once(tiny_lm, captions, monkeypatch):
    """The dispatcher sees what Python does not: every value that leaves a tensor."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Questions(TorchDispatchMode):
        asked = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")
            self.asked += function.overloadpacket.__name__ in names
            return function(*args, **(kwargs or {}))

    within = []
    take = Steps.take

    def counted(self, step):
        with Questions() as questions:
            take(self, step)
        within.append(questions.asked)

    monkeypatch.setattr(Steps, "take", counted)
    rngs = [torch.Generator().manual_seed(seed) for seed in range(3)]
    generate_codes(tiny_lm, *captions, num_frames=6, generators=rngs, guidance_frames=(2, 4))
    assert within == [0] * 8


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_logit_that_is_not_finite_is_remembered(tiny_lm, captions, value):
    rows = torch.zeros(3, 3, 16)
    call = Call(
        lm=tiny_lm,
        text=captions[0],
        text_mask=captions[1],
        plan=Plan.of(tiny_lm.pattern, num_frames=2, prompt_frames=0, guidance=Guidance(scale=1.0)),
        guidance=Guidance(scale=1.0),
        sampling=Sampling(),
        sequence=torch.full((3, 3, 5), 16),
        noise=None,
    )
    steps = call.eager_steps()
    steps.draw(rows + 3e38, None)
    steps.draw(rows - 3e38, None)
    steps.check()
    rows[1, 2, 5] = value
    steps.draw(rows, None)
    steps.draw(torch.zeros_like(rows), None)
    with pytest.raises(ValueError, match="not finite: check its weights"):
        steps.check()
