"""A traced program with complex numbers, carried out as one with pairs of real ones.

Inference engines know real tensors and, at best, a Fourier transform. Every complex value z = a + i b of the graph becomes the
pair (a, b) and every operation on it the real ones it stands for:

    linear in one argument    f(z) = f(a) + i f(b)                               reshaping, padding, sums, selections
    bilinear                  f(z, w) = f(a, c) - f(b, d) + i (f(a, d) + f(b, c))     products, matrix products
    Fourier transforms        products with real matrices (echoform.deploy.fourier_matrices); those along other axes than the
                              two last are left to the engine: the only place where a complex tensor is made, used at once
                              and taken apart

Real operations pass through as they are, but for a few that converters do not know and that are written in terms of others, so
the result differs from the original by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from echoform.deploy.fourier_matrices import Transform, fourier_transform, resized, whole_spectrum

ATEN = torch.ops.aten


@dataclass(frozen=True)
class Pair:
    """A complex tensor as its parts."""

    real: Tensor
    imag: Tensor


@dataclass(frozen=True)
class Interleaved(Pair):
    """The real tensor whose last axis holds both parts; tracers write ``z.real`` as one part selected of it."""

    def whole(self) -> Tensor:
        """Return the tensor itself."""
        return torch.stack([self.real, self.imag], -1)


def _part(value: Any, name: str) -> Any:
    """``value`` with every pair replaced by one of its parts; real tensors and settings stay."""
    return pytree.tree_map(
        lambda leaf: getattr(leaf, name) if isinstance(leaf, Pair) else leaf,
        value,
        is_leaf=lambda leaf: isinstance(leaf, Pair),
    )


def as_pair(value: Any) -> Pair:
    """Return a real or complex tensor or number as a pair."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, Tensor):
        return Pair(value.real, value.imag) if value.is_complex() else Pair(value, torch.zeros_like(value))
    number = complex(value)
    return Pair(torch.tensor(number.real), torch.tensor(number.imag))


