"""How the Taylor series of a sum over ranges is written to a file and read again."""

from __future__ import annotations

from echoform.linalg.taylor_profile import TaylorSeries
from echoform.measure.hdf5_node import GroupReader, GroupWriter


def write_series(series: TaylorSeries, node: GroupWriter) -> None:
    """Store oversampling and terms."""
    node.integers("series", [series.oversampling, series.terms])


def read_series(node: GroupReader) -> TaylorSeries:
    """Return the series."""
    oversampling, terms = node.integers("series", count=2)
    return TaylorSeries(oversampling, terms)
