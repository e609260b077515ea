"""The .npz import: the documented schema, and one clear line naming the array for everything else."""

import io
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import measure_cases
import numpy as np
import pytest
import torch
from refusals import refusal

from echoform.measure.npz import OPTIONAL, REQUIRED, read_npz, read_npz_history
from echoform.measure.phase_history import ground_grid
from echoform.measure.reading import read
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.scene.grid import Grid

PULSES, FREQUENCIES = 24, 40


def fields() -> dict[str, np.ndarray]:
    """The required arrays: exact echoes of one scatterer 3 m east and 2 m south."""
    collection = measure_cases.collection(PULSES, FREQUENCIES)
    grid = Grid((9, 9), (1.0, 1.0))
    x = torch.zeros(1, 1, 9, 9, dtype=torch.complex128)
    x[0, 0, 2, 7] = 1
    samples = ExactSpotlight(collection, grid, dtype=torch.complex128)(x)[0, 0]
    return {
        "samples": samples.numpy(),
        "antenna_m": collection.antenna_m[0].numpy(),
        "frequency_hz": collection.frequency_hz[0].numpy(),
    }


def extras() -> dict[str, np.ndarray]:
    """Return the arrays that may be left out."""
    kept = np.ones(PULSES, dtype=bool)
    kept[[2, 9]] = False
    return {
        "kept": kept,
        "sigma": np.array(0.25),
        "shape": np.array([24, 32]),
        "spacing_m": np.array([0.5, 0.5]),
        "place": np.array([39.78, -84.08, 250.0]),
    }


def written(path: Path, **changes: np.ndarray | None) -> Path:
    arrays = fields() | changes
    present: dict[str, Any] = {name: value for name, value in arrays.items() if value is not None}
    np.savez(path, **present)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_documented_arrays(tmp_path, save) -> None:
    path = tmp_path / "m.npz"
    save(path, **(fields() | extras()))
    measurement = read(path)
    assert measurement.metadata.grid == Grid((24, 32), (0.5, 0.5))
    assert float(measurement.noise.sigma) == 0.25
    assert measurement.metadata.place is not None
    assert measurement.metadata.place.latlonhae() == [39.78, -84.08, 250.0]
    assert float(measurement.y[:, :, [2, 9]].abs().max()) == 0
    support = measurement.operator.support()
    assert support is not None
    assert torch.equal(support[0, 0, :, 0] != 0, torch.from_numpy(extras()["kept"]))
    image = measurement.operator.adjoint(measurement.y)[0, 0].abs()
    assert divmod(int(image.argmax()), 32) == (12 - 4, 16 + 6)


def test_required_arrays_alone(tmp_path) -> None:
    history, grid = read_npz_history(written(tmp_path / "m.npz"))
    assert grid is None
    assert history.sigma is None
    assert history.place is None
    assert torch.equal(history.samples[0, 0], torch.from_numpy(fields()["samples"]))
    measurement = read_npz(written(tmp_path / "m.npz"))
    assert measurement.metadata.grid == ground_grid(history.collection)
    assert "upper bound" in measurement.metadata.notes["noise"]


@pytest.mark.parametrize("dtype", ["<c8", ">c8", ">c16"])
def test_byte_orders_and_single_samples(tmp_path, dtype) -> None:
    samples = fields()["samples"]
    kept = np.ones(samples.shape)
    kept[3, 5] = 0
    history, _ = read_npz_history(written(tmp_path / "m.npz", samples=samples.astype(dtype), kept=kept))
    assert history.samples.dtype == (torch.complex64 if dtype.endswith("8") else torch.complex128)
    assert float(history.samples[0, 0, 3, 5].abs()) == 0
    np.testing.assert_allclose(history.samples[0, 0].numpy(), samples * kept, atol=1e-6)


def test_bistatic(tmp_path) -> None:
    receiver = fields()["antenna_m"] + [500.0, 0, 0]
    history, _ = read_npz_history(written(tmp_path / "m.npz", receiver_m=receiver))
    assert history.collection.receiver_m is not None
    assert torch.equal(history.collection.receiver_m[0], torch.from_numpy(receiver))


