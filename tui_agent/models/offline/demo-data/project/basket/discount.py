"""Discounts: a percentage off, from a certain amount on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Discount:
    """`percent` off every basket of at least `minimum` cents."""

    percent: int
    minimum: int = 0

    def apply(self, total: int) -> int:
        """Return `total` less the discount, rounded down to whole cents."""
        if total > self.minimum:
            return total - total * self.percent // 100
        return total
