"""Damaged and hostile HDF5 files give one clear line and nothing else."""

from functools import partial
from pathlib import Path

import h5py
import measure_cases
import numpy as np
import pytest
from refusals import refusal

from echoform.measure import hdf5_node
from echoform.measure.errors import MeasurementFileError
from echoform.measure.native import load, save

OPERATORS = measure_cases.operators()


@pytest.fixture
def path(tmp_path) -> Path:
    return saved(tmp_path, "plane wave")


def saved(folder: Path, label: str) -> Path:
    save(measure_cases.measurement(OPERATORS[label]), folder / "m.h5")
    return folder / "m.h5"


refused = partial(refusal, load)


def replace(path: Path, name: str, value) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value


def numbers(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


def test_truncated_anywhere(path) -> None:
    content = path.read_bytes()
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        refused(path)
    path.write_bytes(content[:-1])
    refused(path)


def test_flipped_bytes_never_give_another_exception(path) -> None:
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    lines = []
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load(path)
        except MeasurementFileError as error:
            lines.append(str(error))
    assert len(lines) > 10
    assert all(line.isprintable() for line in lines)


def fields(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
    return names


@pytest.mark.parametrize("label", OPERATORS)
def test_any_missing_field_is_named(label, tmp_path) -> None:
    path = saved(tmp_path, label)
    content = path.read_bytes()
    for name in fields(path):
        if name in ("metadata/truth", "metadata/offset_m") or name.endswith("row_gain"):  # may be absent
            continue
        path.write_bytes(content)
        replace(path, name, None)
        assert f"field '{name}' missing" in refused(path)


@pytest.mark.parametrize("label", ["mask", "plane wave", "exact", "scalar", "scaled, complex"])
def test_nan_and_infinity_anywhere_are_named(label, tmp_path) -> None:
    path = saved(tmp_path, label)
    content = path.read_bytes()
    tried = 0
    for name in fields(path):
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            field = file[name]
            if not isinstance(field, h5py.Dataset) or field.dtype.kind not in "fc":
                continue
            field[(0,) * field.ndim] = np.nan if tried % 2 else np.inf
        assert f"field '{name}' with NaN or Inf" in refused(path)
        tried += 1
    assert tried >= 5


def test_imaginary_infinity_is_seen(path) -> None:
    y = numbers(path, "y")
    y[0, 0, 0, 0] = complex(0, -np.inf)
    replace(path, "y", y)
    assert "field 'y' with NaN or Inf" in refused(path)


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("y", "c16", "y has dtype torch.complex128, the operator works in torch.complex64"),
        ("y", "f4", "y has dtype torch.float32"),
        ("y", "i4", "dtype int32"),
        ("y", "S8", "dtype |S8"),
        ("y", h5py.string_dtype(), "dtype object"),
        ("operator/points", "f4", "dtype float32, expected float64"),
        ("operator/weights", "c8", "dtype complex64, expected complex128"),
        ("noise/sigma", "i8", "dtype int64, expected float32 or float64"),
        ("operator/domain_shape", "f8", "dtype float64, expected int64"),
    ],
)
def test_wrong_dtype(path, name, dtype, message) -> None:
    old = numbers(path, name)
    if isinstance(dtype, str) and dtype != "S8":
        replace(path, name, (old.real if "c" not in dtype else old).astype(dtype))
    else:
        with h5py.File(path, "r+") as file:
            del file[name]
            file.create_dataset(name, data=np.full(old.shape, b"text"), dtype=dtype)
    line = refused(path)
    assert f"field '{name}'" in line
    assert message in line