def _linear(target: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """f(a) + i f(b); lists of tensors (``cat``, ``split``) part by part."""
    if any(isinstance(a, list | tuple) and any(map(_is_pair, a)) for a in args):
        args = pytree.tree_map(lambda leaf: as_pair(leaf) if isinstance(leaf, Tensor) else leaf, args, is_leaf=_is_pair)
    parts = [target(*_part(args, name), **_part(options, name)) for name in ("real", "imag")]
    if isinstance(parts[0], Tensor):
        return Pair(*parts)
    return [Pair(a, b) for a, b in zip(*parts, strict=True)]


def _is_pair(leaf: Any) -> bool:
    return isinstance(leaf, Pair)


def _whole(leaf: Any) -> Any:
    return leaf.whole() if isinstance(leaf, Interleaved) else leaf


def _where(target: Callable[..., Tensor], args: Sequence[Any], _: Mapping[str, Any]) -> Pair:
    condition, yes, no = args[0], as_pair(args[1]), as_pair(args[2])
    return Pair(target(condition, yes.real, no.real), target(condition, yes.imag, no.imag))


def _sum(target: Callable[..., Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Pair:
    """a + alpha b or a - alpha b; a real term b changes the real part only."""
    a, b, alpha = as_pair(args[0]), args[1], options.get("alpha", 1)
    if not _is_pair(b):
        shape = torch.broadcast_shapes(a.real.shape, b.shape) if isinstance(b, Tensor) else a.real.shape
        return Pair(target(a.real, b, alpha=alpha), a.imag.expand(shape))
    return Pair(target(a.real, b.real, alpha=alpha), target(a.imag, b.imag, alpha=alpha))


def _reversed_difference(_: Callable[..., Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Pair:
    return _sum(ATEN.sub.Tensor, (args[1], as_pair(args[0])), options)


def _bilinear(target: Callable[..., Tensor], args: Sequence[Any], _: Mapping[str, Any] = MappingProxyType({})) -> Pair:
    a, b = (as_pair(value) if isinstance(value, complex) else value for value in args)
    if not _is_pair(a):
        return Pair(target(a, b.real), target(a, b.imag))
    if not _is_pair(b):
        return Pair(target(a.real, b), target(a.imag, b))
    return Pair(
        target(a.real, b.real) - target(a.imag, b.imag),
        target(a.real, b.imag) + target(a.imag, b.real),
    )


def _quotient(target: Callable[..., Tensor], args: Sequence[Any], _: Mapping[str, Any]) -> Pair:
    a, b = args
    if not _is_pair(b):
        return Pair(target(a.real, b), target(a.imag, b))
    power = b.real.square() + b.imag.square()
    product = _bilinear(ATEN.mul.Tensor, (a, Pair(b.real, -b.imag)))
    return Pair(product.real / power, product.imag / power)


def _engine_transform(target: Callable[..., Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A Fourier transform by the engine: complex for as long as it takes."""
    x, *settings = args
    z = torch.complex(x.real.contiguous(), x.imag.contiguous()) if _is_pair(x) else x
    found = target(z, *settings, **options)
    return Pair(torch.real(found), torch.imag(found)) if found.is_complex() else found


def _converted(_: Callable[..., Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """x in another precision; complex from real gives a pair, and the layout in memory is left to the engine."""
    x, dtype = args[0], options.get("dtype")
    if dtype is None:
        return x
    if not dtype.is_complex:
        return x.to(dtype)
    z = as_pair(x)
    return Pair(z.real.to(dtype.to_real()), z.imag.to(dtype.to_real()))


def _inner(_: Callable[..., Tensor], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """sum conj(a) b along an axis, written out."""
    a, b = args[:2]
    conjugate = Pair(a.real, -a.imag) if _is_pair(a) else a
    axis = options.get("dim", args[2] if len(args) > 2 else -1)
    if _is_pair(a) or _is_pair(b):
        return _linear(ATEN.sum.dim_IntList, (_bilinear(ATEN.mul.Tensor, (conjugate, b)), [axis]), {})
    return (a * b).sum(axis)


def _contraction(target: Callable[..., Tensor], args: Sequence[Any], _: Mapping[str, Any]) -> Pair:
    """einsum of two factors."""
    equation, factors = args[:2]
    if len(factors) != 2:
        raise NotImplementedError(
            f"real_arithmetic.py has rules for einsum of two factors, got {len(factors)}: {equation}"
        )
    return _bilinear(lambda a, b: target(equation, [a, b]), factors)


def _copied(_: Callable[..., Tensor], args: Sequence[Any], __: Mapping[str, Any]) -> Any:
    """What a tensor holds once another is written over all of it."""
    into, source = args[:2]
    if not _is_pair(into):
        return source.to(into.dtype).expand(into.shape)
    z = as_pair(source)
    return Pair(*(part.to(into.real.dtype).expand(into.real.shape) for part in (z.real, z.imag)))


def _reshaped(target: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A view in another shape, whose layout in memory need not be what it was when the program was traced."""
    shape = args[1]
    if isinstance(shape, torch.dtype):
        return target(*args, **options)
    return _linear(ATEN.reshape.default, (args[0], shape), {}) if _is_pair(args[0]) else args[0].reshape(shape)


#: what a rule is: from the operation, its arguments and its settings to a pair or a real tensor
Rule = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any]], Any]

#: names of the ATen library that rearrange, select or sum, and so act on each part alone
_LINEAR = (
    *("transpose", "permute", "t", "mT", "movedim", "view", "reshape", "_unsafe_view", "flatten", "unflatten"),
    *("expand", "unsqueeze", "squeeze", "repeat", "contiguous", "clone", "zeros_like", "new_zeros"),
    *("cat", "stack", "split", "split_with_sizes", "unbind", "select", "slice", "narrow", "index", "index_select"),
    *("index_copy", "select_scatter", "slice_scatter", "pad", "constant_pad_nd", "roll", "flip", "sum", "mean", "neg"),
)

#: what a name of the ATen library means for pairs
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_LINEAR, _linear),
    **dict.fromkeys(("mul", "matmul", "mm", "bmm"), _bilinear),
    **dict.fromkeys(("add", "sub"), _sum),
    **dict.fromkeys(("resolve_conj", "resolve_neg", "detach", "alias", "lift_fresh_copy"), lambda _, args, __: args[0]),
    **dict.fromkeys(
        ("conj", "_conj", "conj_physical", "_conj_physical"), lambda _, args, __: Pair(args[0].real, -args[0].imag)
    ),
    "rsub": _reversed_difference,
    "where": _where,
    "einsum": _contraction,
    "div": _quotient,
    "abs": lambda _, args, __: (args[0].real.square() + args[0].imag.square()).sqrt(),
    "square": lambda _, args, __: _bilinear(ATEN.mul.Tensor, (args[0], args[0])),
    "complex": lambda _, args, __: Pair(args[0], args[1]),
    "view_as_complex": lambda _, args, __: Pair(args[0].select(-1, 0), args[0].select(-1, 1)),
    "view_as_real": lambda _, args, __: Interleaved(args[0].real, args[0].imag),
    "real": lambda _, args, __: args[0].real,
    "imag": lambda _, args, __: args[0].imag,
}
#: operations written in terms of others for real tensors too: not all converters know them, or they depend on the layout
WRITTEN_OUT: Mapping[str, Rule] = {
    "exp2": lambda _, args, __: torch.pow(2.0, args[0]),
    "linalg_vecdot": _inner,
    **dict.fromkeys(("copy", "copy_"), _copied),
    **dict.fromkeys(("view", "_unsafe_view"), _reshaped),
}
#: transforms that are done by matrices, with the axes that they have when none are named
TRANSFORMS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("fft_fft", "fft_ifft", "fft_rfft", "fft_irfft"), (-1,)),
    **dict.fromkeys(("fft_fft2", "fft_ifft2", "fft_rfft2", "fft_irfft2"), (-2, -1)),
}
#: operations that make complex numbers of real ones
MAKE_COMPLEX = ("complex", "view_as_complex")


