"""Training in shares (FSDP2): every process keeps its part of weights, gradients and moments.

Only memory and time show it. A checkpoint is the one file that a single process would have written,
so it can be continued by any number of processes, in shares or not, and exported as it is.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import (
    DDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


class ShardedStrategy(ModelParallelStrategy):
    """Shares over all processes of all nodes, with portable checkpoints.

    Weights travel in float32 whatever the precision: under bfloat16 the numbers are those of DDP.
    """

    def __init__(self, *, process_group_backend: str | None = None) -> None:
        super().__init__(
            save_distributed_checkpoint=False, process_group_backend=process_group_backend
        )
        self._lent = ExitStack()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Moments come through `load_optimizer_state_dict`, whatever wrote them."""
        return True

    def setup_environment(self) -> None:
        """Join the processes; what Lightning would choose is tensor parallelism within a node."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return whole weights on the first process; others only help."""
        assert self.lightning_module is not None
        reshard(self.lightning_module)
        return _gathered(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return whole moments on the first process, numbered as the optimizer numbers them."""
        state = optimizer.state_dict()
        return state | {"state": {i: _gathered(values) for i, values in state["state"].items()}}

    def on_validation_start(self) -> None:
        """Lend every process all weights: the batches of each may differ in number."""
        assert self.lightning_module is not None
        self._lent = ExitStack()
        self._lent.enter_context(whole(self.lightning_module))

    def on_validation_end(self) -> None:
        """Take them back."""
        self._lent.close()

    def on_exception(self, exception: BaseException) -> None:
        """Take them back where validation ended half-way."""
        super().on_exception(exception)
        self._lent.close()

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Map a checkpoint into memory: of whole tensors each process reads its share."""
        path = self.broadcast(checkpoint_path)
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=weights_only)
        assert isinstance(loaded, dict)
        return loaded

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take shares of whole weights."""
        assert self.lightning_module is not None
        reshard(self.lightning_module)
        own = self.lightning_module.state_dict()
        loaded = {
            name: share_of(value, own[name]) if name in own else value
            for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(loaded, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take shares of whole moments."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            state = {
                i: {key: _moment(value, parameters[i]) for key, value in values.items()}
                for i, values in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})


def check_strategy(strategy: Strategy, *, shardable: bool) -> None:
    """Refuse ways of training in several processes that are not tested to train as one does.

    Raises:
        ValueError: naming what there is.
    """
    if isinstance(strategy, ShardedStrategy) and not shardable:
        raise ValueError(
            "only language models are trained in shares: a codec fits on one device, and its two "
            "optimizers want it whole: take trainer=gpu with trainer.strategy=ddp"
        )
    if not isinstance(strategy, ShardedStrategy | DDPStrategy | SingleDeviceStrategy):
        raise ValueError(
            f"trainer.strategy={type(strategy).__name__} is none of the strategies to train with: "
            "take trainer.strategy=ddp, or trainer=fsdp for a model in shares"
        )


class Parts(nn.Module):
    """Modules that compute something together; called with a function, it calls that.

    Inside of the call all weights may be used in any way, sharded or not. Nothing that needs a
    gradient may go in, and everything that needs one has to come out.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Return what the function returns."""
        return function(*arguments, **keywords)


def shard(parts: Parts, *, blocks: Sequence[nn.Module], mesh: DeviceMesh | None) -> None:
    """Leave this process its share of every parameter; without a mesh, all of it.

    The weights of a block are put together while it computes, in the forward pass and again in the
    backward pass; those outside of the blocks from the call of ``parts`` until its gradients are
    there.
    """
    if mesh is None or isinstance(parts, FSDPModule):
        return
    over = mesh["data_parallel"]
    with torch.no_grad():
        for tensor in (*parts.parameters(), *parts.buffers()):
            same = tensor.to(over.device_type)
            dist.broadcast(same, src=0)  # all begin with the weights of the first, as DDP does
            tensor.copy_(same)
    for part in (*blocks, parts):
        fully_shard(part, mesh=over)


def reshard(module: nn.Module) -> None:
    """Put shares back in place of weights that a forward pass without a backward pass left whole.

    To be called before anything reads or writes parameters between two passes.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Lend this process all weights, in the eager mode, to compute by itself, without gradients.

    All processes have to come here; inside, each does what it likes, as often as it likes.
    """
    parts = [p for p in module.modules() if isinstance(p, FSDPModule) and p._forward_hooks]
    hooks = [(p, p._forward_pre_hooks, p._forward_hooks) for p in parts]
    for part in parts:
        part.unshard()
        # They would put it in shares again, and remember what came after what for the backward
        # pass, where all processes have to do the same.
        part._forward_pre_hooks, part._forward_hooks = OrderedDict(), OrderedDict()
    try:
        with torch.compiler.set_stance("force_eager"):  # it reads one step at a time
            yield
    finally:
        for part, before, behind in hooks:
            part._forward_pre_hooks, part._forward_hooks = before, behind
            part.reshard()


def share(tensor: Tensor) -> Tensor:
    """Return this process's own memory of a tensor: all of it, unless it is in shares."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def share_of(value: Tensor, like: Tensor) -> Tensor:
    """Take this process's share of a whole tensor, cut and placed as ``like`` is."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor):
        return value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


def assembled(value: Tensor) -> Tensor:
    """Put the shares of a tensor together: whole, on the CPU, on the first process.

    All processes have to ask; others get an empty one. What is not in shares comes back as it is.
    """
    if not isinstance(value, DTensor):
        return value
    full = value.full_tensor()
    return full.cpu() if dist.get_rank() == 0 else full.new_empty(0)


def _gathered(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: assembled(v) if isinstance(v, Tensor) else v for k, v in values.items()}


def _moment(value: Any, parameter: nn.Parameter) -> Any:
    """Take the share of what has the shape of its parameter; counts stay where they are."""
    same = isinstance(value, Tensor) and value.shape == parameter.shape
    return share_of(value, parameter) if same else value
