"""Image: Glance's v2 API. README.md says what is here and what is not."""
