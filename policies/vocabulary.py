"""The words of the field as closed sets. A word that is not here is unknown, and unknown is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Tier(StrEnum):
    """How data may be reached (GB/T 37964-2019 3.12 to 3.14, with a registered tier between open and controlled)."""

    OPEN = "open"
    REGISTERED = "registered"
    CONTROLLED = "controlled"
    ENCLAVE = "enclave"


class DataKind(StrEnum):
    """What a view holds."""

    VCF = "vcf"
    READS = "reads"
    FASTQ = "fastq"
    TABLE = "table"
    MATRIX = "matrix"
    FREQUENCIES = "frequencies"


class Trilean(StrEnum):
    """Yes, no, or nobody knows. Unknown holds; it is never taken for no."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class PartyClass(StrEnum):
    """Recipient classes of the rule catalogue, table 1; UNKNOWN where place or control is not known."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"
    P6 = "P6"
    P7 = "P7"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """What a decision, or one rule, comes to."""

    PERMIT = "permit"
    HOLD = "hold"
    DENY = "deny"
    OBLIGATION = "obligation"


class Action(StrEnum):
    """What is asked. One permit per action in the policy files; every condition is a forbid."""

    APPROVE_TO_FILE = "ApproveToFile"
    GRANT = "Grant"
    RECEIVE_RELEASE = "ReceiveRelease"
    EXPORT_MEDIA = "ExportMedia"
    PUBLISH = "Publish"
    RETURN_TO_OWNER = "ReturnToOwner"
    TRANSIT = "Transit"


GROUPS: Mapping[str, frozenset[Action]] = {
    "Judged": frozenset(
        {Action.APPROVE_TO_FILE, Action.GRANT, Action.RECEIVE_RELEASE, Action.EXPORT_MEDIA, Action.PUBLISH}
    ),
    "Reviewed": frozenset({Action.APPROVE_TO_FILE, Action.GRANT, Action.RECEIVE_RELEASE, Action.EXPORT_MEDIA}),
    "Filed": frozenset({Action.GRANT, Action.RECEIVE_RELEASE, Action.EXPORT_MEDIA}),
    "Leaving": frozenset({Action.RECEIVE_RELEASE, Action.EXPORT_MEDIA, Action.PUBLISH}),
}
"""The groups of actions that policies name, as law/schema.cedarschema declares them."""

NOT_FOREIGN = frozenset({PartyClass.P1, PartyClass.P3})
"""Giving HGR information to these is not 对外提供; to every other class, the unknown included, it is."""

INSIDE_MAINLAND = frozenset({PartyClass.P1, PartyClass.P2})
"""For these personal information stays in the mainland, if it is also accessed there."""
