"""Request bodies: closed, so that a field nobody expects is refused."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """No unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignIn(Body):
    """Login and password; ``place_of_access`` counts only in a demo home, elsewhere the network decides."""

    login: str
    password: str
    place_of_access: Literal["mainland", "hong_kong", "macau", "overseas"] | None = None


class InstitutionBody(Body):
    """A new institution; ``control`` is its ownership graph and what was checked."""

    name: dict[str, str]
    place: Literal["mainland", "hong_kong", "macau", "overseas"]
    city: str
    kind: Literal["academic", "hospital", "company"]
    control: dict[str, Any]


class PersonBody(Body):
    """A new person with a local account."""

    login: str = Field(max_length=64)
    name: str
    institution_id: str
    unit: str
    foreign_individual: Literal["yes", "no", "unknown"] = "unknown"
    identity_document: str | None = None
    password: str


class RoleBody(Body):
    """A role for a person."""

    person_id: str
    role: str
    unit: str


class RootBody(Body):
    """A source folder on the custodian's side of the gateway."""

    root: str


class ChallengeBody(Body):
    """A public key to be proven."""

    kind: Literal["encryption", "signing"]
    public_key: str = Field(max_length=2000)


class AnswerBody(Body):
    """The answer to a challenge, base64."""

    challenge: str
    answer: str = Field(max_length=2000)


class WantedBody(Body):
    """One dataset of an application."""

    dataset_id: str
    views: list[str]


class ApplicationBody(Body):
    """Purpose, evidence and what is wanted."""

    purpose: dict[str, Any]
    evidence: dict[str, Any]
    items: list[WantedBody] = Field(min_length=1, max_length=20)
    project_id: str | None = None


class FilingBody(Body):
    """One filing with an authority."""

    kind: str
    number: str = Field(max_length=200)
    dataset_id: str
    item_id: str | None = None
    recipient_id: str | None = None
    terms: dict[str, Any] = Field(default_factory=dict)


class GrantBody(Body):
    """Period, quota and keys."""

    valid_from: datetime
    valid_to: datetime
    releases: int = Field(ge=1, le=1000)
    encryption_key_id: str
    signing_key_id: str


class LabelBody(Body):
    """Another label for a view, with the reason."""

    grade: str
    level: int
    tier: str
    reason: str = Field(max_length=400)


class RegradingBody(Body):
    """What changed: a trigger of GB/T 43697, why, and what the trigger asks for."""

    what: str = Field(max_length=40)
    note: str = Field(min_length=1, max_length=400)
    with_views: list[str] = Field(default_factory=list, max_length=20)
    people_now: int = Field(default=0, ge=0)
    notified: str = ""


class ReleaseBody(Body):
    """One view of one item; ``id`` makes the request safe to repeat."""

    item_id: str
    view_id: str
    on_medium: bool = False
    id: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")


class ReturnBody(Body):
    """The originals of one's own dataset, sealed to one's own key; ``id`` makes the request safe to repeat."""

    dataset_id: str
    key_id: str
    id: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")


class DelegationBody(Body):
    """A role lent for one item, from a day to a day, both included."""

    to: str
    role: str
    first_day: date
    last_day: date


class ArrivedFile(Body):
    """One sealed file as it arrived; ``digest`` is BLAKE2b-256, hex, like the ETag."""

    name: str = Field(max_length=255)
    size: int = Field(ge=0)
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class ArrivalBody(Body):
    """The files that arrived and the Ed25519 signature, base64, over ``receipts.arrival_statement``."""

    files: list[ArrivedFile] = Field(max_length=10_000)
    signature: str = Field(max_length=200)


class WithdrawalBody(Body):
    """The custodian's own number of the participant who withdraws."""

    participant: str


class ExplainBody(BaseModel):
    """Sections of facts as ``tongguan schema facts`` documents them, what is asked, and the moment to judge by."""

    # Sections are the other keys; the facts themselves refuse what they do not know.
    model_config = ConfigDict(extra="allow", frozen=True)
    at: datetime | None = None
    action: str | None = None


class ActivationBody(Body):
    """Packs to switch on; the installed rules otherwise."""

    packs: list[str] = Field(default_factory=list, max_length=20)


class SignOffBody(Body):
    """A rule, and what the answer for it rests on."""

    rule: str = Field(max_length=40)
    reason: str = Field(min_length=1, max_length=400)
    packs: list[str] = Field(default_factory=list, max_length=20)


class NoteBody(Body):
    """What the other side is told; ``under`` is the delegation that a substitute acts under."""

    note: str = Field(default="", max_length=2000)
    under: str | None = None


class ApprovalBody(Body):
    """Nothing, or the delegation that a substitute acts under."""

    under: str | None = None


class ReassignBody(Body):
    """Who holds the backups now, and who shall."""

    holder_id: str
    to_id: str
