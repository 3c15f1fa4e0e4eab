"""Objects on disks: small ones packed in volumes, large ones as files."""
