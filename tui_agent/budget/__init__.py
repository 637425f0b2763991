"""What was spent, what the next turn may cost, and the hard limits that are checked before it is sent."""
