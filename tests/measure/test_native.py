"""The native file gives back what was saved, to the last bit, for every operator of the library."""

import importlib
import inspect
import pkgutil
from dataclasses import replace

import h5py
import measure_cases
import pytest
import torch

import echoform.physics
from echoform.measure.errors import MeasurementFileError
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.native import load, save
from echoform.measure.operator_codecs import CODECS
from echoform.physics.born import BornScattering
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.green import Radiator
from echoform.physics.identity import ScalarOperator, identity
from echoform.physics.noise import GaussianNoise, Noise, PoissonGaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.cells import cells_of
from echoform.scene.grid import Grid
from echoform.scene.rig import all_pairs

OPERATORS = measure_cases.operators()


def concrete_operators() -> set[type[LinearOperator]]:
    """Return every operator of the library that can be built."""
    for module in pkgutil.iter_modules(echoform.physics.__path__):
        importlib.import_module(f"echoform.physics.{module.name}")
    found, waiting = set(), [LinearOperator]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        foreign = kind.__module__ == "echoform.physics.deepinv_bridge"
        if not inspect.isabstract(kind) and kind.__module__.startswith("echoform.physics") and not foreign:
            found.add(kind)
    return found


def test_every_operator_class_has_a_codec_and_a_round_trip() -> None:
    kinds = concrete_operators()
    assert {codec.kind for codec in CODECS.values()} == kinds
    assert all(name == codec.kind.__name__ for name, codec in CODECS.items())
    tried = {type(part) for operator in OPERATORS.values() for part in operator.modules()}
    assert kinds <= tried


@pytest.mark.parametrize("label", OPERATORS)
def test_round_trip_is_exact(label, tmp_path) -> None:
    before = measure_cases.measurement(OPERATORS[label])
    path = tmp_path / "m.h5"
    save(before, path)
    after = load(path)
    assert type(after.operator) is type(before.operator)
    assert after.y.dtype == before.y.dtype
    assert torch.equal(after.y, before.y)
    assert after.operator.dtype == before.operator.dtype
    assert after.operator.domain_shape == before.operator.domain_shape
    assert after.operator.range_shape == before.operator.range_shape
    stored, built = (dict(m.operator.named_buffers(remove_duplicate=False)) for m in (before, after))
    assert stored.keys() == built.keys()
    for name, buffer in stored.items():
        assert built[name].dtype == buffer.dtype, name
        assert torch.equal(built[name], buffer), name
    x = before.metadata.truth
    assert x is not None
    assert torch.equal(after.operator(x), before.operator(x))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["born", "plane wave"])
def test_a_displaced_grid_stays_where_it_is(kind: str, tmp_path) -> None:
    grid = Grid(measure_cases.SHAPE[1:], (0.01, 0.012), (0.2, -0.1))
    if kind == "born":
        ring_m = OPERATORS["born, matrix"].get_buffer("transmitter_m")
        rig = all_pairs(ring_m, -ring_m, torch.tensor([[1e9, 2e9]], dtype=torch.float64))
        operator = BornScattering(rig, cells_of(grid), radiator=Radiator.LINE)
    else:
        operator = plane_wave_spotlight(measure_cases.collection(), grid)
    before = measure_cases.measurement(operator)
    save(before, tmp_path / "m.h5")
    after, x = load(tmp_path / "m.h5"), before.metadata.truth
    assert x is not None
    assert torch.equal(after.operator(x), before.operator(x))


def test_metadata_and_noise_are_exact(tmp_path) -> None:
    before = measure_cases.measurement(OPERATORS["mask"])
    save(before, tmp_path / "m.h5")
    after = load(tmp_path / "m.h5")
    assert after.metadata.title == before.metadata.title
    assert after.metadata.source == before.metadata.source
    assert after.metadata.grid == before.metadata.grid
    assert list(after.metadata.notes.items()) == list(before.metadata.notes.items())
    assert torch.equal(after.metadata.truth, before.metadata.truth)
    assert isinstance(after.noise, GaussianNoise)
    assert torch.equal(after.noise.sigma, before.noise.sigma)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_real_samples_with_poisson_noise(dtype, tmp_path) -> None:
    noise = PoissonGaussianNoise(torch.tensor([0.1], dtype=dtype), torch.tensor([0.01, 0.0], dtype=dtype))
    y = torch.rand(2, 1, 4, 4, dtype=dtype, generator=measure_cases.generator())
    save(Measurement(y, identity((1, 4, 4)), noise), tmp_path / "m.h5")
    after = load(tmp_path / "m.h5")
    assert isinstance(after.noise, PoissonGaussianNoise)
    assert after.noise.sigma.dtype == dtype
    assert torch.equal(after.noise.sigma, noise.sigma)
    assert torch.equal(after.noise.gain, noise.gain)
    assert torch.equal(after.y, y)
    assert after.metadata == Metadata()


def noises() -> list[Noise]:
    levels = torch.rand(2, 1, 8, 1, generator=measure_cases.generator())
    factor = torch.randn(1, 16, 16, dtype=torch.complex128, generator=measure_cases.generator())
    covariance = factor @ factor.mH + torch.eye(16)
    real = covariance[:, :8, :8].real.contiguous()
    return [DiagonalGaussianNoise(levels), ColouredGaussianNoise(covariance, 2), ColouredGaussianNoise(real, 1)]


