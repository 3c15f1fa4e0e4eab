"""The extensions of Neutron's API that are served, each whole. What is not in this list is not there."""

from __future__ import annotations

from typing import Final

import msgspec


class Extension(msgspec.Struct, frozen=True):
    alias: str
    name: str
    updated: str
    description: str
    links: tuple[str, ...] = ()


EXTENSIONS: Final = (
    Extension(
        "agent",
        "agent",
        "2013-02-03T10:00:00-00:00",
        "What runs on hosts for the network, and whether it lives.",
    ),
    Extension(
        "allowed-address-pairs",
        "Allowed Address Pairs",
        "2013-07-23T10:00:00-00:00",
        "More addresses that a port may use.",
    ),
    Extension(
        "availability_zone", "Availability Zone", "2015-01-01T10:00:00-00:00", "The zones that hosts are in."
    ),
    Extension(
        "binding",
        "Port Binding",
        "2014-02-03T10:00:00-00:00",
        "The host of a port, and how it is plugged there.",
    ),
    Extension(
        "default-subnetpools",
        "Default Subnetpools",
        "2016-02-18T18:00:00-00:00",
        "Subnets are taken from a pool without naming it.",
    ),
    Extension(
        "dns-domain-ports", "dns_domain for ports", "2017-04-24T10:00:00-00:00", "A port's own DNS domain."
    ),
    Extension(
        "dns-integration",
        "DNS Integration",
        "2015-08-15T18:00:00-00:00",
        "Names of ports, networks and floating IPs.",
    ),
    Extension(
        "empty-string-filtering",
        "Empty String Filtering Extension",
        "2018-05-01T10:00:00-00:00",
        "Lists narrowed to what has no name, no device and so on.",
    ),
    Extension(
        "ext-gw-mode",
        "Neutron L3 Configurable external gateway mode",
        "2013-03-28T10:00:00-00:00",
        "Source NAT at a router's gateway, on or off.",
    ),
    Extension(
        "external-net", "Neutron external network", "2013-01-14T10:00:00-00:00", "Networks that lead outside."
    ),
    Extension(
        "extra_dhcp_opt",
        "Neutron Extra DHCP options",
        "2013-03-17T12:00:00-00:00",
        "DHCP options of single ports.",
    ),
    Extension("extraroute", "Neutron Extra Route", "2013-02-01T10:00:00-00:00", "Static routes of routers."),
    Extension(
        "extraroute-atomic",
        "Atomically add/remove extra routes",
        "2019-07-10T00:00:00+00:00",
        "Static routes added and removed one by one.",
    ),
    Extension(
        "filter-validation",
        "Filter parameters validation",
        "2018-07-04T10:00:00-00:00",
        "Unknown filters are errors.",
    ),
    Extension(
        "fip-port-details",
        "Floating IP Port Details Extension",
        "2018-04-09T10:00:00-00:00",
        "A floating IP shows the port that it leads to.",
    ),
    Extension(
        "ip-substring-filtering",
        "IP address substring filtering",
        "2017-11-28T09:00:00-00:00",
        "Ports found by a part of their address.",
    ),
    Extension(
        "ip_allocation", "IP Allocation", "2016-06-10T23:00:00-00:00", "Whether a port has got addresses."
    ),
    Extension("net-mtu", "Network MTU", "2015-03-25T10:00:00-00:00", "The MTU of a network."),
    Extension(
        "net-mtu-writable",
        "Network MTU (writable)",
        "2017-07-12T00:00:00-00:00",
        "The MTU of a network can be chosen.",
    ),
    Extension(
        "network-ip-availability",
        "Network IP Availability",
        "2015-09-24T00:00:00-00:00",
        "How many addresses of a network are taken.",
    ),
    Extension(
        "network_availability_zone",
        "Network Availability Zone",
        "2015-01-01T10:00:00-00:00",
        "The zones of a network.",
    ),
    Extension("pagination", "Pagination support", "2016-06-12T00:00:00-00:00", "Lists by pages."),
    Extension(
        "port-mac-address-regenerate",
        "Neutron Port MAC address regenerate",
        "2018-05-03T10:00:00-00:00",
        "A port gets another MAC address when its own is set to null.",
    ),
    Extension(
        "port-security",
        "Port Security",
        "2012-07-23T10:00:00-00:00",
        "Protection against forged addresses, on or off.",
    ),
    Extension(
        "port-security-groups-filtering",
        "Port filtering on security groups",
        "2018-01-09T09:00:00-00:00",
        "Ports found by their security group.",
    ),
    Extension(
        "project-id", "project_id field enabled", "2016-09-09T09:09:09-09:09", "project_id beside tenant_id."
    ),
    Extension(
        "provider",
        "Provider Network",
        "2012-09-07T10:00:00-00:00",
        "What a network runs on, for administrators.",
    ),
    Extension(
        "quota-check-limit",
        "Quota engine limit check",
        "2021-09-08T16:00:00-00:00",
        "Limits are not set below what is used.",
    ),
    Extension(
        "quota-check-limit-default",
        "Quota engine limit check by default",
        "2024-03-21T12:00:00-00:00",
        "That check is made unless the client forces the limit.",
    ),
    Extension(
        "quota_details",
        "Quota details management support",
        "2017-02-10T10:00:00-00:00",
        "Limits together with what is used.",
    ),
    Extension("quotas", "Quota management support", "2012-07-29T10:00:00-00:00", "Limits of projects."),
    Extension(
        "revision-if-match",
        "If-Match constraints based on revision_number",
        "2016-12-11T00:00:00-00:00",
        "Changes that hold only for the revision that was seen.",
    ),
    Extension("router", "Neutron L3 Router", "2012-07-20T10:00:00-00:00", "Routers and floating IPs."),
    Extension(
        "router_availability_zone",
        "Router Availability Zone",
        "2015-01-01T10:00:00-00:00",
        "The zones of a router.",
    ),
    Extension("security-group", "security-group", "2012-10-05T10:00:00-00:00", "Who may talk to a port."),
    Extension(
        "security-groups-normalized-cidr",
        "Normalized CIDR field for security group rules",
        "2020-07-28T10:00:00-00:00",
        "The prefix of a rule without bits of a host.",
    ),
    Extension(
        "service-type",
        "Neutron Service Type Management",
        "2013-01-20T00:00:00-00:00",
        "What provides a kind of service.",
    ),
    Extension(
        "sort-key-validation",
        "Sort keys validation",
        "2018-07-04T10:00:00-00:00",
        "Unknown sort keys are errors.",
    ),
    Extension(
        "sorting",
        "Sorting support",
        "2016-06-12T00:00:00-00:00",
        "Lists in an order that the client chooses.",
    ),
    Extension(
        "standard-attr-description",
        "standard-attr-description",
        "2016-02-10T10:00:00-00:00",
        "A description on every resource.",
    ),
    Extension(
        "standard-attr-revisions",
        "Resource revision numbers",
        "2016-04-11T10:00:00-00:00",
        "A number that grows with every change of a resource.",
    ),
    Extension(
        "standard-attr-tag",
        "Tag support for resources with standard attribute: port, subnet, subnetpool, network, router, "
        "floatingip, security_group",
        "2017-01-01T00:00:00-00:00",
        "Free words on resources.",
    ),
    Extension(
        "standard-attr-timestamp",
        "Resource timestamps",
        "2016-09-12T10:00:00-00:00",
        "When a resource was made and last changed.",
    ),
    Extension(
        "stateful-security-group",
        "Stateful security group",
        "2019-11-26T09:00:00-00:00",
        "Security groups without connection tracking.",
    ),
    Extension(
        "subnet-dns-publish-fixed-ip",
        "Subnet DNS publish fixed IP",
        "2019-05-24T10:00:00-00:00",
        "Whether fixed addresses are published in DNS.",
    ),
    Extension(
        "subnet-external-network",
        "Subnet belongs to an external network",
        "2024-02-05T18:00:00-00:00",
        "A subnet tells whether its network leads outside.",
    ),
    Extension(
        "subnet-service-types",
        "Subnet service types",
        "2016-03-15T18:00:00-00:00",
        "Subnets for certain kinds of devices.",
    ),
    Extension(
        "subnet_allocation",
        "Subnet Allocation",
        "2015-03-30T10:00:00-00:00",
        "Pools that subnets are taken from.",
    ),
    Extension(
        "subnetpool-prefix-ops",
        "Subnet Pool Prefix Operations",
        "2019-02-08T10:00:00-00:00",
        "Prefixes added to pools and removed from them one by one.",
    ),
    Extension(
        "tag-creation", "Tag creation extension", "2024-07-23T10:00:00-00:00", "Several tags added at once."
    ),
    Extension(
        "tag-ports-during-bulk-creation",
        "Tag Ports During Bulk Creation",
        "2019-12-29T19:00:00-00:00",
        "Ports are made with their tags.",
    ),
)
