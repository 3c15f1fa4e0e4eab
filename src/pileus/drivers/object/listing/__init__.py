"""Accounts and containers as SQLite files."""
