"""The basket itself: which items, how many, and what they cost together."""

from __future__ import annotations

from dataclasses import dataclass, field

from basket.discount import Discount


@dataclass
class Basket:
    """Items by name, with their price in cents and their quantity."""

    items: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, name: str, price: int, quantity: int = 1) -> None:
        """Put `quantity` of an item into the basket."""
        _, already = self.items.get(name, (price, 0))
        self.items[name] = (price, already + quantity)

    def subtotal(self) -> int:
        """Return what the items cost before discounts."""
        return sum(price * quantity for price, quantity in self.items.values())

    def total(self, *discounts: Discount) -> int:
        """Return what is to be paid, after all discounts."""
        total = self.subtotal()
        for discount in discounts:
            total = discount.apply(total)
        return total
