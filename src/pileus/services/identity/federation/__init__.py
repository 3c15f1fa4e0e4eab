"""Users of other identity providers: what is trusted, what their assertions mean here, who they are here."""
