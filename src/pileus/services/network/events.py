"""What others may hear of: the life of networks, ports, routers and floating IPs, in the transaction that leads it."""
