"""What the measurements share: a cloud to measure, load from another process, a table of results."""
