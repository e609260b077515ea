"""One slice of an HDF5 file of MRI samples, read in a process of its own: python -m echoform.measure.hdf5_slices FILE SLICE.

fastMRI and ISMRMRD files are written with HDF5 structures that carry no checksums, on which the library can loop without end or
fall over when a byte is wrong. :mod:`echoform.measure.raw_slice` therefore has them read by this program, which it can stop; it
loads h5py and NumPy only. On the standard output it writes an NPZ of plain arrays, or, with exit code REFUSED, one JSON object
with the keys got, expected and remedy. SLICE is an index or ``middle``.

    fastMRI    /kspace complex (slice, coil, H, W), or (slice, H, W) of one coil; /ismrmrd_header XML; in test files /mask (W);
               in training files /reconstruction_rss or /reconstruction_esc (slice, h, w)
    ISMRMRD    a group with xml (1) and data (acquisition), each a compound of head, traj and data of variable length

Source: Zbontar et al. (2018), arXiv:1811.08839, appendix "File format"; Inati et al. (2017), Magnetic Resonance in Medicine 77,
and the file ismrmrd.h of the format (numbers of the flags).
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import h5py
import numpy as np

from echoform.measure.hdf5_dataset import FieldProblem, claimed_bytes, own_dataset

FASTMRI, ISMRMRD, MIDDLE = "fastmri", "ismrmrd", "middle"
#: exit code that says the file was understood and refused
REFUSED = 3
#: most bytes of a slice, of a header, and of this process
MAX_SLICE_BYTES, MAX_HEADER_BYTES, MAX_PROCESS_BYTES = 2**30, 2**20, 2**33
#: most acquisitions, and most groups that are looked at
MAX_ACQUISITIONS, MAX_ENTRIES = 2**20, 256
TARGETS = ("reconstruction_rss", "reconstruction_esc")
#: acquisitions that are no line of the image, by number of their flag: noise, navigators, phase correction, feedback, dummies,
#: surface coil correction, phase stabilisation
NO_IMAGE = (19, 23, 24, 26, 27, 28, 29, 30, 31)
#: what is passed on of an acquisition's header, and of its counters
HEAD_FIELDS = (
    "flags",
    "number_of_samples",
    "active_channels",
    "center_sample",
    "discard_pre",
    "discard_post",
    "encoding_space_ref",
)
COUNTERS = ("kspace_encode_step_1", "kspace_encode_step_2", "contrast", "phase", "repetition", "set")

Arrays = dict[str, np.ndarray]


def flag_bits(numbers: tuple[int, ...]) -> int:
    """Return the word in which the flags of these numbers are set; flag 1 is the lowest bit."""
    return sum(1 << (number - 1) for number in numbers)


def read_slice(file: h5py.File, index: int | None) -> Arrays:
    """Return the arrays of a slice with its ``format``, ``slice`` and number of ``slices``; raises FieldProblem."""
    if "kspace" in file:
        return _fastmri(file, index)
    names = [name for name, _ in zip(file, range(MAX_ENTRIES), strict=False)]
    for name in names:
        group = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        if isinstance(group, h5py.Group) and "xml" in group and "data" in group:
            return _ismrmrd(group, index)
    raise FieldProblem(
        "kspace",
        "missing",
        "an echoform, fastMRI ('kspace') or ISMRMRD ('dataset/data') file",
        "convert it with echoform.measure.native.save",
    )


def _chosen(index: int | None, slices: int) -> int:
    chosen = slices // 2 if index is None else index
    if not 0 <= chosen < slices:
        raise FieldProblem("slice", f"of index {chosen} asked for", f"0 to {slices - 1}", "choose another slice")
    return chosen


def _common(form: str, chosen: int, slices: int, header: bytes) -> Arrays:
    numbers = {"slice": np.array(chosen), "slices": np.array(slices)}
    return {"format": np.array(form), "header": np.frombuffer(header, np.uint8), **numbers}


def _header(group: h5py.Group, name: str) -> bytes:
    dataset = own_dataset(group, name)
    if dataset.size != 1 or h5py.check_string_dtype(dataset.dtype) is None:
        raise FieldProblem(name, f"of dtype {dataset.dtype} and shape {dataset.shape}", "one text")
    value = np.ravel(np.asarray(dataset[()], dtype=object))[0]
    text = value.encode() if isinstance(value, str) else bytes(value)
    if len(text) > MAX_HEADER_BYTES:
        raise FieldProblem(name, f"of {len(text)} bytes", f"at most {MAX_HEADER_BYTES}")
    return text


def _fastmri(file: h5py.File, index: int | None) -> Arrays:
    dataset = own_dataset(file, "kspace")
    if dataset.ndim not in (3, 4) or dataset.dtype.kind != "c" or dataset.size == 0:
        got = f"of dtype {dataset.dtype} and shape {dataset.shape}"
        raise FieldProblem("kspace", got, "complex numbers (slice, coil, H, W) or (slice, H, W)")
    if claimed_bytes("kspace", dataset) // len(dataset) > MAX_SLICE_BYTES:
        raise FieldProblem("kspace", f"of shape {dataset.shape}", f"at most {MAX_SLICE_BYTES} bytes a slice")
    chosen = _chosen(index, len(dataset))
    header = _header(file, "ismrmrd_header") if "ismrmrd_header" in file else b""
    samples = np.asarray(dataset[chosen], np.complex64)
    arrays = _common(FASTMRI, chosen, len(dataset), header) | {"kspace": samples.reshape(-1, *samples.shape[-2:])}
    if "mask" in file:
        mask = own_dataset(file, "mask")
        if mask.shape != samples.shape[-1:] or mask.dtype.kind not in "bfiu":
            got = f"of dtype {mask.dtype} and shape {mask.shape}"
            raise FieldProblem("mask", got, f"one number for each of {samples.shape[-1]} lines")
        arrays["mask"] = np.asarray(mask[()]) != 0
    for name in TARGETS:
        if name in file:
            target = own_dataset(file, name)
            if target.ndim != 3 or len(target) != len(dataset) or target.dtype.kind != "f":
                got = f"of dtype {target.dtype} and shape {target.shape}"
                raise FieldProblem(name, got, f"real numbers ({len(dataset)}, h, w)")
            claimed_bytes(name, target)
            arrays[name] = np.asarray(target[chosen], np.float32)
    return arrays


def _ismrmrd(group: h5py.Group, index: int | None) -> Arrays:
    dataset = own_dataset(group, "data")
    if dataset.ndim != 1 or dataset.dtype.names is None or not {"head", "data"} <= set(dataset.dtype.names):
        raise FieldProblem("data", f"of dtype {dataset.dtype}", "acquisitions with head, traj and data")
    if not 0 < len(dataset) <= MAX_ACQUISITIONS:
        raise FieldProblem("data", f"of {len(dataset)} acquisitions", f"1 to {MAX_ACQUISITIONS}")
    claimed_bytes("data", dataset)
    head = dataset.fields("head")[:]
    imaging = (head["flags"].astype(np.uint64) & np.uint64(flag_bits(NO_IMAGE))) == 0
    numbers = np.unique(head["idx"]["slice"][imaging])
    if not numbers.size:
        raise FieldProblem("data", "without a line of an image", "acquisitions that are not noise or navigators")
    chosen = _chosen(index, len(numbers))
    rows = np.flatnonzero(imaging & (head["idx"]["slice"] == numbers[chosen]))
    head = head[rows]
    arrays = {name: head[name].astype(np.int64) for name in HEAD_FIELDS}
    arrays |= {name: head["idx"][name].astype(np.int64) for name in COUNTERS}
    lengths = arrays["number_of_samples"] * arrays["active_channels"]
    if 8 * int(lengths.sum()) > MAX_SLICE_BYTES:
        raise FieldProblem("data", f"of {lengths.sum()} samples", f"at most {MAX_SLICE_BYTES} bytes a slice")
    lines = _lines(dataset, rows)
    if [line.size for line in lines] != (2 * lengths).tolist():
        raise FieldProblem("data", "whose lines are not as long as their headers say", "samples x channels numbers")
    arrays["samples"] = np.concatenate(lines).astype(np.float32).view(np.complex64)
    return _common(ISMRMRD, chosen, len(numbers), _header(group, "xml")) | arrays


def _lines(dataset: h5py.Dataset, rows: np.ndarray) -> list[np.ndarray]:
    """The samples of these acquisitions, one read for each run of neighbours."""
    lines: list[np.ndarray] = []
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        lines += list(dataset.fields("data")[int(run[0]) : int(run[-1]) + 1])
    return lines


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_PROCESS_BYTES, MAX_PROCESS_BYTES))


def main(path: str, index: str) -> int:
    """Write the slice of a file to the standard output and return the exit code."""
    _limit_memory()
    refusal: dict[str, Any]
    try:
        with h5py.File(path, "r") as file:
            arrays = read_slice(file, None if index == MIDDLE else int(index))
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        sys.stdout.buffer.write(buffer.getvalue())
        return 0
    except FieldProblem as problem:
        got = f"field '{problem.name}' {problem.got}"
        refusal = {"got": got, "expected": problem.expected, "remedy": problem.remedy}
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        refusal = {"got": f"damaged content ({error})", "expected": "an intact HDF5 file", "remedy": None}
    print(json.dumps(refusal))
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
