"""Typed fields in HDF5 groups: written plainly, read with every claim of the file checked before memory is asked for.

A file may be damaged or hostile. A reader therefore follows hard links only (no soft or external link, no virtual or external
dataset), refuses types other than numbers and short text, counts the bytes asked for against one budget per file, and
names the field in every error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np
import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.hdf5_dataset import FieldProblem, claimed_bytes, own_dataset, own_entry

#: most bytes read from one file, all fields together
MAX_BYTES = 8 * 2**30
#: most pixels of a domain, the batch included
MAX_PIXELS = 2**27
#: longest text, bytes
MAX_TEXT = 2**20
#: most groups in one file
MAX_GROUPS = 1024
#: deepest nesting of groups
MAX_DEPTH = 16

FLOATS = (torch.float32, torch.float64)
COMPLEXES = (torch.complex64, torch.complex128)
NUMBERS = (*FLOATS, *COMPLEXES)
DAMAGED = "the file is damaged or was not written by echoform; make it again with echoform.measure.native.save"

_NUMPY = {
    torch.float32: np.dtype("f4"),
    torch.float64: np.dtype("f8"),
    torch.complex64: np.dtype("c8"),
    torch.complex128: np.dtype("c16"),
    torch.int64: np.dtype("i8"),
}


class GroupWriter:
    """Writes the fields of one group."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def text(self, name: str, value: str) -> None:
        """Write text, UTF-8 without NUL."""
        data = value.encode("utf-8")
        if b"\0" in data or not data or len(data) > MAX_TEXT:
            raise ValueError(f"{name} must be 1 to {MAX_TEXT} bytes of text without NUL, got {len(data)} bytes")
        self._group.create_dataset(name, data=np.bytes_(data), dtype=h5py.string_dtype("utf-8", len(data)))

    def tensor(self, name: str, value: Tensor) -> None:
        """Write a tensor of floats or complex numbers with a checksum; raises TypeError for another dtype."""
        if value.dtype not in NUMBERS:
            raise TypeError(f"{name} has dtype {value.dtype}, only {_names(NUMBERS)} can be stored")
        data = value.detach().cpu().resolve_conj().resolve_neg().numpy()
        checked = data.size > 0 and data.ndim > 0
        self._group.create_dataset(name, data=data, chunks=checked or None, fletcher32=checked)

    def integers(self, name: str, values: Sequence[int]) -> None:
        """Write a list of whole numbers."""
        self._group.create_dataset(name, data=np.asarray(values, dtype="i8"))

    def child(self, name: str) -> GroupWriter:
        """Create a group inside this one."""
        return GroupWriter(self._group.create_group(name))


@dataclass
class _Budget:
    """What may still be read from the file."""

    bytes_left: int = field(default_factory=lambda: MAX_BYTES)
    groups_left: int = MAX_GROUPS


