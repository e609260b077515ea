"""CPHD: what is written passes sarkit's own checker and comes back; other writers' variants; one clear line for damage."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import lxml.etree
import measure_cases
import numpy as np
import pytest
import sarkit.cphd as skcphd
import torch
from refusals import refusal
from sarkit.verification import CphdConsistency

from echoform.measure.cphd import read_cphd, read_cphd_history
from echoform.measure.cphd_write import write_cphd
from echoform.measure.earth import Place, place_at
from echoform.measure.errors import OutputError
from echoform.measure.phase_history import PhaseHistory, history_of, measurement_from
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

PLACE = Place(39.78, -84.08, 250.0)
GRID = Grid((32, 48), (0.3, 0.3))
PULSES, FREQUENCIES = 24, 40


def history(*, bistatic: bool = False, missing: tuple[int, ...] = (3, 7), sigma: float | None = 0.3) -> PhaseHistory:
    """Exact echoes of random scatterers, some pulses missing."""
    flat = measure_cases.collection(PULSES, FREQUENCIES, azimuth_deg=30.0)
    kept = torch.ones(1, PULSES, FREQUENCIES, dtype=torch.float64)
    kept[:, list(missing)] = 0
    receiver = flat.antenna_m + torch.tensor([3000.0, -2000.0, 500.0]) if bistatic else None
    collection = SpotlightCollection(flat.antenna_m, flat.frequency_hz, kept, receiver)
    x = torch.randn(1, 1, *GRID.shape, dtype=torch.complex64, generator=measure_cases.generator())
    samples = ExactSpotlight(collection, GRID)(x)
    return PhaseHistory(collection, samples, title="made up", source="test", sigma=sigma, place=PLACE)


def written(path: Path, content: PhaseHistory | None = None) -> Path:
    write_cphd(history() if content is None else content, path, grid=GRID)
    return path


def failures(path: Path) -> dict:
    with path.open("rb") as stream:
        checker = CphdConsistency.from_file(stream, thorough=True)
        checker.check()
    assert len(checker.passes()) > 50
    return checker.failures()


@pytest.mark.parametrize("azimuth_deg", [0.0, 100.0, 200.0])
@pytest.mark.parametrize("bistatic", [False, True])
def test_sarkits_checker_finds_nothing(tmp_path, bistatic, azimuth_deg) -> None:
    content = history(bistatic=bistatic)
    turned = measure_cases.collection(PULSES, FREQUENCIES, azimuth_deg=azimuth_deg).antenna_m
    receiver = turned + torch.tensor([3000.0, -2000.0, 500.0]) if bistatic else None
    content = replace(content, collection=replace(content.collection, antenna_m=turned, receiver_m=receiver))
    assert failures(written(tmp_path / "m.cphd", content)) == {}


@pytest.mark.parametrize("place", [PLACE, Place(-89.0, 179.0, -40.0), Place(0.0, 0.0, 0.0)])
@pytest.mark.parametrize("bistatic", [False, True])
def test_round_trip(tmp_path, bistatic, place) -> None:
    """Samples, frequencies and missing pulses are exact, positions to a micrometre, the image to 1e-5."""
    before = replace(history(bistatic=bistatic), place=place)
    path = written(tmp_path / "m.cphd", before)
    after, grid = read_cphd_history(path)
    assert torch.equal(after.samples, before.samples)
    assert torch.equal(after.collection.kept, before.collection.kept)
    assert torch.allclose(after.collection.frequency_hz, before.collection.frequency_hz, rtol=1e-15, atol=0)
    assert float((after.collection.antenna_m - before.collection.antenna_m).abs().max()) < 1e-6
    if bistatic:
        assert after.collection.receiver_m is not None
        assert before.collection.receiver_m is not None
        assert float((after.collection.receiver_m - before.collection.receiver_m).abs().max()) < 1e-6
    assert grid == GRID
    assert after.sigma == pytest.approx(0.3, rel=1e-12)
    assert after.place is not None
    assert after.place.latlonhae() == pytest.approx(place.latlonhae(), abs=1e-8)
    original = measurement_from(before, grid=GRID)
    again = read_cphd(path)
    images = [m.operator.adjoint(m.y) for m in (original, again)]
    assert float((images[0] - images[1]).norm() / images[0].norm()) < 1e-5
    assert torch.equal(history_of(again).collection.kept, before.collection.kept)


def test_local_frame_is_east_north_up() -> None:
    """A degree of longitude at latitude 60 points east, a degree of latitude north, both to WGS 84's radii."""
    place = Place(60.0, 10.0, 0.0)
    east = place.to_local(Place(60.0, 10.001, 0.0).origin_m())
    north = place.to_local(Place(60.001, 10.0, 0.0).origin_m())
    a, e2 = 6378137.0, 0.00669437999014
    root = np.sqrt(1 - e2 * np.sin(np.radians(60)) ** 2)
    assert east[0] == pytest.approx(np.radians(0.001) * a / root * 0.5, rel=1e-6)
    assert north[1] == pytest.approx(np.radians(0.001) * a * (1 - e2) / root**3, rel=1e-4)
    assert place.to_local(Place(60.0, 10.0, 7.0).origin_m()) == pytest.approx([0, 0, 7], abs=1e-8)
    back = place.to_local(place.to_earth(np.array([[1e4, -2e4, 7e3]])))
    assert back[0] == pytest.approx([1e4, -2e4, 7e3], abs=1e-6)
    assert place_at(place.origin_m()).latlonhae() == pytest.approx([60, 10, 0], abs=1e-8)
    with pytest.raises(ValueError, match="latitude_deg"):
        Place(91.0, 0.0)


