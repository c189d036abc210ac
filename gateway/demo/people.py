"""The people of the story, and the client each of them uses: plain HTTP, as anybody would."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.crypt4gh import generate_keypair, open_sealed, write_public_key
from gateway.demo.errors import StoryError
from gateway.ports import Randomness

HOSPITAL = {
    "name": {"en": "Shenzhen Harbour Hospital", "zh-Hans": "深圳港湾医院"},
    "place": "mainland",
    "city": "Shenzhen",
    "kind": "hospital",
    "control": {
        "owners": [{"share": 1.0, "place": "mainland"}],
        "restricted": "no",
        "critical_infrastructure": "no",
    },
}
UNIVERSITY = {
    "name": {"en": "Victoria Harbour University", "zh-Hant": "維港大學"},
    "place": "hong_kong",
    "city": "Hong Kong",
    "kind": "academic",
    "control": {"owners": [{"share": 1.0, "place": "hong_kong"}], "restricted": "no"},
}
COMPANY = {
    "name": {"en": "Delta Genomics (Shenzhen) Ltd", "zh-Hans": "三角洲基因（深圳）有限公司"},
    "place": "mainland",
    "city": "Shenzhen",
    "kind": "company",
    "control": {
        "owners": [
            {"share": 0.6, "owners": [{"share": 1.0, "place": "overseas"}]},
            {"share": 0.4, "place": "mainland"},
        ],
        "restricted": "no",
    },
}
STAFF = (
    ("data.steward", "steward", "clinical data centre"),
    ("genetics.steward", "steward", "genetics department"),
    ("custodian", "custodian", "clinical data centre"),
    ("report.filer", "report-filer", "research office"),
)
PASSWORD = "a long demo password"  # noqa: S105  printed for whoever tries the demo


@dataclass(slots=True)
class Someone:
    """A signed-in person with an HTTP client."""

    client: httpx2.Client
    login: str
    person: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def sign_in(self, place: str) -> Someone:
        """Get a bearer token."""
        body = {"login": self.login, "password": PASSWORD, "place_of_access": place}
        answer = self.client.post("/tokens", json=body)
        answer.raise_for_status()
        self.person = answer.json()["person"]
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return self

    def post(self, path: str, body: Any = None, *, expect: tuple[int, ...] = (200, 201, 202, 204)) -> Any:
        """POST and the JSON answer; a status that was not expected ends the story."""
        answer = self.client.post(path, json=body, headers=self.headers)
        if answer.status_code not in expect:
            raise StoryError(f"POST {path} answered {answer.status_code}: {answer.text[:600]}")
        return answer.json() if answer.content else None

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """GET, whatever the status."""
        return self.client.get(path, headers={**self.headers, **headers})


@dataclass(slots=True)
class Keyring:
    """A researcher's own keys; the gateway never sees the private halves."""

    private: bytes
    public: bytes
    signing: Ed25519PrivateKey
    encryption_id: str = ""
    signing_id: str = ""

    @classmethod
    def make(cls, random: Randomness) -> Keyring:
        """Fresh keys."""
        private, public = generate_keypair(random)
        return cls(private=private, public=public, signing=Ed25519PrivateKey.generate())

    def register(self, someone: Someone) -> None:
        """Prove possession of both keys."""
        text = write_public_key(self.public).decode()
        asked = someone.post("/keys/challenges", {"kind": "encryption", "public_key": text})
        nonce = open_sealed(io.BytesIO(base64.b64decode(asked["data"])), self.private).read()
        self.encryption_id = self._answer(someone, asked, nonce)
        verify = base64.b64encode(self.signing.public_key().public_bytes_raw()).decode()
        asked = someone.post("/keys/challenges", {"kind": "signing", "public_key": verify})
        self.signing_id = self._answer(someone, asked, self.signing.sign(base64.b64decode(asked["data"])))

    def open(self, sealed: bytes) -> bytes:
        """What the gateway sealed to this key."""
        return open_sealed(io.BytesIO(sealed), self.private).read()

    @staticmethod
    def _answer(someone: Someone, asked: dict[str, str], answer: bytes) -> str:
        body = {"challenge": asked["challenge"], "answer": base64.b64encode(answer).decode()}
        return str(someone.post("/keys", body)["id"])


def papers(package: Mapping[str, Any], recipient: str | None) -> list[dict[str, Any]]:
    """Every filing of the story for one frozen package and recipient, all synthetic, in the order they are made."""
    contract = {"effective_from": "2026-01-05", "effective_to": "2029-01-04"}
    report = {
        "accepted_on": "2026-01-05",
        "backup": "backup-2026-001",
        "purpose": "Modifiers of penetrance in inherited arrhythmia",
        "information": {"name": "cohort variants", "type": "WGS variants", "quantity": f"{package['people']} people"},
        "risk": "small; the impact assessment has the details",
        "storage_location": "https://data.victoria-harbour.example/intake",
        "package_digest": package["digest"],
        "people": package["people"],
    }
    clauses = ["no re-identification", "no linkage with outside data", "no onward sharing"]
    seals = ["Shenzhen Harbour Hospital", "the recipient"]
    terms: dict[str, dict[str, Any]] = {
        "backup": {
            "accepted_on": "2026-01-05",
            "project_on": "2026-01-02",
            "backup_on": "2026-01-03",
            "linked_on": "2026-01-04",
            "repository": "GVM",
            "accessions": {"cohort.vcf.gz": "GVM000001"},
        },
        "prior-report": report,
        "pia": {"accepted_on": "2026-01-02", "lawful": "consent", "impact": "medium", "measures": "sealed, pseudonyms"},
        "dua": {**contract, "clauses": clauses, "sealed_by": seals},
        "gba-contract": contract,
    }
    return [
        {
            "kind": kind,
            "number": f"{kind}-2026-001",
            "recipient_id": None if kind in {"backup", "pia"} else recipient,
            "terms": body,
        }
        for kind, body in terms.items()
    ]
