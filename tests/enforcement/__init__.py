"""Proof that a command which runs as one that only reads changes nothing, reaches nothing and reads no secret."""