def changed(path: Path, edit, *, vectors=None, signal=None, channel: str = "1") -> Path:
    """The file with its XML, per-vector parameters or samples changed by a function, as another writer might have them."""
    with path.open("rb") as stream:
        reader = skcphd.Reader(stream)
        tree = reader.metadata.xmltree
        data, parameters = reader.read_channel(channel)
    parameters = parameters.astype(parameters.dtype.newbyteorder("="))
    data = data.astype(np.complex64)
    edit(tree.getroot())
    if vectors is not None:
        vectors(parameters)
    if signal is not None:
        data = signal(data)
    with path.open("wb") as stream, skcphd.Writer(stream, skcphd.Metadata(xmltree=tree)) as writer:
        writer.write_signal(channel, data)
        writer.write_pvp(channel, parameters)
    return path


def text(path: str, value: str):
    def edit(root: lxml.etree._Element) -> None:
        found = root.find("/".join(f"{{*}}{part}" for part in path.split("/")))
        assert found is not None
        found.text = value

    return edit


def test_the_other_sign_is_converted(tmp_path) -> None:
    path = changed(written(tmp_path / "m.cphd"), text("Global/SGN", "+1"), signal=np.conj)
    after, _ = read_cphd_history(path)
    assert torch.equal(after.samples, history().samples)


