"""``echoform sample``: draw images from the posterior, and say what they agree on."""

from __future__ import annotations

import math
from dataclasses import replace

from echoform.apps.commands import announce, carry_out, with_sigma
from echoform.apps.errors import UsageError
from echoform.apps.methods import Settings
from echoform.apps.options import Sample
from echoform.apps.result_folder import default_folder, result_folder
from echoform.apps.saving import resolved, save_run
from echoform.measure.reading import read

#: the method that draws
POSTERIOR = "posterior"


def sample(options: Sample, arguments: list[str]) -> None:
    """Carry out ``echoform sample``.

    Raises:
        UsageError: an option has no meaning, or the sensor is none that the network takes.
    """
    if options.n < 2 or options.steps < 2:
        raise UsageError(f"--n and --steps must be at least 2, got {options.n} and {options.steps}")
    if not math.isfinite(options.level_db):
        raise UsageError(f"--level-db must be a number, got {options.level_db}")
    measurement = with_sigma(read(options.file, slice_index=options.slice), options.sigma)
    out = options.out or default_folder(options.file, "sample", slice_index=options.slice)
    configuration = resolved(replace(options, out=out), command="sample", arguments=arguments)
    settings = Settings(weights=options.weights, samples=options.n, steps=options.steps)
    with result_folder(out) as part:
        run = carry_out(measurement, (POSTERIOR,), options, configuration=configuration, settings=settings)
        save_run(part, replace(run, level_db=options.level_db))
    announce(run, out)
