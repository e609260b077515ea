"""Numbers as text."""

from __future__ import annotations

import math

import pytest

from echoform.report.numbers import decimals_of, fixed, number, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (1.23456, "1.23"),
        (-1.23456, "−1.23"),
        (123456.7, "123457"),
        (0.00123456, "0.00123"),
        (1.23456e-7, "1.23e-07"),
        (-1.23456e9, "−1.23e+09"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("step", "decimals"), [(20.0, 2), (0.25, 2), (0.02, 3), (0.0025, 4)])
def test_decimals_tell_apart_tenths_of_a_step(step: float, decimals: int) -> None:
    assert decimals_of(step) == decimals
    assert 10.0**-decimals <= step / 10


def test_fixed_and_quantity() -> None:
    assert fixed(-3.14159, 2, "dB") == "−3.14 dB"
    assert fixed(math.nan, 2, "dB") == "–"
    assert fixed(2, 1) == "2.0"
    assert quantity(0.29876, "m") == "0.299 m"
