"""A real OpenLDAP server from Debian for a test: its own folder, a port on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap3

from pileus.testing.cloud import free_port, until

from .certificates import certify
from .mortal import mortal

SUFFIX = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "of-the-directory"
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "may-look"
CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
argsfile {folder}/args
TLSCertificateFile {folder}/certificate.pem
TLSCertificateKeyFile {folder}/key.pem
TLSCACertificateFile {folder}/authority.pem
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {folder}/data
limits users size=10 size.pr=10 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""
"""Without pages nobody but the administrator gets more than ten entries."""


@dataclass
class Slapd:
    url: str
    process: subprocess.Popen[bytes]
    ldaps: str
    authority: Path
    """Of its certificate, which names 127.0.0.1."""

    def connect(self) -> Any:
        server = ldap3.Server(self.url, get_info=ldap3.NONE)
        return ldap3.Connection(server, ADMIN, ADMIN_PASSWORD, auto_bind=True, raise_exceptions=True)

    def add(self, dn: str, kinds: list[str], **attributes: Any) -> None:
        with self.connect() as connection:
            connection.add(f"{dn},{SUFFIX}", kinds, attributes)

    def lay(self) -> None:
        """The first entries: the root, two branches, who may read."""
        with self.connect() as connection:
            connection.add(SUFFIX, ["dcObject", "organization"], {"dc": "example", "o": "Example"})
        for name in ("Users", "UserGroups"):
            self.add(f"ou={name}", ["organizationalUnit"])
        kinds = ["organizationalRole", "simpleSecurityObject"]
        self.add("cn=reader", kinds, userPassword=READER_PASSWORD)

    def add_person(self, uid: str, password: str, **attributes: Any) -> None:
        values = {"cn": uid, "sn": uid, "userPassword": password, "mail": f"{uid}@example.org"}
        self.add(f"uid={uid},ou=Users", ["inetOrgPerson"], **{**values, **attributes})

    def add_group(self, name: str, *members: str, groups: Sequence[str] = ()) -> None:
        dns = [f"uid={each},ou=Users,{SUFFIX}" for each in members]
        dns += [f"cn={each},ou=UserGroups,{SUFFIX}" for each in groups]
        self.add(f"cn={name},ou=UserGroups", ["groupOfNames"], ou=name, member=dns)

    def change(self, dn: str, **changes: Any) -> None:
        with self.connect() as connection:
            connection.modify(
                f"{dn},{SUFFIX}", {name: [(ldap3.MODIFY_REPLACE, value)] for name, value in changes.items()}
            )

    def remove(self, dn: str) -> None:
        with self.connect() as connection:
            connection.delete(f"{dn},{SUFFIX}")

    def options(self, **more: Any) -> Mapping[str, Any]:
        """What a domain must be configured with."""
        return {
            "url": self.url,
            "user": READER,
            "password": READER_PASSWORD,
            "suffix": SUFFIX,
            "user_id_attribute": "uid",
            "user_name_attribute": "cn",
            "user_enabled_attribute": "employeeType",
            "page_size": 4,
            **more,
        }


@contextmanager
def slapd(folder: Path) -> Iterator[Slapd]:
    """An empty directory with one reader."""
    (folder / "data").mkdir()
    config = folder / "slapd.conf"
    certify("127.0.0.1", folder)
    config.write_text(CONFIG.format(folder=folder, suffix=SUFFIX, admin=ADMIN, password=ADMIN_PASSWORD))
    url, ldaps = (f"{scheme}://127.0.0.1:{free_port()}" for scheme in ("ldap", "ldaps"))
    process = subprocess.Popen(
        mortal(["/usr/sbin/slapd", "-f", config, "-h", f"{url} {ldaps}", "-d", "0"]),
        stderr=subprocess.DEVNULL,
    )
    running = Slapd(url, process, ldaps, folder / "authority.pem")
    try:
        until(lambda: _answers(running), 60, "slapd to answer")
        running.lay()
        yield running
    finally:
        process.kill()
        process.wait()


def _answers(running: Slapd) -> bool:
    from ldap3.core.exceptions import LDAPException

    assert running.process.poll() is None, "slapd has ended"
    try:
        with running.connect():
            return True
    except LDAPException:
        return False