@dataclass(frozen=True)
class GroupReader:
    """Reads the fields of one group; every method raises MeasurementFileError for what is missing, wrong or too large.

    Attributes:
        path: the file, for messages.
        group: the group; the open file itself for the outermost one.
        trail: names of the groups on the way here.
        budget: shared by all groups of a file.
    """

    path: Path
    group: h5py.Group
    trail: tuple[str, ...] = ()
    budget: _Budget = field(default_factory=_Budget)

    def fail(self, name: str, got: str, expected: str, remedy: str = DAMAGED) -> NoReturn:
        """Raise MeasurementFileError about a field of this group."""
        field = "/".join((*self.trail, name))
        raise MeasurementFileError(self.path, got=f"field '{field}' {got}", expected=expected, remedy=remedy)

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self.group

    def child(self, name: str) -> GroupReader:
        """Return the reader of a group inside this one."""
        group = self._entry(name)
        if not isinstance(group, h5py.Group):
            self.fail(name, "that is not a group", "a group")
        self.budget.groups_left -= 1
        if self.budget.groups_left < 0 or len(self.trail) >= MAX_DEPTH:
            self.fail(name, "nested too deep or too often", f"at most {MAX_DEPTH} levels and {MAX_GROUPS} groups")
        return GroupReader(self.path, group, (*self.trail, name), self.budget)

    def text(self, name: str) -> str:
        """Return a text field."""
        dataset = self._dataset(name)
        if dataset.shape != () or dataset.dtype.kind != "S":
            self.fail(name, f"of dtype {dataset.dtype} and shape {dataset.shape}", "one text of fixed length")
        if dataset.dtype.itemsize > MAX_TEXT:
            self.fail(name, f"of {dataset.dtype.itemsize} bytes", f"at most {MAX_TEXT} bytes of text")
        self._charge(name, dataset)
        try:
            return bytes(dataset[()]).decode("utf-8")
        except UnicodeDecodeError:
            self.fail(name, "that is not UTF-8", "UTF-8 text")

    def tensor(self, name: str, *, ndim: int | None, dtypes: Sequence[torch.dtype]) -> Tensor:
        """Return a field of finite numbers with ``ndim`` axes (any when None) and one of ``dtypes``."""
        return torch.from_numpy(self._array(name, ndim, dtypes))

    def integers(self, name: str, *, count: int | None = None) -> tuple[int, ...]:
        """Return a list of whole numbers, of length ``count`` when given."""
        values = self._array(name, 1, (torch.int64,))
        if values.size > 64 or (count is not None and values.size != count):
            self.fail(name, f"of {values.size} numbers", f"{count or 'at most 64'} numbers")
        return tuple(int(v) for v in values)

    def size(self, name: str) -> int:
        """Return one whole number that is positive and no larger than a domain may be."""
        return self.shape(name, count=1)[0]

    def shape(self, name: str, *, count: int | None = None) -> tuple[int, ...]:
        """Return a shape: positive whole numbers whose product is no larger than a domain may be."""
        values = self.integers(name, count=count)
        if not values or min(values) < 1 or math.prod(values) > MAX_PIXELS:
            self.fail(name, f"= {values}", f"positive numbers with a product of at most {MAX_PIXELS}")
        return values

    def _entry(self, name: str) -> h5py.Group | h5py.Dataset | h5py.Datatype:
        try:
            return own_entry(self.group, name)
        except FieldProblem as problem:
            self._fail(problem)

    def _dataset(self, name: str) -> h5py.Dataset:
        try:
            return own_dataset(self.group, name)
        except FieldProblem as problem:
            self._fail(problem)

    def _charge(self, name: str, dataset: h5py.Dataset) -> None:
        """Take a dataset's bytes from the budget, after checking that the file stores what its shape claims."""
        self.budget.bytes_left -= dataset.size * dataset.dtype.itemsize
        if self.budget.bytes_left < 0:
            self.fail(name, f"of shape {dataset.shape}", f"at most {MAX_BYTES} bytes in all")
        try:
            claimed_bytes(name, dataset)
        except FieldProblem as problem:
            self._fail(problem)

    def _fail(self, problem: FieldProblem) -> NoReturn:
        self.fail(problem.name, problem.got, problem.expected, problem.remedy or DAMAGED)

    def _array(self, name: str, ndim: int | None, dtypes: Sequence[torch.dtype]) -> np.ndarray:
        dataset = self._dataset(name)
        wanted = [_NUMPY[t] for t in dtypes]
        match = next((w for w in wanted if (dataset.dtype.kind, dataset.dtype.itemsize) == (w.kind, w.itemsize)), None)
        if match is None:
            self.fail(name, f"of dtype {dataset.dtype}", _names(dtypes))
        if ndim is not None and dataset.ndim != ndim:
            self.fail(name, f"with {dataset.ndim} axes {dataset.shape}", f"{ndim} axes")
        if dataset.size == 0:
            self.fail(name, f"of shape {dataset.shape}", "at least one number")
        self._charge(name, dataset)
        values = np.ascontiguousarray(dataset[()], dtype=match).reshape(dataset.shape)
        if not np.isfinite(values).all():
            self.fail(name, "with NaN or Inf", "finite numbers", "mark bad samples as missing in the operator instead")
        return values


def _names(dtypes: Sequence[torch.dtype]) -> str:
    return " or ".join(str(t).removeprefix("torch.") for t in dtypes)


def one_of(reader: GroupReader, name: str, choices: Sequence[str]) -> str:
    """Return a text field that must be one of ``choices``."""
    value = reader.text(name)
    if value not in choices:
        reader.fail(name, f"= {quote(value)}", f"one of {', '.join(sorted(choices))}", "update echoform")
    return value
