"""Who may do what: rules in oslo.policy's language, compiled at start, checked in under a microsecond."""

from pileus.kernel.policy.enforcer import Enforcer
from pileus.kernel.policy.language import PolicyError
from pileus.kernel.policy.overrides import parse_overrides
from pileus.kernel.policy.rule import Rule

__all__ = ["Enforcer", "PolicyError", "Rule", "parse_overrides"]
