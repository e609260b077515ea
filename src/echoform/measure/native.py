"""The native file of a measurement: HDF5, version 1.

    /                   attributes format = "echoform-measurement", version = 1
    /y                  float32, float64, complex64 or complex128 (compound r, i), shape (B, *range_shape)
    /operator           class, its constructor's arguments, and a group for each operator it is made of
    /noise              class and its levels: sigma, gain; deviation; covariance, axis; looks
    /metadata           text (JSON: title, source, notes), and where known shape, spacing_m of the grid, truth, place
                        (latitude, longitude, height), smooth_phase = 1, the collection (antenna_m, receiver_m, frequency_hz,
                        kept) and the sky observation (stations, pairs, time_s, uv_wavelengths, values, sigma_jy, ...)

HDF5's structures and every array carry checksums, so that damage is noticed.
Nothing is pickled or evaluated, and classes are found in a table, never by a name to import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from echoform.measure.atomic import atomic_path
from echoform.measure.earth import Place
from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.hdf5_node import DAMAGED, NUMBERS, GroupReader, GroupWriter
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.noise_codecs import noise_misfit, read_noise, write_noise
from echoform.measure.operator_codecs import read_operator, write_operator
from echoform.measure.signature import FileKind, require
from echoform.measure.sky_codec import read_sky, write_sky
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import Noise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

FORMAT = "echoform-measurement"
VERSION = 1
#: lowest and highest HDF5 release whose structures are used: from 1.10 on all of them carry checksums
HDF5_RELEASE = ("v110", "v110")
#: byte of the file that holds the version of its superblock, and the first version with a checksum
SUPERBLOCK_BYTE, SUPERBLOCK_VERSION = 8, 2

#: operators whose samples have their own dtype, whatever the image
_TYPED = (FourierMask, NonuniformFourier, ExactSpotlight, FactorisedSpotlight)


def save(measurement: Measurement, path: Path) -> None:
    """Write a measurement to a native HDF5 file; the name appears only when the file is complete.

    Raises:
        TypeError: an operator, noise or dtype that the format does not know.
        ValueError: parts of the measurement do not fit each other.
        OutputError: the file cannot be written there.
    """
    problem = _misfit(measurement.y, measurement.operator, measurement.noise)
    if problem is not None:
        raise ValueError(f"the measurement cannot be saved: {problem}")
    with atomic_path(path) as part, h5py.File(part, "w", libver=HDF5_RELEASE) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["version"] = VERSION
        root = GroupWriter(file)
        root.tensor("y", measurement.y)
        write_operator(measurement.operator, root.child("operator"))
        write_noise(measurement.noise, root.child("noise"))
        _write_metadata(measurement.metadata, root.child("metadata"))


def load(path: Path) -> Measurement:
    """Return the measurement of a native HDF5 file, on the CPU.

    Raises:
        MeasurementFileError: the file is not one, is damaged, of a later version, or holds what cannot be right.
    """
    require(path, FileKind.HDF5)
    _check_superblock(path)
    with _only_file_errors(path), h5py.File(path, "r") as file:
        _check_header(path, file)
        root = GroupReader(path, file)
        y = root.tensor("y", ndim=None, dtypes=NUMBERS)
        operator = read_operator(root.child("operator"))
        noise = read_noise(root.child("noise"))
        problem = _misfit(y, operator, noise)
        if problem is not None:
            root.fail("y", f"that does not fit ({problem})", "parts that fit each other")
        metadata = _read_metadata(root.child("metadata"))
        return Measurement(y, operator, noise, metadata)


@contextmanager
def _only_file_errors(path: Path) -> Iterator[None]:
    """Turn what h5py and the constructors raise for damaged content into MeasurementFileError."""
    try:
        yield
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise MeasurementFileError(
            path, got=f"damaged content ({error})", expected="an intact echoform HDF5 file", remedy=DAMAGED
        ) from error


def is_native(path: Path) -> bool:
    """Return whether an HDF5 file should be read by :func:`load`: all but whole files without the attribute ``format``.

    Files without checksums are never native, and are not opened here.
    """
    if _superblock(path) < SUPERBLOCK_VERSION:
        return False
    try:
        with h5py.File(path, "r") as file:
            return "format" in file.attrs
    except (OSError, RuntimeError, LookupError, ValueError):
        return True  # damaged: load says how


def _superblock(path: Path) -> int:
    """Version of the structures of an HDF5 file."""
    with path.open("rb") as stream:
        return (stream.read(SUPERBLOCK_BYTE + 1)[SUPERBLOCK_BYTE:] or b"\0")[0]


def _check_superblock(path: Path) -> None:
    """Refuse structures without checksums: on damaged ones the HDF5 library can loop without end."""
    version = _superblock(path)
    if version < SUPERBLOCK_VERSION:
        raise MeasurementFileError(
            path,
            got=f"an HDF5 file with superblock version {version}",
            expected=f"version {SUPERBLOCK_VERSION} or later, which has checksums",
            remedy="only files written by echoform.measure.native.save can be read",
        )


def _check_header(path: Path, file: h5py.File) -> None:
    name, version = _attribute(file, "format", "S"), _attribute(file, "version", "i")
    if name != FORMAT:
        raise MeasurementFileError(
            path,
            got="an HDF5 file without the attribute format" if name is None else f"format {quote(name)}",
            expected=f"the attribute format = '{FORMAT}'",
            remedy="only files written by echoform.measure.native.save can be read",
        )
    if version != str(VERSION):
        raise MeasurementFileError(
            path,
            got="no whole number as version" if version is None else f"version {version}",
            expected=f"version {VERSION}",
            remedy="update echoform, or save the file again with this version",
        )


def _attribute(file: h5py.File, name: str, kind: str) -> str | None:
    """Return a scalar attribute of the given NumPy kind as text; None for anything else.

    Text of variable length is not read: it lies in a heap without checksum, on which the HDF5 library can loop without end.
    """
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind != kind:
        return None
    value = file.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _misfit(y: Tensor, operator: LinearOperator, noise: Noise) -> str | None:
    """Return what does not fit between samples, operator and noise, or None."""
    batch = y.shape[0] if y.ndim else 0
    if tuple(y.shape[1:]) != tuple(operator.range_shape) or batch == 0:
        return f"y has shape {tuple(y.shape)}, the operator's range is (batch, {tuple(operator.range_shape)})"
    if operator.batch not in (1, batch):
        return f"y holds {batch} scenes, the operator {operator.batch} sensors"
    problem = noise_misfit(noise, y)
    if problem is not None:
        return problem
    if any(isinstance(m, _TYPED) for m in operator.modules()) and y.dtype != operator.dtype:
        return f"y has dtype {y.dtype}, the operator works in {operator.dtype}"
    return None


def _write_metadata(metadata: Metadata, node: GroupWriter) -> None:
    text = {"title": metadata.title, "source": metadata.source, "notes": metadata.notes}
    node.text("text", json.dumps(text))
    if metadata.grid is not None:
        node.integers("shape", metadata.grid.shape)
        node.tensor("spacing_m", torch.tensor(metadata.grid.spacing_m, dtype=torch.float64))
        if metadata.grid.offset_m != (0.0, 0.0):
            node.tensor("offset_m", torch.tensor(metadata.grid.offset_m, dtype=torch.float64))
    if metadata.truth is not None:
        node.tensor("truth", metadata.truth)
    if metadata.place is not None:
        node.tensor("place", torch.tensor(metadata.place.latlonhae(), dtype=torch.float64))
    if metadata.smooth_phase:
        node.integers("smooth_phase", [1])
    if metadata.collection is not None:
        _write_collection(metadata.collection, node.child("collection"))
    if metadata.sky is not None:
        write_sky(metadata.sky, node.child("sky"))


def _read_metadata(node: GroupReader) -> Metadata:
    title, source, notes = _read_text(node)
    truth = node.tensor("truth", ndim=4, dtypes=NUMBERS) if node.has("truth") else None
    grid = None
    if node.has("shape") or node.has("spacing_m"):
        height, width = node.shape("shape", count=2)
        spacing = node.tensor("spacing_m", ndim=1, dtypes=[torch.float64])
        if spacing.shape != (2,) or not bool((spacing > 0).all()):
            node.fail("spacing_m", f"= {spacing.tolist()[:4]}", "two positive lengths")
        offset = node.tensor("offset_m", ndim=1, dtypes=[torch.float64]) if node.has("offset_m") else torch.zeros(2)
        if offset.shape != (2,):
            node.fail("offset_m", f"of shape {tuple(offset.shape)}", "two lengths")
        grid = Grid((height, width), (float(spacing[0]), float(spacing[1])), (float(offset[0]), float(offset[1])))
    collection = _read_collection(node.child("collection")) if node.has("collection") else None
    place = _read_place(node) if node.has("place") else None
    return Metadata(
        title=title,
        source=source,
        grid=grid,
        truth=truth,
        collection=collection,
        place=place,
        sky=read_sky(node.child("sky")) if node.has("sky") else None,
        smooth_phase=node.has("smooth_phase"),
        notes=notes,
    )


def _write_collection(collection: SpotlightCollection, node: GroupWriter) -> None:
    node.tensor("antenna_m", collection.antenna_m)
    node.tensor("frequency_hz", collection.frequency_hz)
    node.tensor("kept", collection.kept.float())
    if collection.receiver_m is not None:
        node.tensor("receiver_m", collection.receiver_m)


def _read_collection(node: GroupReader) -> SpotlightCollection:
    antenna_m = node.tensor("antenna_m", ndim=3, dtypes=[torch.float64])
    frequency_hz = node.tensor("frequency_hz", ndim=None, dtypes=[torch.float64])
    kept = node.tensor("kept", ndim=3, dtypes=[torch.float32]).double()
    receiver_m = node.tensor("receiver_m", ndim=3, dtypes=[torch.float64]) if node.has("receiver_m") else None
    return SpotlightCollection(antenna_m, frequency_hz, kept, receiver_m)


def _read_place(node: GroupReader) -> Place:
    values = node.tensor("place", ndim=1, dtypes=[torch.float64])
    if values.shape != (3,):
        node.fail("place", f"of shape {tuple(values.shape)}", "latitude, longitude and height")
    return Place(*values.tolist())


def _read_text(node: GroupReader) -> tuple[str, str, dict[str, str]]:
    remedy = "the file is damaged; save it again"
    try:
        found = json.loads(node.text("text"))
    except (ValueError, RecursionError):
        node.fail("text", "that is not JSON", "JSON with title, source and notes", remedy)
    if not isinstance(found, dict) or set(found) != {"title", "source", "notes"}:
        node.fail("text", "with other keys", "title, source and notes", remedy)
    title, source, notes = found["title"], found["source"], found["notes"]
    if not isinstance(title, str) or not isinstance(source, str) or not isinstance(notes, dict):
        node.fail("text", "with values of other types", "text for title and source, text by label for notes", remedy)
    if not all(isinstance(value, str) for value in notes.values()):
        node.fail("text", "with notes that are not text", "text by label for notes", remedy)
    return title, source, notes
