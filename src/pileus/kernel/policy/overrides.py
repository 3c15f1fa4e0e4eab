"""An operator's policy file: rules by name, in YAML or JSON, as the `policy.yaml` of upstream's services."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from pileus.kernel.policy.language import PolicyError

Overrides: TypeAlias = dict[str, str | list[str | list[str]]]


def parse_overrides(text: str | bytes, source: str = "policy file") -> Overrides:
    """The rules that a policy file sets; an empty one sets none.

    `source` names the file in errors. Raises PolicyError when it is neither YAML nor JSON, or when a rule
    is neither text nor a list of lists.
    """
    raw = text.encode() if isinstance(text, str) else text
    try:
        if raw.lstrip().startswith(b"{"):
            # Reading YAML imports a library; JSON does not.
            return msgspec.json.decode(raw, type=Overrides)
        _refuse_bare_bang(raw, source)
        return msgspec.yaml.decode(raw, type=Overrides | None) or {}
    except msgspec.DecodeError as error:
        raise PolicyError(f"{source}: {error}. It must map names of rules to their texts") from None


def _refuse_bare_bang(raw: bytes, source: str) -> None:
    """To YAML an unquoted `!` is a tag on nothing: "nobody" would be read as "", which is "anybody"."""
    import yaml

    try:
        for event in yaml.parse(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.ScalarEvent) and event.tag == "!":
                raise PolicyError(f'{source}: line {event.start_mark.line + 1}: put quotes around "!"')
    except yaml.YAMLError as error:
        raise PolicyError(f"{source}: {error}") from None