@pytest.mark.parametrize("name", ["y", "operator/class", "noise/sigma", "metadata/text"])
def test_compound_and_reference_types(path, name) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, data=np.zeros(2, dtype=[("a", "f4"), ("b", "S4"), ("d", "i2")]))
    assert f"field '{name}'" in refused(path)
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, data=file.ref, dtype=h5py.ref_dtype)
    assert f"field '{name}'" in refused(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("y", lambda a: a[:, :, :-1], "the operator's range is (batch, (1, 5, 7))"),
        ("y", lambda a: a[..., 0], "the operator's range"),
        ("y", lambda a: a[:0], "of shape (0, 1, 5, 7)"),
        ("y", lambda a: a[0, 0, 0, 0], "y has shape ()"),
        ("y", lambda a: a[:1], "y holds 1 scenes, the noise levels have lengths [2]"),
        ("noise/sigma", lambda a: -a, "= -0.2"),
        ("noise/sigma", lambda a: a[0], "with 0 axes"),
        ("operator/points", lambda a: a[:, :, :-1], "sample_shape (5, 7) asks for points (batch, 2, 35)"),
        ("operator/points", lambda a: a[0], "with 2 axes (2, 35), expected 3 axes"),
        ("operator/domain_shape", lambda a: a[:2], "of 2 numbers, expected 3"),
        ("operator/domain_shape", lambda a: a * 0, "= (0, 0, 0), expected positive numbers"),
        ("operator/domain_shape", lambda a: -a, "expected positive numbers"),
        ("operator/domain_shape", lambda a: a * 10**6, "expected positive numbers with a product of at most"),
        ("operator/domain_shape", lambda a: a * 2**40, "expected positive numbers with a product of at most"),
        ("operator/sample_shape", lambda a: np.ones(70, "i8"), "of 70 numbers"),
        ("metadata/spacing_m", lambda a: -a, "two positive lengths"),
        ("metadata/truth", lambda a: a[0], "with 3 axes"),
    ],
)
def test_wrong_shape_or_value(path, name, change, message) -> None:
    replace(path, name, change(numbers(path, name)))
    assert message in refused(path)


def test_many_sensors_of_large_domains_are_refused_before_they_are_built(path) -> None:
    replace(path, "operator/domain_shape", np.array([1, 8192, 8192]))
    replace(path, "operator/points", np.zeros((100, 2, 35)))
    assert "100 sensors of 67108864 pixels" in refused(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("operator/class", b"os.system", "= 'os.system', expected one of AdjointOperator"),
        ("operator/class", b"Linear\x1b[31m\nOperator", "= 'Linear?[31m Operator'"),
        ("operator/class", b"x" * 5000, "xxx...', expected one of"),
        ("operator/class", b"\xff\xfe", "that is not UTF-8"),
        ("operator/dtype", b"float32", "= 'float32', expected one of complex128, complex64"),
        (
            "noise/class",
            b"RicianNoise",
            "= 'RicianNoise', expected one of ColouredGaussianNoise, DiagonalGaussianNoise, Gauss",
        ),
        ("metadata/text", b"{not json", "that is not JSON"),
        ("metadata/text", b"[1, 2]", "with other keys"),
        ("metadata/text", b'{"title": 1, "source": "", "notes": {}}', "with values of other types"),
        ("metadata/text", b'{"title": "", "source": "", "notes": {"a": []}}', "with notes that are not text"),
        ("metadata/text", b"[" * 100000, "field 'metadata/text'"),
        ("metadata/text", b"x" * (2**20 + 1), "of 1048577 bytes"),
    ],
)
def test_wrong_text(path, name, value, message) -> None:
    replace(path, name, np.bytes_(value))
    assert message in refused(path)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("version", 2, "version 2, expected version 1"),
        ("version", None, "no whole number as version, expected version 1"),
        ("version", np.arange(3), "expected version 1"),
        ("version", 1.0, "expected version 1"),
        ("format", np.bytes_(b"another"), "format 'another'"),
        ("format", "echoform-measurement", "without the attribute format"),
        ("format", 7, "expected the attribute format"),
        ("format", np.zeros((2, 2)), "expected the attribute format"),
        ("format", None, "without the attribute format"),
    ],
)
def test_header(path, attribute, value, message) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs[attribute]
        if value is not None:
            file.attrs[attribute] = value
    assert message in refused(path)


@pytest.mark.parametrize("name", ["y", "operator", "noise/sigma", "metadata"])
@pytest.mark.parametrize("kind", ["soft", "external", "dangling"])
def test_links_are_not_followed(path, tmp_path, name, kind) -> None:
    secret = tmp_path / "secret.h5"
    secret.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        file.move(name, "elsewhere")
        file[name] = {
            "soft": h5py.SoftLink("/elsewhere"),
            "external": h5py.ExternalLink(str(secret), f"/{name}"),
            "dangling": h5py.SoftLink("/nowhere"),
        }[kind]
    assert f"field '{name}' that is a link to another place or file" in refused(path)


