"""Synthetic persons, their biographies and the questions about them (science §1)."""
