"""The pages that people see: a login, and what became of it. No script, no picture; a label for every field."""

from __future__ import annotations

import html

from pileus.services.identity.federation.websso import headers

__all__ = ["device", "headers", "login", "said"]

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; background: #fff; color: #111; }
main { max-width: 22rem; margin: 10vh auto; padding: 0 1rem; }
label { display: block; margin-top: 1rem; }
input { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem; border: 1px solid #555; }
button { margin-top: 1.5rem; font: inherit; padding: .5rem 1.5rem; }
[role=alert] { color: #a40000; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #eee; } input { background: #222; color: #eee; } [role=alert] { color: #ff9a9a; }
}
"""


def _page(title: str, body: str) -> bytes:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{html.escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    ).encode()


def _fields(domain: str, name: str) -> str:
    return (
        f'<label for="username">User name</label>\n<input id="username" name="username" value="{html.escape(name)}" '
        'autocomplete="username" required autofocus>\n'
        f'<label for="domain">Domain</label>\n<input id="domain" name="domain" value="{html.escape(domain)}" '
        "required>\n"
        '<label for="password">Password</label>\n<input id="password" name="password" type="password" '
        'autocomplete="current-password" required>\n'
        '<label for="passcode">One-time passcode, if you use one</label>\n<input id="passcode" name="passcode" '
        'inputmode="numeric" autocomplete="one-time-code">\n'
    )


def _alert(problem: str | None) -> str:
    return f'<p role="alert">{html.escape(problem)}</p>\n' if problem else ""


def login(
    request: str, client: str, problem: str | None = None, *, domain: str = "Default", name: str = ""
) -> bytes:
    """Asks who it is, on behalf of a client; `request` comes back as it is."""
    return _page(
        "Log in",
        f"<p>You are logging in to <strong>{html.escape(client)}</strong>.</p>\n{_alert(problem)}"
        f'<form method="post">\n<input type="hidden" name="request" value="{html.escape(request)}">\n'
        f'{_fields(domain, name)}<button type="submit">Log in</button>\n</form>',
    )


def device(code: str, problem: str | None = None, *, domain: str = "Default", name: str = "") -> bytes:
    """Asks for the code that a device shows, and who it is."""
    return _page(
        "Log in a device",
        "<p>Go on only if you have just started this login yourself, and your device shows this code.</p>\n"
        f'{_alert(problem)}<form method="post">\n<label for="user_code">Code</label>\n'
        f'<input id="user_code" name="user_code" value="{html.escape(code)}" autocomplete="off" required>\n'
        f'{_fields(domain, name)}<button type="submit">Log in</button>\n</form>',
    )


def said(title: str, text: str) -> bytes:
    """Says how it went."""
    return _page(title, f"<p>{html.escape(text)}</p>")
