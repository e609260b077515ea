"""What is checked of an HDF5 file before memory is asked for; loads h5py and NumPy only, so that a small process can use it.

A file may be damaged or hostile: soft and external links are not followed, data of other files are not read, and a dataset must
store about as many bytes as its shape claims.
"""

from __future__ import annotations

from dataclasses import dataclass

import h5py

#: the best ratio deflate can reach: more bytes than this per stored byte are not data
MAX_INFLATION = 1040


@dataclass(eq=False)
class FieldProblem(Exception):
    """What is wrong with a field of a file.

    Attributes:
        name: the field.
        got: what it holds.
        expected: what it should hold.
        remedy: what the user can do; None when the reader of the format knows better.
    """

    name: str
    got: str
    expected: str
    remedy: str | None = None


def own_entry(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | h5py.Datatype:
    """Return an entry that lies in the group itself; raises FieldProblem when it is missing or a link."""
    link = group.get(name, getlink=True)
    if link is None:
        raise FieldProblem(name, "missing", f"a field '{name}'")
    if not isinstance(link, h5py.HardLink):
        got = "that is a link to another place or file"
        raise FieldProblem(name, got, "the data themselves", "use a file without links")
    return group[name]


def own_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset whose data lie in the file itself; raises FieldProblem for anything else."""
    dataset = own_entry(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise FieldProblem(name, "that is not a dataset", "a dataset")
    if dataset.is_virtual or dataset.external:
        got = "whose data lie in another file"
        raise FieldProblem(name, got, "data in this file", "use a file without external data")
    if dataset.shape is None:
        raise FieldProblem(name, "without data", "numbers or text")
    return dataset


def claimed_bytes(name: str, dataset: h5py.Dataset) -> int:
    """Return the bytes a dataset fills in memory; raises FieldProblem when the file cannot hold so many."""
    claimed, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if claimed > (stored if dataset.chunks is None else MAX_INFLATION * stored):
        raise FieldProblem(name, f"of {claimed} bytes with {stored} bytes stored", "data as large as the shape says")
    return claimed
