"""Object storage on several hosts: storage nodes, and what proxies and nodes reach them by."""
