"""Object storage over a network: a lean protocol between the servers of one cluster, its server and its client."""
