"""What test_ranks.py runs in two processes, and alone: cases (rank, world) -> tensors.

Items are dealt to the processes in turn, so that two of them hold what one does.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from audiogen.codec.balancer import Balancer
from audiogen.codec.quantizer import ResidualVectorQuantizer

SMALL = {"dim": 3, "num_codebooks": 2, "codebook_size": 6, "decay": 0.5, "kmeans_iters": 3}


def items(step: int, count: int) -> Tensor:
    return torch.randn(count, 3, 10, generator=torch.Generator().manual_seed(step))


def learn(rank: int, world: int, *, count: int, **changes: object) -> dict[str, Tensor]:
    """Five steps; the state of the end, and the codes of the whole batch of every step."""
    rvq = ResidualVectorQuantizer(**(SMALL | {"dead_code_threshold": 0.9} | changes))
    for step in range(5):
        rvq(items(step, count)[rank::world])
    return rvq.state_dict()


def learn_in_parts(rank: int, world: int) -> dict[str, Tensor]:
    """Several passes per step, of one item each: 4 items here, 2 and 2 there."""
    rvq = ResidualVectorQuantizer(**SMALL, dead_code_threshold=0.9, codebook_dropout=True)
    rvq.start(items(9, 8))
    for step in range(3):
        with rvq.one_step():
            for item in items(step, 4)[rank::world]:
                rvq(item[None])
    return rvq.state_dict()


def far_apart(rank: int, world: int) -> dict[str, Tensor]:
    """The first process sees latents around 0 only, the second around 100 only."""
    settings = SMALL | {"num_codebooks": 1, "decay": 0.0}
    rvq = ResidualVectorQuantizer(**settings, dead_code_threshold=0.3)
    near = items(0, 4)
    near[1::2] += 100
    rvq(near[rank::world])
    started = rvq.codebooks[0].embed.clone()
    rvq.codebooks[0].embed.fill_(1e4)  # all but the first entry are dead at once
    rvq.codebooks[0].embed[0] = 0
    rvq(near[rank::world])
    return {"started": started, "restarted": rvq.codebooks[0].embed.clone()}


def one_has_nothing_to_restart(rank: int, world: int) -> dict[str, Tensor]:
    """Half of the entries serve the first process, half the second: none is dead for both."""
    rvq = ResidualVectorQuantizer(
        dim=1, num_codebooks=1, codebook_size=2, decay=0.0, kmeans_init=False
    )
    rvq.codebooks[0].embed.copy_(torch.tensor([[0.0], [100.0]]))
    own = torch.tensor([0.0, 100.0])[rank::world].reshape(-1, 1, 1).expand(-1, 1, 10)
    for _ in range(3):
        rvq(own)
    return rvq.state_dict()


def by_count(rank: int, world: int) -> dict[str, Tensor]:
    """Counts of 6 and 4 in two processes, 3 and 2 in each: a threshold of 2.5 is per process."""
    rvq = ResidualVectorQuantizer(
        dim=1,
        num_codebooks=1,
        codebook_size=2,
        decay=0.0,
        kmeans_init=False,
        dead_code_threshold=2.5,
        dead_code_unit="count",
    )
    rvq.codebooks[0].embed.copy_(torch.tensor([[0.0], [100.0]]))
    rvq(torch.tensor([0.0, 0.0, 0.0, 100.0, 100.0]).repeat(2)[rank::world].reshape(1, 1, -1))
    return rvq.state_dict()


def other_seeds(rank: int, world: int) -> dict[str, Tensor]:
    """Processes that were built differently agree on the first one."""
    rvq = ResidualVectorQuantizer(**SMALL, dead_code_threshold=0.9, seed=rank, kmeans_init=False)
    for step in range(3):
        rvq(items(step, 4)[rank::world])
    return rvq.state_dict()


def paper_exact(rank: int, world: int) -> dict[str, Tensor]:
    """Three steps of the reference: learned apart, then averaged as its training does."""
    rvq = ResidualVectorQuantizer(**SMALL, dead_code_threshold=0, paper_exact=True)
    states = {}
    for step in range(3):
        rvq(items(step, 4)[rank::world])
        states |= {f"{step}/{name}": value.clone() for name, value in rvq.state_dict().items()}
        for buffer in rvq.buffers():
            if world > 1 and buffer.is_floating_point():
                torch.distributed.all_reduce(buffer)
                buffer /= world
    return states


def balance(rank: int, world: int, *, per_item: bool, equalize: bool) -> dict[str, Tensor]:
    """Three steps on five items; what the whole batch's parameters receive is a sum over ranks."""
    balancer = Balancer({"a": 1.0, "b": 3.0}, per_item=per_item, equalize_items=equalize, decay=0.5)
    gradients, weight = [], torch.ones(10, requires_grad=True)
    for step in range(3):
        x = items(step, 5)[rank::world]
        y = (x * weight).requires_grad_()
        losses = {"a": y.square().mean(), "b": (y * y.detach().sign()).pow(3).mean()}
        loudness = x.square().mean(dim=(1, 2)).sqrt() if equalize else None
        weight.grad = None
        balancer.backward(losses, y, item_weights=loudness)
        if world > 1:
            torch.distributed.all_reduce(weight.grad)
        gradients.append(weight.grad)
    return {"gradients": torch.stack(gradients), **balancer.state_dict()}


def one_bad_gradient(rank: int, world: int) -> dict[str, object]:
    """Only the second process has a NaN: both are told, and neither moves its averages."""
    balancer = Balancer({"a": 1.0})
    y = torch.tensor([[1.0, torch.nan if rank == 1 else 2.0]], requires_grad=True)
    message = ""
    try:
        balancer.backward({"a": y.square().sum()}, y)
    except FloatingPointError as error:
        message = str(error)
    return {"message": message, "state": balancer.norm_a, "moved": y.grad is not None}


def all_cases(rank: int, world: int) -> dict[str, dict[str, object]]:
    """Everything in one pair of processes: starting them is what takes time."""
    cases: dict[str, Callable[[], dict]] = {
        "even": lambda: learn(rank, world, count=4),
        "uneven": lambda: learn(rank, world, count=5),
        "few": lambda: learn(rank, world, count=2, codebook_size=32),
        "dropout": lambda: learn(rank, world, count=5, codebook_dropout=True),
        "parts": lambda: learn_in_parts(rank, world),
        "far_apart": lambda: far_apart(rank, world),
        "nothing": lambda: one_has_nothing_to_restart(rank, world),
        "by_count": lambda: by_count(rank, world),
        "other_seeds": lambda: other_seeds(rank, world),
        "paper_exact": lambda: paper_exact(rank, world),
        "balance": lambda: balance(rank, world, per_item=True, equalize=False),
        "balance_whole": lambda: balance(rank, world, per_item=False, equalize=False),
        "equalize": lambda: balance(rank, world, per_item=True, equalize=True),
        "bad": lambda: one_bad_gradient(rank, world),
    }
    return {name: case() for name, case in cases.items()}