@pytest.mark.parametrize("noise", noises(), ids=["diagonal", "coloured", "coloured, real"])
def test_noise_that_is_not_white_is_exact(noise, tmp_path) -> None:
    before = replace(measure_cases.measurement(OPERATORS["mask"]), noise=noise)
    save(before, tmp_path / "m.h5")
    after = load(tmp_path / "m.h5").noise
    assert type(after) is type(noise)
    for name, value in vars(noise).items():
        stored = getattr(after, name)
        assert stored == value if isinstance(value, int) else stored.dtype == value.dtype and torch.equal(stored, value)


def test_noise_that_does_not_fit_is_refused(tmp_path) -> None:
    before = measure_cases.measurement(OPERATORS["mask"])
    eye = torch.eye(8)[None]
    for noise, message in (
        (DiagonalGaussianNoise(torch.ones(1, 1, 16, 8)), "noise levels"),
        (DiagonalGaussianNoise(torch.ones(1, 16)), "noise levels"),
        (ColouredGaussianNoise(eye, 2), "covariance 8 samples along axis 2"),
        (ColouredGaussianNoise(eye, 3), "covariance 8 samples along axis 3"),
        (ColouredGaussianNoise(eye.expand(3, 8, 8), 1), "2 scenes, the noise levels"),
    ):
        with pytest.raises(ValueError, match=message):
            save(replace(before, noise=noise), tmp_path / "m.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("noise", "field", "value", "message"),
    [
        (0, "deviation", -torch.ones(1, 1, 8, 1), "not negative"),
        (0, "deviation", torch.ones(1, 1, 9, 1), "does not fit"),
        (1, "covariance", torch.zeros(1, 16, 16), "positive definite"),
        (1, "covariance", torch.eye(16)[None, :, :5], "unusable levels"),
        (1, "axis", torch.tensor([-1]), "unusable levels"),
        (1, "axis", torch.tensor([1]), "does not fit"),
        (1, "axis", torch.tensor([1.5]), "dtype"),
    ],
)
def test_hostile_noise_gives_one_line(noise, field, value, message, tmp_path) -> None:
    path = tmp_path / "m.h5"
    save(replace(measure_cases.measurement(OPERATORS["mask"]), noise=noises()[noise]), path)
    with h5py.File(path, "r+") as file:
        del file[f"noise/{field}"]
        file[f"noise/{field}"] = value.numpy()
    with pytest.raises(MeasurementFileError, match=message) as caught:
        load(path)
    assert str(caught.value).isprintable()


def test_conjugate_views_are_resolved(tmp_path) -> None:
    y = torch.randn(1, 1, 4, 4, dtype=torch.complex64, generator=measure_cases.generator()).conj()
    save(Measurement(y, identity((1, 4, 4)), GaussianNoise(torch.ones(1))), tmp_path / "m.h5")
    assert torch.equal(load(tmp_path / "m.h5").y, y.resolve_conj())


def test_file_is_plain_hdf5(tmp_path) -> None:
    before = measure_cases.measurement(OPERATORS["scaled, complex"])
    save(before, tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert file.attrs["format"] == b"echoform-measurement"
        assert file.attrs["version"] == 1
        assert (file["y"][()] == before.y.numpy()).all()
        assert file["operator/class"][()] == b"ScaledOperator"
        assert file["operator/base/class"][()] == b"FourierMask"


class Stranger(ScalarOperator):
    """An operator the table does not know."""


class Namesake(LinearOperator):
    dtype = torch.complex64
    forward = adjoint = lambda self, x: x


Namesake.__name__ = "FourierMask"


@pytest.mark.parametrize("operator", [Stranger((1, 4, 4), torch.ones(1)), Namesake((1, 4, 4), (1, 4, 4))])
def test_saving_an_unknown_operator_is_refused_and_writes_nothing(operator, tmp_path) -> None:
    y = torch.zeros(1, 1, 4, 4, dtype=torch.complex64)
    with pytest.raises(TypeError, match="cannot be stored"):
        save(Measurement(y, operator, GaussianNoise(torch.ones(1))), tmp_path / "m.h5")
    assert list(tmp_path.iterdir()) == []


class Silence(Noise):
    sigma = torch.zeros(1)

    def sample(self, clean, generator=None):
        return clean

    def log_prob(self, y, clean):
        return y

    def to(self, device):
        return self


def test_saving_what_does_not_fit_is_refused_and_keeps_the_old_file(tmp_path) -> None:
    path = tmp_path / "m.h5"
    good = measure_cases.measurement(OPERATORS["mask"])
    save(good, path)
    content = path.read_bytes()
    three = torch.zeros(2, 1, 8, 16, dtype=torch.complex64)
    mask = FourierMask(torch.ones(1, 1, 8, 16))
    for bad, error, message in (
        (Measurement(three, mask, Silence()), TypeError, "noise of class Silence"),
        (Measurement(three, mask, GaussianNoise(torch.ones(3))), ValueError, "2 scenes, the noise"),
        (Measurement(three.real, mask, good.noise), ValueError, "dtype torch.float32"),
        (Measurement(three.real.half(), identity((1, 8, 16)), good.noise), TypeError, "float16"),
    ):
        with pytest.raises(error, match=message):
            save(bad, path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
