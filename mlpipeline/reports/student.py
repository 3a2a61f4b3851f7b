"""Means of few values: Student's t distribution, confidence intervals and Welch's test, without a heavy library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_TINY = 1e-300
_TERMS = 300


@dataclass(frozen=True)
class Sample:
    """Values that were measured again and again.

    Args:
        n: how many.
        mean: of them; NaN without any.
        deviation: with n - 1 in the denominator; None for fewer than two.
    """

    n: int
    mean: float
    deviation: float | None

    def interval(self) -> float | None:
        """Return half the width of the 95 % confidence interval of the mean; None for fewer than two values."""
        if self.deviation is None:
            return None
        return t_quantile(0.975, self.n - 1) * self.deviation / math.sqrt(self.n)


def sample_of(values: Sequence[float]) -> Sample:
    """Return the sample of finite numbers."""
    n = len(values)
    if not n:
        return Sample(0, math.nan, None)
    try:
        mean = math.fsum(values) / n
        if n == 1:
            return Sample(1, mean, None)
        return Sample(n, mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)))
    except OverflowError:  # values of 1e200 have no square
        return Sample(n, math.nan, None)


def welch_p(first: Sample, second: Sample) -> float | None:
    """Return the two-sided p value that two means differ, with variances that may differ too.

    None for fewer than two values, or where no value differs from its mean: such runs are copies, and no sample.

    Source: Welch, The generalization of Student's problem when several different population variances are involved,
    Biometrika 34 (1947); degrees of freedom after Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    if first.deviation is None or second.deviation is None:
        return None
    a, b = first.deviation**2 / first.n, second.deviation**2 / second.n
    if a + b <= 0:
        return None
    t = (first.mean - second.mean) / math.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
    return 2 * t_tail(abs(t), freedom)


def t_tail(t: float, freedom: float) -> float:
    """Return the probability of a value above t >= 0.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1: half of I_x(freedom/2, 1/2) at
    x = freedom / (freedom + t^2).
    """
    return 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


@lru_cache(maxsize=1024)  # groups are mostly of a few sizes
def t_quantile(probability: float, freedom: float) -> float:
    """Return the value that is exceeded with 1 - probability. Args: probability: above 0.5."""
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > 1 - probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_tail(middle, freedom) > 1 - probability else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b).

    Source: NIST Digital Library of Mathematical Functions, 8.17.4 and 8.17.22 (a continued fraction).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Return 1 / (1 + d1 / (1 + d2 / ...)) by Lentz's method (Applied Optics 15, 1976)."""
    value, c, d = 1.0, 1.0, 0.0
    for term in range(_TERMS):
        m = term // 2
        if term == 0:
            factor = 1.0
        elif term % 2:
            factor = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            factor = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + factor * d or _TINY)
        c = 1 + factor / c or _TINY
        value *= c * d
        if term and abs(1 - c * d) < 1e-16:
            break
    return value - 1
