"""``echoform simulate``: problems of a family, written to a native file with their truth."""

from __future__ import annotations

from dataclasses import replace

from echoform.apps.errors import UsageError
from echoform.apps.limits import check_snr_db
from echoform.apps.options import Simulate
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.scene.photographs import read_photographs
from echoform.train.problems.catalogue import FAMILIES
from echoform.train.problems.pictures import PictureFamily
from echoform.train.problems.problem import ProblemFamily, draw_problem
from echoform.train.problems.stream import problem_generator

#: smallest and largest side of an image, pixels; a multiple of the first is what coarse grids need
PIXELS = (16, 1024)


def simulate(options: Simulate) -> None:
    """Carry out ``echoform simulate``.

    Raises:
        UsageError: an option has no meaning, or the file is there already.
    """
    if options.out.suffix != ".h5":
        raise UsageError(f"--out must end in .h5, got {options.out.name}")
    if options.out.exists():
        raise UsageError(f"{options.out} is there already; choose another --out")
    save(simulated(options), options.out)
    print(f"Written: {options.out} (try: echoform reconstruct {options.out})")


def simulated(options: Simulate) -> Measurement:
    """Return the measurement that the options ask for; the same options give the same one to the last bit."""
    if not PIXELS[0] <= options.pixels <= PIXELS[1]:
        raise UsageError(f"--pixels must lie between {PIXELS[0]} and {PIXELS[1]}, got {options.pixels}")
    if options.batch < 1:
        raise UsageError(f"--batch must be at least 1, got {options.batch}")
    family = _family(options)
    try:
        problem = draw_problem(problem_generator(options.seed, 0), family, options.batch)
    except ValueError as error:
        raise UsageError(f"--family {family.name} --pixels {options.pixels}: {error}") from error
    levels = ", ".join(f"{value:.1f}" for value in problem.snr_db.tolist())
    notes = {"family": family.name, "seed": str(options.seed), "signal-to-noise ratio": f"{levels} dB"}
    return replace(problem.measurement, metadata=replace(problem.measurement.metadata, notes=notes))


def _family(options: Simulate) -> ProblemFamily:
    """Return the family with what the options change about it."""
    family = next(family for family in FAMILIES if family.name == options.family)
    family = replace(family, shape=(options.pixels, options.pixels))
    if options.snr_db is not None:
        check_snr_db(options.snr_db)
        family = replace(family, snr_db=(options.snr_db, options.snr_db), levels=None)
    if options.photographs is None:
        return family
    if not isinstance(family, PictureFamily):
        raise UsageError(f"--photographs are for the families of optics, not for {family.name}")
    try:
        pictures = read_photographs(options.photographs, colour=True)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    return replace(family, photographs=pictures, measured=1.0)
