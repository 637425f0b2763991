"""A shopping basket."""

from basket.basket import Basket
from basket.discount import Discount

__all__ = ["Basket", "Discount"]