def test_virtual_and_external_datasets_are_refused(path, tmp_path) -> None:
    y = numbers(path, "y")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["y"] = y
    layout = h5py.VirtualLayout(shape=y.shape, dtype=y.dtype)
    layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "y", shape=y.shape)
    with h5py.File(path, "r+") as file:
        del file["y"]
        file.create_virtual_dataset("y", layout)
    assert "field 'y' whose data lie in another file" in refused(path)
    (tmp_path / "raw").write_bytes(y.tobytes())
    with h5py.File(path, "r+") as file:
        del file["y"]
        file.create_dataset("y", y.shape, y.dtype, external=[(str(tmp_path / "raw"), 0, y.nbytes)])
    assert "field 'y' whose data lie in another file" in refused(path)


def test_claims_without_data_are_refused_before_memory_is_asked_for(path) -> None:
    for shape, chunks, message in (
        ((2, 1, 10**6, 10**6), (1, 1, 1000, 1000), f"at most {hdf5_node.MAX_BYTES} bytes"),
        ((2, 1, 2**14, 2**13), (1, 1, 1000, 1000), "with 0 bytes stored"),
        ((2, 1, 2**14, 2**13), None, "with 0 bytes stored"),
    ):
        with h5py.File(path, "r+") as file:
            del file["y"]
            file.create_dataset("y", shape, "c8", chunks=chunks)
        assert message in refused(path)


def test_all_fields_share_one_budget(tmp_path, monkeypatch) -> None:
    path = saved(tmp_path, "mask")
    monkeypatch.setattr(hdf5_node, "MAX_BYTES", 4000)
    assert "at most" in refused(path)


def test_cycles_end(path) -> None:
    with h5py.File(path, "r+") as file:
        del file["operator"]
        node = file.create_group("operator")
        node["class"] = np.bytes_(b"AdjointOperator")
        node["base"] = node
    assert "nested too deep" in refused(path)


def test_wide_trees_end(path) -> None:
    with h5py.File(path, "r+") as file:
        leaf = file["operator"]
        del file["operator"]
        for _ in range(12):
            node = file.create_group(None)
            node["class"] = np.bytes_(b"ComposedOperator")
            node["outer"], node["inner"] = leaf, leaf
            leaf = node
        file["operator"] = leaf
    refused(path)


def test_old_structures_without_checksums_are_refused(tmp_path) -> None:
    with h5py.File(tmp_path / "m.h5", "w", libver="earliest") as file:
        file.attrs["format"] = np.bytes_(b"echoform-measurement")
    assert "superblock version 0, expected version 2 or later" in refused(tmp_path / "m.h5")


def test_flipped_samples_are_noticed(path) -> None:
    with h5py.File(path) as file:
        place = file["y"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 20] ^= 1
    path.write_bytes(content)
    assert "damaged content" in refused(path)


def test_compressed_copies_are_read(path) -> None:
    y = numbers(path, "y")
    with h5py.File(path, "r+") as file:
        del file["y"]
        file.create_dataset("y", data=y, compression="gzip")
    assert (load(path).y.numpy() == y).all()


def test_operators_that_contradict_themselves(tmp_path) -> None:
    path = saved(tmp_path, "exact")
    replace(path, "operator/carrier_rad_m", numbers(path, "operator/carrier_rad_m") + 1)
    assert "field 'operator/carrier_rad_m' that contradicts the other fields" in refused(path)
    path = saved(tmp_path, "composed")
    replace(path, "operator/inner/domain_shape", np.array([1, 4, 4]))
    assert "cannot compose" in refused(path)
    path = saved(tmp_path, "crosstalk, batched")
    replace(path, "operator/outer/class", "BlockDiagonalOperator")
    refused(path)
    path = saved(tmp_path, "galerkin")
    replace(path, "operator/factor", np.array([3]))
    assert "cannot be coarsened by 3" in refused(path)
    path = saved(tmp_path, "stacked")
    replace(path, "operator/count", np.array([5000]))
    assert "field 'operator/count'" in refused(path)
    path = saved(tmp_path, "mask, coarse")
    replace(path, "operator/factor", np.array([0]))
    assert "field 'operator/factor' = (0,)" in refused(path)
