"""Numbers as people read them, in tables and reports."""

import math


def count(value: int | None) -> str:
    """`300000` as `300,000`; empty for None."""
    return "" if value is None else f"{value:,}"


def number(value: float | None) -> str:
    """Four significant digits: `0.9731`, `12.35`, `1.2e-05`; empty for None."""
    return "" if value is None else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """A time as `0.42 s`, `12.3 s`, `4 min 05 s` or `3 h 07 min`; empty for None."""
    if value is None:
        return ""
    if value < 59.95:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def interval(mean: float | None, low: float | None = None, high: float | None = None) -> str:
    """A mean with half the width of its interval: `0.973 ± 0.004`; `0.9731` without an interval.

    The half-width has one significant digit, two if the first is a 1; the mean has its decimals.
    """
    if mean is None or low is None or high is None or not high > low:
        return number(mean)
    half = (high - low) / 2
    exponent = math.floor(math.log10(half))
    decimals = max(0, -exponent + (half < 2 * 10.0**exponent))
    return f"{mean:.{decimals}f} ± {half:.{decimals}f}"


def p_value(value: float) -> str:
    """`0.031`, and `<0.0001` below that."""
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"


def p_is(value: float) -> str:
    """`p = 0.031`, `p < 0.0001`."""
    text = p_value(value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def probability(value: float) -> str:
    """In percent, without claiming certainty: `97.3 %`, `>99.9 %`."""
    if value > 0.999:
        return ">99.9 %"
    return "<0.1 %" if value < 0.001 else f"{100 * value:.3g} %"
