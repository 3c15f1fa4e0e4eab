"""What a part of a list is, said simply, and any parts that may be asked for."""

from __future__ import annotations

from hypothesis import strategies as st

from pileus.services.object_store.listings import Ask

letters = st.text(alphabet="ab/-é\U0010ffff", min_size=1, max_size=6)


def model(names: set[str], ask: Ask) -> list[str]:
    """What a list is, said simply: folded names end with the delimiter."""
    prefix, delimiter = ask.prefix, ask.delimiter
    if ask.path is not None:
        prefix, delimiter = (ask.path.rstrip("/") + "/" if ask.path else ""), "/"
    found: list[str] = []
    for name in sorted(names, key=str.encode, reverse=ask.reverse):
        if not name.startswith(prefix):
            continue
        low, high = (ask.end_marker, ask.marker) if ask.reverse else (ask.marker, ask.end_marker)
        if (low and name <= low) or (high and name >= high):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        if ask.path is not None:
            if name == prefix or (at >= 0 and len(name) > at + 1):
                continue
        elif at >= 0:
            folder = name[: at + len(delimiter)]
            if not ask.reverse and ask.marker.startswith(folder):
                continue
            name = folder
        if not found or found[-1] != name:
            found.append(name)
    return found[: ask.limit]


asks = st.builds(
    Ask,
    limit=st.integers(0, 12),
    marker=st.one_of(st.just(""), letters),
    end_marker=st.one_of(st.just(""), letters),
    prefix=st.one_of(st.just(""), letters),
    delimiter=st.sampled_from(["", "", "/", "-", "a", "/a"]),
    path=st.one_of(st.none(), st.none(), st.sampled_from(["", "a", "a/b", "/"])),
    reverse=st.booleans(),
)
