"""Every SQL statement of the service, as functions of a transaction, by noun."""
