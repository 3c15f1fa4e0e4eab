"""Objects over a ring of devices: replicas, quorums, and the passes that make replicas agree."""
