"""Prefix sums of the heights of a long list of items, in O(log n) for each question and change."""

from __future__ import annotations


class HeightIndex:
    """Heights in lines by position, as a Fenwick tree. Positions start at 0; heights are never negative."""

    def __init__(self, count: int = 0, height: int = 1) -> None:
        """Make an index of `count` items which are all `height` high, in O(count)."""
        self._heights = [height] * count
        self._tree = [height * (index & -index) for index in range(count + 1)]

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, position: int) -> int:
        """Return the height of one item."""
        return self._heights[position]

    def append(self, height: int) -> None:
        """Add an item at the end."""
        index = len(self._tree)
        total = height
        step = 1
        while step < (index & -index):
            total += self._tree[index - step]
            step <<= 1
        self._heights.append(height)
        self._tree.append(total)

    def set(self, position: int, height: int) -> None:
        """Change the height of one item."""
        change = height - self._heights[position]
        if not change:
            return
        self._heights[position] = height
        index = position + 1
        while index < len(self._tree):
            self._tree[index] += change
            index += index & -index

    def before(self, position: int) -> int:
        """Return the height of all items in front of `position`."""
        total = 0
        index = position
        while index:
            total += self._tree[index]
            index &= index - 1
        return total

    @property
    def total(self) -> int:
        """The height of all items."""
        return self.before(len(self._heights))

    def find(self, line: int) -> tuple[int, int]:
        """Return the position of the item that holds `line`, and the line's offset in it.

        Items without height hold no line. Raises `IndexError` where there is no such line.
        """
        if line < 0 or line >= self.total:
            raise IndexError(f"no item holds line {line}; there are {self.total}")
        position = 0
        step = 1 << len(self._heights).bit_length()
        while step:
            after = position + step
            if after < len(self._tree) and self._tree[after] <= line:
                position = after
                line -= self._tree[after]
            step >>= 1
        return position, line
