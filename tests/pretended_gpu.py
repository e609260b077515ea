"""A GPU that is not there: tensors that say they lie on ``pretended:0`` while their numbers lie in this machine's memory.

Every operation is carried out here, so results are those of the CPU, but only if its tensors lie where a GPU's would have to: two
devices in one operation, or a generator of the other device, raise as they do there. Only real kernels cannot be tested so.

    with pretended_gpu() as device:
        operator.to(device)(x.to(device))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class _Backend(_DummyBackendModule):
    """What PyTorch asks of a device's module; no generator lives there, so its state is empty."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: int) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: int) -> None:
        pass


@lru_cache(maxsize=1)
def _gpu() -> torch.device:
    """Return the device, made known to PyTorch once it is first asked for: real GPUs are tested in processes without it."""
    _setup_privateuseone_for_python_backend("pretended", backend_module=_Backend())
    return torch.device("pretended", 0)


#: operations whose tensors may lie on two devices: copies, and places that are looked up
BETWEEN = {"copy_", "_to_copy", "index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"}
#: makers of tensors that do not pass through the dispatcher
MAKERS = {torch.tensor, torch.as_tensor, torch.asarray}


class GpuTensor(Tensor):
    """A tensor on the pretended GPU.

    Attributes:
        here: where its numbers are.
    """

    here: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls, here: Tensor) -> GpuTensor:
        """Return a tensor without numbers of its own, of the shape, type and layout of one on the CPU."""
        like = {"dtype": here.dtype, "layout": here.layout, "device": _gpu(), "requires_grad": here.requires_grad}
        if here.layout == torch.strided:
            like |= {"strides": here.stride(), "storage_offset": here.storage_offset()}
        made: GpuTensor = Tensor._make_wrapper_subclass(cls, here.shape, **like)  # pyright: ignore
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(func, args, kwargs or {})


class _Makers(TorchFunctionMode):
    """What Python's side makes of lists, or lists of tensors, without passing through the dispatcher."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what the function makes, on the GPU where that was asked or where its tensor lies."""
        kwargs = dict(kwargs or {})
        if func in MAKERS and _is_gpu(kwargs.get("device")):
            del kwargs["device"]
            return func(*args, **kwargs).to(_gpu())
        if not args or not isinstance(args[0], GpuTensor):
            return func(*args, **kwargs)
        if func is Tensor.new_tensor:
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(_gpu())
        if func is Tensor.tolist:
            return args[0].here.tolist()
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            places = tuple(torch.tensor(p) if isinstance(p, list) else p for p in places)
            args = (args[0], places, *args[2:])
        return func(*args, **kwargs)


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """Carry out everything within as if there were a GPU, and return it."""
    device = _gpu()
    with _Makers(), _Operations():
        yield device


def _is_gpu(device: torch.device | str | None) -> bool:
    return device is not None and torch.device(device).type == _gpu().type


def _carried_out(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return the result of an operation, on the device where a GPU's program would have it.

    Raises:
        RuntimeError: its tensors, or its generator, lie on different devices.
    """
    name = func.overloadpacket.__name__
    tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    gpu = [t for t in tensors if isinstance(t, GpuTensor)]
    if gpu and name not in BETWEEN and any(not isinstance(t, GpuTensor) and t.ndim > 0 for t in tensors):
        places = ", ".join(f"{tuple(t.shape)} on {t.device}" for t in tensors)
        raise RuntimeError(f"{func}: expected all tensors on one device, got {places}")
    asked = kwargs.get("device")
    on_gpu = _is_gpu(asked) if asked is not None else bool(gpu)
    generator = kwargs.get("generator")
    if generator is not None and (generator.device.type == _gpu().type) != on_gpu:
        raise RuntimeError(f"{func}: the generator lies on {generator.device}, its numbers are asked elsewhere")
    if name == "index" and gpu and not isinstance(args[0], GpuTensor):
        raise RuntimeError(f"{func}: a tensor on the CPU is indexed by one on {_gpu()}")
    wrapped = {id(t.here): t for t in gpu}  # an operation in place returns the tensor that it was given
    args, kwargs = tree_map(lambda v: v.here if isinstance(v, GpuTensor) else v, (tuple(args), kwargs))
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    result = func(*args, **kwargs)

    def placed(value: Any) -> Any:
        """Return a result as a tensor of the GPU; the one that was given, where it is that."""
        if not isinstance(value, Tensor):
            return value
        if id(value) in wrapped:
            return wrapped[id(value)]
        return GpuTensor(value if value.layout != torch.strided else value.resolve_conj().resolve_neg())

    if name == "copy_":
        on_gpu = id(result) in wrapped
    return tree_map(placed, result) if on_gpu else result
