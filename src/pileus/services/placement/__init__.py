"""Placement: the Placement API, 1.0 to 1.39. README.md says what is here and what is not."""