class RealArithmetic(fx.Interpreter):
    """Carries out a graph with pairs in the place of complex tensors."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False
        self.transforms: dict[Transform, tuple[Tensor, Tensor]] = {}

    def fetch_attr(self, target: str) -> Any:
        """Return a constant of the graph, a complex one as a pair."""
        value = super().fetch_attr(target)
        return as_pair(value) if isinstance(value, Tensor) and value.is_complex() else value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what one operation gives, by its rule where complex numbers take part."""
        name = target.overloadpacket.__name__ if isinstance(target, torch._ops.OpOverload) else target.__name__
        if name == "_assert_tensor_metadata":
            return None
        if name == "select" and isinstance(args[0], Interleaved) and args[1] in (-1, args[0].real.ndim):
            return (args[0].real, args[0].imag)[args[2]]
        args, kwargs = pytree.tree_map(_whole, (args, kwargs), is_leaf=_is_pair)
        if name == "_to_copy":
            return _converted(target, args, kwargs)
        if name.startswith(("fft_", "_fft_")):
            return self._transform(name, target, args, kwargs)
        if name in WRITTEN_OUT:
            return WRITTEN_OUT[name](target, args, kwargs)
        leaves, _ = pytree.tree_flatten((args, kwargs), is_leaf=_is_pair)
        if name == "getitem" or not (name in MAKE_COMPLEX or any(map(_is_pair, leaves))):
            return super().call_function(target, args, kwargs)
        if name not in RULES:
            raise NotImplementedError(f"{target} of complex numbers, for which real_arithmetic.py has no rule")
        return RULES[name](target, args, kwargs)

    def _transform(self, name: str, target: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """A Fourier transform, by matrices where it is along the two last axes."""
        z = as_pair(args[0])
        size, axes, norm = (*args[1:], None, None, None)[:3]
        size = options.get("n", options.get("s", size))
        axes, norm = options.get("dim", axes), options.get("norm", norm)
        if name not in TRANSFORMS:
            return _engine_transform(target, args, options)
        named = TRANSFORMS[name] if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
        named = tuple(axis if axis < 0 else axis - z.real.ndim for axis in named)
        if z.real.ndim < 2 or min(named) < -2:
            return _engine_transform(target, args, options)
        lengths: list[int | None] = (
            [None] * len(named) if size is None else [size] if isinstance(size, int) else [*size]
        )
        kind, norm = name.removeprefix("fft_"), norm or "backward"
        parts = torch.stack([z.real, z.imag], -3)
        if kind.startswith("ir"):
            return self._real_inverse(parts, named, lengths, norm)
        for axis, length in zip(named, lengths, strict=True):
            parts = resized(parts, axis, length)
        found = fourier_transform(parts, named, self.transforms, inverse=kind.startswith("i"), norm=norm)
        if kind.startswith("r"):
            found = found.narrow(named[-1], 0, int(found.shape[named[-1]]) // 2 + 1)
        return Pair(found.select(-3, 0), found.select(-3, 1))

    def _real_inverse(self, half: Tensor, axes: tuple[int, ...], lengths: list[int | None], norm: str) -> Tensor:
        """The real image of half a spectrum, (..., 2, H, W), the half being that of the last of the axes."""
        *others, last = axes
        for axis, count in zip(others, lengths[:-1], strict=True):
            half = fourier_transform(resized(half, axis, count), (axis,), self.transforms, inverse=True, norm=norm)
        length = lengths[-1] or 2 * (int(half.shape[last]) - 1)
        whole = whole_spectrum(resized(half, last, length // 2 + 1), last, length)
        return fourier_transform(whole, (last,), self.transforms, inverse=True, norm=norm).select(-3, 0)


class RealProgram(nn.Module):
    """An exported program whose inputs and outputs are real and whose complex arithmetic is done in pairs.

    Args:
        program: from ``torch.export.export(...).run_decompositions({})``.

    Raises:
        NotImplementedError: when run, at an operation on complex numbers without a rule.
    """

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program = program.module(check_guards=False)
        self.training = False

    def train(self, mode: bool = True) -> RealProgram:
        """Return the program, which stays as it was exported."""
        return self

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the program returns for real inputs."""
        return _whole(RealArithmetic(self.program).run(*inputs))  # pyright: ignore[reportArgumentType]
