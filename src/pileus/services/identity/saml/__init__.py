"""SAML 2.0 between clouds: assertions that ours makes for others, and those of others that it takes.

Needs `signxml`, which comes with `pip install pileus[saml]`.
"""
