"""Identity: Keystone's v3 API. README.md says what is here and what is not."""
