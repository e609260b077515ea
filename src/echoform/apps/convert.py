"""``echoform convert``: a measurement written to another format."""

from __future__ import annotations

from echoform.apps.commands import with_place
from echoform.apps.errors import UsageError
from echoform.apps.options import Convert
from echoform.measure.cphd_write import write_cphd
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.measure.phase_history import history_of
from echoform.measure.reading import read

FORMATS = (".cphd", ".h5")


def convert(options: Convert) -> None:
    """Carry out ``echoform convert``."""
    if options.out.suffix not in FORMATS:
        raise UsageError(f"--out must end in {' or '.join(FORMATS)}, got {options.out.name}")
    if options.out.exists():
        raise UsageError(f"{options.out} is there already; choose another --out")
    measurement = with_place(read(options.file, slice_index=options.slice), options.place)
    try:
        if options.out.suffix == ".cphd":
            _to_cphd(measurement, options)
        else:
            save(measurement, options.out)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{options.file} cannot be written as {options.out.suffix}: {error}") from error
    print(f"Written: {options.out}")


def _to_cphd(measurement: Measurement, options: Convert) -> None:
    history, grid = history_of(measurement), measurement.metadata.grid
    if history.place is None:
        raise ValueError("the file does not say where on the Earth the scene centre stands; give --place")
    if grid is None:
        raise ValueError("the measurement states no pixel size")
    write_cphd(history, options.out, grid=grid)