def test_documentation_names_every_array() -> None:
    text = (Path(__file__).parents[2] / "docs" / "npz.md").read_text()
    assert all(f"`{name}`" in text for name in REQUIRED + OPTIONAL)


refused = partial(refusal, read)


WRONG: dict[str, tuple[dict[str, np.ndarray | None], str]] = {
    "no samples": ({"samples": None}, "array 'samples' missing"),
    "no antenna": ({"antenna_m": None}, "array 'antenna_m' missing"),
    "no frequency": ({"frequency_hz": None}, "array 'frequency_hz' missing"),
    "misspelt": ({"antena_m": np.ones(3)}, "an array 'antena_m'"),
    "real samples": ({"samples": np.ones((PULSES, FREQUENCIES))}, "array 'samples' of dtype float64"),
    "transposed": ({"samples": np.ones((FREQUENCIES, PULSES), dtype=complex)}, "of shape (24, 3), expected (40, 3)"),
    "one pulse": ({"samples": np.ones((1, FREQUENCIES), dtype=complex)}, "of shape (1, 40)"),
    "zeros": ({"samples": np.zeros((PULSES, FREQUENCIES), dtype=complex)}, "nothing but zeros"),
    "infinite": ({"samples": np.full((PULSES, FREQUENCIES), np.inf + 0j)}, "array 'samples' with NaN or Inf"),
    "antenna at the scene": ({"antenna_m": np.zeros((PULSES, 3))}, "array 'antenna_m' 0 to 0 m away"),
    "NaN position": ({"antenna_m": np.full((PULSES, 3), np.nan)}, "array 'antenna_m' with NaN or Inf"),
    "falling": ({"frequency_hz": np.linspace(2e9, 1e9, FREQUENCIES)}, "array 'frequency_hz' from 2e+09"),
    "receiver": ({"receiver_m": np.ones((3, 3))}, "array 'receiver_m' of shape (3, 3)"),
    "kept": ({"kept": np.full(PULSES, 2)}, "array 'kept' with other values"),
    "nothing kept": ({"kept": np.zeros(PULSES)}, "array 'kept'"),
    "sigma": ({"sigma": np.array(-1.0)}, "array 'sigma' = -1"),
    "shape alone": ({"shape": np.array([8, 8])}, "array 'spacing_m' missing"),
    "huge image": ({"shape": np.array([2**20, 2**20]), "spacing_m": np.ones(2)}, "array 'shape' ="),
    "pixel of nothing": ({"shape": np.array([8, 8]), "spacing_m": np.zeros(2)}, "array 'spacing_m' ="),
    "nowhere": ({"place": np.array([400.0, 0, 0])}, "array 'place' where latitude_deg"),
    "pickled": ({"sigma": np.array([None])}, "of dtype 'object'"),
    "records": ({"sigma": np.zeros(1, dtype=[("a", "f4")])}, "array 'sigma"),
    "standing still": ({"antenna_m": np.full((PULSES, 3), 7000.0)}, "cannot be imaged"),
}


@pytest.mark.filterwarnings("ignore:.*metadata on a dtype:UserWarning")
@pytest.mark.parametrize("label", WRONG)
def test_wrong_arrays_are_named(tmp_path, label) -> None:
    changes, message = WRONG[label]
    assert message in refused(written(tmp_path / "m.npz", **changes))


def archive(path: Path, members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


def test_headers_that_lie_and_bombs(tmp_path) -> None:
    """A header claiming terabytes, an array that is nothing but zeros packed thousandfold, a name twice, another compression."""
    path = tmp_path / "m.npz"
    head = (
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<c16', 'fortran_order': False, 'shape': (999999, 999999), }".ljust(117)
        + b"\n"
    )
    assert "plain numbers" in refused(archive(path, {"samples.npy": head + bytes(160)}))
    stream = io.BytesIO()
    np.save(stream, np.zeros(50_000_000, dtype="u1"))
    packed = archive(path, {"samples.npy": stream.getvalue()}, compression=zipfile.ZIP_BZIP2)
    assert "no bomb" in refused(packed)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("samples.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            target.writestr("samples.npy", b"")
    assert "each at most once" in refused(path)
    assert "cannot be read" in refused(archive(path, {"samples.npy": b"no array"}))
    whole = written(path).read_bytes()
    for length in (60, 400, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)
