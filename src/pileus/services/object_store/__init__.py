"""Object store: Swift's v1 API, and S3's over the same objects. README.md says what is here and what is not."""
