"""SICD: sarkit's own checker finds no error, the pixels come back exactly, and each stands where sarkit projects it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import measure_cases
import numpy as np
import pytest
import sarkit.sicd as sksicd
import torch
from sarkit.verification import SicdConsistency

from echoform.measure.earth import Place
from echoform.measure.measurement import Metadata
from echoform.measure.phase_history import ground_grid
from echoform.measure.sicd import write_sicd
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.grid import Grid

PLACE = Place(39.78, -84.08, 250.0)
AZIMUTHS = [0.0, 20.0, 70.0, 100.0, 200.0, 300.0]


def metadata(azimuth_deg: float) -> Metadata:
    collection = measure_cases.collection(24, 40, azimuth_deg=azimuth_deg)
    return Metadata(title="made up", grid=ground_grid(collection), collection=collection, place=PLACE)


def image_of(facts: Metadata) -> torch.Tensor:
    assert facts.grid is not None
    return torch.randn(facts.grid.shape, dtype=torch.complex64, generator=measure_cases.generator())


def read_back(path: Path) -> tuple[np.ndarray, sksicd.NitfMetadata]:
    with path.open("rb") as stream, sksicd.NitfReader(stream) as reader:
        return reader.read_image(), reader.metadata


def grid_of(parts: sksicd.NitfMetadata) -> dict[str, Any]:
    return sksicd.ElementWrapper(parts.xmltree.getroot()).to_dict()["Grid"]


@pytest.mark.parametrize("azimuth_deg", AZIMUTHS)
def test_sarkits_checker_finds_no_error_and_pixels_are_exact(tmp_path, azimuth_deg) -> None:
    """All failed checks are errors or warnings; none of either is left."""
    facts, path = metadata(azimuth_deg), tmp_path / "m.nitf"
    image = image_of(facts)
    write_sicd(image, path, metadata=facts, method="backprojection")
    with path.open("rb") as stream:
        checker = SicdConsistency.from_file(stream)
        checker.check()
    assert len(checker.passes()) > 35
    assert checker.failures() == {}
    pixels, _ = read_back(path)
    ways = [np.rot90(v, k) for v in (image.numpy(), image.numpy().T) for k in range(4)]
    assert sum(np.array_equal(pixels, way) for way in ways) == 1


@pytest.mark.parametrize("azimuth_deg", AZIMUTHS)
def test_pixels_stand_where_sarkit_projects_them(tmp_path, azimuth_deg) -> None:
    """One bright pixel is found at its east and north to a millimetre through sarkit's projection to the ground plane."""
    facts, path = metadata(azimuth_deg), tmp_path / "m.nitf"
    assert facts.grid is not None
    image = torch.zeros(facts.grid.shape, dtype=torch.complex64)
    image[9, 31] = 5
    write_sicd(image, path, metadata=facts, method="test")
    pixels, parts = read_back(path)
    place = np.argwhere(np.abs(pixels) == 5)
    centred = sksicd.rowcol_to_xrowycol(parts.xmltree, place.astype(float))
    earth, _, success = sksicd.image_to_ground_plane(parts.xmltree, centred, PLACE.origin_m(), PLACE.axes()[2])
    assert success
    expected = facts.grid.positions_m()[9, 31].numpy()
    assert PLACE.to_local(earth)[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("azimuth_deg", AZIMUTHS)
def test_spectrum_stands_where_the_metadata_say(tmp_path, azimuth_deg) -> None:
    """With Sgn = -1 the transform of the file's pixels has its energy within DeltaK1 to DeltaK2 of each axis and not outside."""
    facts, path = metadata(azimuth_deg), tmp_path / "m.nitf"
    assert facts.grid is not None
    assert facts.collection is not None
    grid = Grid(facts.grid.shape, (facts.grid.spacing_m[0] / 2, facts.grid.spacing_m[1] / 2))
    operator = plane_wave_spotlight(facts.collection, grid)
    x = torch.zeros(1, 1, *grid.shape, dtype=torch.complex64)
    x[0, 0, grid.shape[0] // 2, grid.shape[1] // 2] = 1
    image = operator.adjoint(operator(x))[0, 0]
    write_sicd(image, path, metadata=replace(facts, grid=grid), method="test")
    pixels, parts = read_back(path)
    power = np.abs(np.fft.fft2(pixels)) ** 2
    grid_facts = grid_of(parts)
    for axis, name in enumerate(("Row", "Col")):
        part = grid_facts[name]
        assert part["Sgn"] == -1
        frequency = np.fft.fftfreq(pixels.shape[axis], part["SS"])
        profile = power.sum(1 - axis)
        margin = 2 / (pixels.shape[axis] * part["SS"])
        inside = (frequency > part["DeltaK1"] - margin) & (frequency < part["DeltaK2"] + margin)
        assert profile[inside].sum() > 0.98 * profile.sum()
        centroid = (profile * frequency).sum() / profile.sum()
        assert abs(centroid) < 0.1 * part["ImpRespBW"]
        assert inside.mean() < 0.75  # the test would fail for the wrong axis or sign of KCtr only if this holds


def test_point_keeps_its_carrier_phase(tmp_path) -> None:
    """A unit echo from r has the phase of exp(-i 2 pi KCtr . r) at its pixel, the standard's own convention."""
    facts, path = metadata(20.0), tmp_path / "m.nitf"
    assert facts.collection is not None
    assert facts.grid is not None
    operator = plane_wave_spotlight(facts.collection, facts.grid, dtype=torch.complex128)
    at = facts.grid.positions_m()[12, 30]
    k = facts.collection.wavenumber()
    echoes = torch.exp(1j * (k @ at[:2]))[:, None]  # no phase reference: the physical samples
    image = operator.adjoint(echoes)[0, 0]
    write_sicd(image, path, metadata=facts, method="test")
    pixels, parts = read_back(path)
    where = np.unravel_index(np.abs(pixels).argmax(), pixels.shape)
    xrow, ycol = sksicd.rowcol_to_xrowycol(parts.xmltree, np.array([where], dtype=float))[0]
    grid = grid_of(parts)
    expected = np.exp(-2j * np.pi * (grid["Row"]["KCtr"] * xrow + grid["Col"]["KCtr"] * ycol))
    assert abs(pixels[where] / abs(pixels[where]) - expected) < 1e-3
    assert grid["Row"]["KCtr"] > 0


def test_what_cannot_be_written(tmp_path) -> None:
    facts = metadata(0.0)
    image = image_of(facts)
    assert facts.collection is not None
    bistatic = replace(facts.collection, receiver_m=facts.collection.antenna_m + 1000)
    wild = replace(facts.collection, antenna_m=facts.collection.antenna_m * (1 + 0.01 * torch.rand(1, 24, 1)).double())
    for changes, message in (
        ({"place": None}, "place on the Earth"),
        ({"collection": None}, "antenna positions"),
        ({"grid": None}, "pixel size"),
        ({"grid": Grid((3, 4), (1.0, 1.0))}, "the grid's shape"),
        ({"collection": bistatic}, "bistatic"),
        ({"collection": wild}, "polynomial"),
    ):
        with pytest.raises(ValueError, match=message):
            write_sicd(image, tmp_path / "m.nitf", metadata=replace(facts, **changes), method="test")
    with pytest.raises(ValueError, match="NaN"):
        write_sicd(image * torch.nan, tmp_path / "m.nitf", metadata=facts, method="test")
    assert list(tmp_path.iterdir()) == []
