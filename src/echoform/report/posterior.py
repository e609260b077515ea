"""What posterior samples say: some of them, and where the scene exceeds a level, and how surely."""

from __future__ import annotations

from torch import Tensor

from echoform.recon.diffusion.posterior import exceedance
from echoform.report.figures import Figure, Panel, Place, level_png, magnitude_png
from echoform.report.page import Section

#: samples that are shown
SHOWN = 6


def exceedance_section(samples: Tensor, *, level_db: float, grid: Place) -> Section:
    """Return the map of the probability that the scene exceeds a level.

    Args:
        samples: (S, H, W).
        level_db: the level, decibels from the peak of the samples' mean (negative: below it).
        grid: where the pixels stand.
    """
    peak, count = float(samples.mean(0).abs().amax()), len(samples)
    share = exceedance(samples, peak * 10 ** (level_db / 20))
    panel = Panel(f"P(|x| > {level_db:g} dB)", share)
    png = level_png([panel], grid=grid, label="probability", limits=(0.0, 1.0), diverging=False)
    caption = (
        f"Share of {count} posterior samples whose magnitude exceeds {level_db:g} dB from the peak of their mean. All or none of "
        f"them means only that the probability lies within about {min(100, round(300 / count))} % of one or of zero."
    )
    return Section(
        "Probability of exceedance", figures=(Figure(png, caption, "Probability that a level is exceeded."),)
    )


def samples_section(samples: Tensor, *, depth_db: float, grid: Place) -> Section:
    """Return pictures of the first samples (S, H, W), each in decibels below its own peak down to ``depth_db``."""
    panels = [Panel(f"Sample {number + 1}", image) for number, image in enumerate(samples[:SHOWN])]
    png = magnitude_png(panels, grid=grid, dynamic_range_db=depth_db)
    caption = "Images that explain the measurement equally well: what differs between them is not known."
    return Section("Posterior samples", figures=(Figure(png, caption, f"{len(panels)} posterior samples."),))
