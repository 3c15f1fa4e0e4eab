"""The API's versions (Placement's REST API version history)."""

from __future__ import annotations

from pileus.kernel.api.versions import Version, Versions


class V(Versions):
    service_type = "placement"

    BASE = Version("1.0", "Resource providers, their inventories and usages, and allocations.")
    AGGREGATES = Version("1.1", "Providers belong to aggregates.")
    CUSTOM_CLASSES = Version("1.2", "Resource classes, among them custom ones.")
    MEMBER_OF = Version("1.3", "Providers are listed by aggregate.")
    LISTED_BY_ROOM = Version("1.4", "Providers are listed by the resources that they have free.")
    DELETE_INVENTORIES = Version("1.5", "All inventories of a provider are deleted at once.")
    TRAITS = Version("1.6", "Traits, among them custom ones, and the traits of providers.")
    PUT_CLASS_CREATES = Version(
        "1.7", "PUT of a resource class makes it where there is none, and renames no more."
    )
    PROJECT_AND_USER = Version("1.8", "Allocations name the project and the user they are for.")
    USAGES = Version("1.9", "Usages of a project, or of one of its users.")
    CANDIDATES = Version("1.10", "Allocation candidates.")
    ALLOCATIONS_LINK = Version("1.11", "Providers link to their allocations.")
    ALLOCATIONS_BY_PROVIDER = Version("1.12", "Allocations are written as they are read, by provider.")
    POST_ALLOCATIONS = Version("1.13", "Allocations of several consumers are set at once.")
    TREES = Version("1.14", "Providers have parents, and are listed by tree.")
    CACHE_HEADERS = Version(
        "1.15", "Answers say when they were last modified, and that they must not be cached."
    )
    LIMIT = Version("1.16", "Candidates are limited in number.")
    CANDIDATE_TRAITS = Version("1.17", "Candidates are asked for by trait, and show traits.")
    LISTED_BY_TRAIT = Version("1.18", "Providers are listed by trait.")
    AGGREGATE_GENERATION = Version("1.19", "Aggregates of a provider are guarded by its generation.")
    POST_SHOWS_PROVIDER = Version("1.20", "POST of a provider answers with it.")
    CANDIDATE_MEMBER_OF = Version("1.21", "Candidates are asked for by aggregate.")
    FORBIDDEN_TRAITS = Version("1.22", "Traits may be forbidden.")
    ERROR_CODES = Version("1.23", "Errors have a code.")
    REPEATED_MEMBER_OF = Version("1.24", "member_of may be repeated, and all must hold.")
    GROUPS = Version("1.25", "Candidates are asked for in numbered groups.")
    ALL_RESERVED = Version("1.26", "Inventories may be reserved as a whole.")
    WHOLE_SUMMARIES = Version("1.27", "Summaries of providers show all of their resources.")
    CONSUMER_GENERATION = Version("1.28", "Allocations are guarded by the generation of their consumer.")
    CANDIDATE_TREES = Version("1.29", "Candidates combine providers of one tree.")
    RESHAPER = Version("1.30", "Inventories and allocations move between providers at once.")
    CANDIDATE_IN_TREE = Version("1.31", "Candidates are asked for by tree.")
    FORBIDDEN_AGGREGATES = Version("1.32", "Aggregates may be forbidden.")
    GROUP_NAMES = Version("1.33", "Groups have names instead of numbers.")
    MAPPINGS = Version("1.34", "Candidates say which providers meet which group.")
    ROOT_REQUIRED = Version("1.35", "Candidates are asked for by traits of the tree's root.")
    SAME_SUBTREE = Version("1.36", "Groups are met from one subtree.")
    REPARENT = Version("1.37", "Providers change their parent, or lose it.")
    CONSUMER_TYPES = Version("1.38", "Consumers have a type.")
    ANY_TRAITS = Version("1.39", "One of several traits is enough, and required may be repeated.")
