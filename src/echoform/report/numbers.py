"""Numbers as a reader wants them: few digits, a true minus sign, the unit behind a thin space."""

from __future__ import annotations

import math


def number(value: float, digits: int = 3) -> str:
    """Return a number to ``digits`` significant digits; powers of ten far from one as 1.2e-05; NaN as a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if float(value).is_integer() and abs(value) < 1e6:
        text = str(int(value))
    elif -4 <= exponent < 6:
        text = f"{value:.{max(digits - 1 - exponent, 0)}f}"
    else:
        text = f"{value:.{digits - 1}e}"
    return text.replace("-", "−") if "e" not in text else "−" * (value < 0) + text.lstrip("-")


def fixed(value: float, decimals: int, unit: str = "") -> str:
    """Return a number with a fixed count of decimals, so that a column lines up, and its unit."""
    if not math.isfinite(value):
        return number(value)
    text = f"{value:.{decimals}f}".replace("-", "−")
    return f"{text} {unit}" if unit else text


def decimals_of(step: float) -> int:
    """Return how many decimals tell apart tenths of a step, two at least."""
    return max(2, 1 - math.floor(math.log10(step)))


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """Return a number to ``digits`` significant digits with its unit."""
    return f"{number(value, digits)} {unit}"
