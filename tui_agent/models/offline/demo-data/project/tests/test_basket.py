"""What the basket promises."""

import unittest

from basket import Basket, Discount


class BasketTest(unittest.TestCase):
    """Items and discounts."""

    def test_quantities_add_up(self) -> None:
        """The same item twice is one item with two of it."""
        basket = Basket()
        basket.add("tea", 250)
        basket.add("tea", 250, 2)
        self.assertEqual(basket.subtotal(), 750)

    def test_no_discount_below_the_minimum(self) -> None:
        """A small basket pays the full price."""
        basket = Basket()
        basket.add("tea", 250)
        self.assertEqual(basket.total(Discount(10, minimum=1000)), 250)

    def test_discount_from_the_minimum_on(self) -> None:
        """A basket of exactly the minimum gets the discount."""
        basket = Basket()
        basket.add("tea", 250, 4)
        self.assertEqual(basket.total(Discount(10, minimum=1000)), 900)


if __name__ == "__main__":
    unittest.main()