def test_a_moving_reference_point_is_moved_back(tmp_path) -> None:
    """Samples referenced to a point that wanders by metres describe the same scene after reading."""
    before = history(missing=())
    rng = np.random.default_rng(3)
    wander = rng.uniform(-2, 2, (PULSES, 3)) * [1, 1, 0]
    wander[PULSES // 2] = 0
    antenna = before.collection.antenna_m[0].numpy()
    extra_m = np.linalg.norm(antenna - wander, axis=-1) - np.linalg.norm(antenna, axis=-1)
    frequency = before.collection.frequency_hz[0].numpy()
    turn = np.exp(4j * np.pi / SPEED_OF_LIGHT_M_S * frequency * extra_m[:, None])

    def move(parameters: np.ndarray) -> None:
        parameters["SRPPos"] = PLACE.to_earth(wander)

    path = changed(
        written(tmp_path / "m.cphd", before),
        text("Channel/SRPFixedCPHD", "false"),
        vectors=move,
        signal=lambda data: (data * turn).astype(np.complex64),
    )
    after, grid = read_cphd_history(path)
    assert float((after.samples - before.samples).abs().max() / before.samples.abs().max()) < 1e-6
    assert "moved by up to" in after.notes["range reference"]
    assert grid == GRID


def test_motion_between_pulse_and_echo_is_one_antenna(tmp_path) -> None:
    """Transmitter and receiver two metres apart are their midpoint; the place of missing pulses may be NaN."""

    def part(parameters: np.ndarray) -> None:
        parameters["TxPos"] -= PLACE.axes()[1]
        parameters["RcvPos"] += PLACE.axes()[1]
        parameters["TxPos"][3] = np.nan

    after, _ = read_cphd_history(changed(written(tmp_path / "m.cphd"), lambda root: None, vectors=part))
    before = history()
    assert after.collection.receiver_m is None
    heard = before.collection.kept[0].any(-1)
    assert float((after.collection.antenna_m - before.collection.antenna_m)[0, heard].abs().max()) < 1e-6


def test_samples_outside_the_band_and_scales(tmp_path) -> None:
    """FX1 to FX2 narrower than the vectors cuts them; AmpSF is not needed; without PNRef the noise is estimated."""
    frequency = history().collection.frequency_hz[0]

    def narrow(parameters: np.ndarray) -> None:
        parameters["FX1"], parameters["FX2"] = float(frequency[4]), float(frequency[30])

    def no_noise(root: lxml.etree._Element) -> None:
        level = root.find("{*}Channel/{*}Parameters/{*}NoiseLevel")
        assert level is not None
        level.getparent().remove(level)

    path = changed(written(tmp_path / "m.cphd"), no_noise, vectors=narrow)
    after, _ = read_cphd_history(path)
    assert torch.allclose(after.collection.frequency_hz[0], frequency[4:31], rtol=1e-15, atol=0)
    assert torch.equal(after.samples[0, 0], history().samples[0, 0, :, 4:31])
    assert after.sigma is None
    assert "upper bound" in read_cphd(path).metadata.notes["noise"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"place": None}, "place of the scene centre"),
        ({"collection": lambda c: replace(c, frequency_hz=c.frequency_hz.flip(1))}, "positive and rising"),
        ({"collection": lambda c: replace(c, frequency_hz=c.frequency_hz**1.01)}, "not uniformly spaced"),
        ({"collection": lambda c: replace(c, antenna_m=c.antenna_m[:, :1].expand(-1, PULSES, 3))}, "does not move"),
        ({"collection": lambda c: c.without(torch.eye(PULSES, FREQUENCIES, dtype=torch.bool))}, "within a pulse"),
        ({"samples": lambda y: y.to(torch.complex128) * 1e200}, "single precision"),
    ],
)
def test_what_cannot_be_written(tmp_path, change, message) -> None:
    content = history()
    changes = {name: value(getattr(content, name)) if callable(value) else value for name, value in change.items()}
    with pytest.raises(ValueError, match=message):
        write_cphd(replace(content, **changes), tmp_path / "m.cphd", grid=GRID)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(OutputError):
        written(tmp_path / "missing" / "m.cphd")
    assert list(tmp_path.iterdir()) == []


refused = partial(refusal, read_cphd)


def compressed(root: lxml.etree._Element) -> None:
    data = root.find("{*}Data")
    assert data is not None
    lxml.etree.SubElement(data, f"{{{lxml.etree.QName(root).namespace}}}SignalCompressionID").text = "zip"


EDITS = {
    "domain": (text("Global/DomainType", "XT"), "signal domain 'XT', expected FX or TOA"),
    "TOA that is FX": (text("Global/DomainType", "TOA"), "SC0 not finite, not positive or too large"),
    "compressed": (compressed, "a compressed signal block, expected an uncompressed one"),
    "sign": (text("Global/SGN", "2"), "SGN = '2'"),
    "huge pulses": (text("Data/Channel/NumVectors", "999999999"), "999999999 x 40 samples"),
    "huge samples": (text("Data/Channel/NumSamples", "9" * 18), "9" * 18),
    "huge vector": (text("Data/NumBytesPVP", "800000"), "bytes of PVP"),
    "short vector": (text("Data/NumBytesPVP", "80"), "damaged content"),
    "negative": (text("Data/Channel/NumVectors", "-5"), "NumVectors = -5 is negative"),
    "not a number": (text("Data/Channel/NumVectors", "many"), "damaged content"),
    "offset": (text("Data/Channel/SignalArrayByteOffset", "999"), "bytes of signal"),
    "format": (text("Data/SignalArrayFormat", "XX9"), "damaged content"),
    "no such channel": (text("Channel/RefChId", "it's"), "no Data/Channel with the identifier"),
    "PVP format": (text("PVP/TxPos/Format", "F8"), "TxPos of shape"),
    "PVP offset": (text("PVP/SCSS/Offset", "9999"), "damaged content"),
    "noise": (text("Channel/Parameters/NoiseLevel/PNRef", "-1"), "PNRef = -1"),
}


def poke(path: Path, edit) -> None:
    """Change the XML in place, without the consistency that sarkit's writer would restore."""
    content = path.read_bytes()
    with path.open("rb") as stream:
        _, fields = skcphd.read_file_header(stream)
    start, length = int(fields["XML_BLOCK_BYTE_OFFSET"]), int(fields["XML_BLOCK_SIZE"])
    root = lxml.etree.fromstring(content[start : start + length])
    edit(root)
    xml = lxml.etree.tostring(root)
    # the XML may grow into the padding and the blocks after it: move it to the end of the file
    head, _, _ = content.partition(b"\f\n")
    head = head.replace(
        f"XML_BLOCK_BYTE_OFFSET := {start}".encode(), f"XML_BLOCK_BYTE_OFFSET := {len(content)}".encode()
    )
    head = head.replace(f"XML_BLOCK_SIZE := {length}".encode(), f"XML_BLOCK_SIZE := {len(xml)}".encode())
    assert len(head) + 2 <= start
    path.write_bytes(head + b"\f\n" + content[len(head) + 2 :] + xml)


@pytest.mark.parametrize("label", EDITS)
def test_xml_that_lies(tmp_path, label) -> None:
    edit, message = EDITS[label]
    path = written(tmp_path / "m.cphd")
    poke(path, edit)
    assert message in refused(path)


def test_poked_but_unchanged_file_is_read(tmp_path) -> None:
    path = written(tmp_path / "m.cphd")
    poke(path, lambda root: None)
    assert torch.equal(read_cphd(path).y, history().samples)


def set_vectors(name: str, value: float):
    def change(parameters: np.ndarray) -> None:
        parameters[name][5] = value

    return change


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TxPos", np.nan, "TxPos not finite"),
        ("RcvPos", np.inf, "RcvPos not finite"),
        ("SRPPos", 1e30, "SRPPos not finite or too far"),
        ("SRPPos", 0.0, "SRPPos moves by up to"),
        ("SC0", np.nan, "SC0 not finite"),
        ("SC0", 5e9, "FX1 to FX2 holds no sample of a pulse with signal"),
        ("SCSS", -1.0, "SCSS not finite, not positive"),
        ("FX1", np.inf, "FX1 not finite"),
    ],
)
def test_vectors_that_cannot_be(tmp_path, name, value, message) -> None:
    path = changed(written(tmp_path / "m.cphd"), lambda root: None, vectors=set_vectors(name, value))
    assert message in refused(path)


def test_signal_that_cannot_be(tmp_path) -> None:
    for value in (0.0, np.nan):
        path = changed(
            written(tmp_path / "m.cphd"), lambda root: None, signal=lambda data, v=value: data * np.complex64(v)
        )
        assert "not finite or nothing but zeros" in refused(path)

    def silence(parameters: np.ndarray) -> None:
        parameters["SIGNAL"] = 0

    path = changed(written(tmp_path / "m.cphd"), lambda root: None, vectors=silence)
    assert "two or more pulses with signal" in refused(path)


def test_cut_anywhere(tmp_path) -> None:
    """Cut in the header, the XML, the parameters or the samples."""
    content = written(tmp_path / "m.cphd").read_bytes()
    path = tmp_path / "cut.cphd"
    for length in (7, 40, 200, 600, 3000, len(content) // 2, len(content) - 9000, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)


def test_entities_and_endless_headers(tmp_path) -> None:
    path = written(tmp_path / "m.cphd")
    content = path.read_bytes()
    start = content.index(b"<CPHD")
    bomb = b'<!DOCTYPE a [<!ENTITY b "bb">]>'
    path.write_bytes(content[:start] + bomb + content[start + len(bomb) :])
    assert "document type" in refused(path)
    path.write_bytes(b"CPHD/1.1.0\n" + b"A" * 10**6)
    assert "header that cannot be right" in refused(path)
    path.write_bytes(content.replace(b"CPHD/1.1.0\n", b"CPHD/1.9.9\n", 1))
    read_cphd(path)  # the XML's namespace decides
    path.write_bytes(content.replace(b"schema/cphd/1.1.0", b"schema/cphd/7.1.0"))
    refused(path)
