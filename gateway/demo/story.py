"""The whole story, once: one dataset, one request, one release, one proof. Over HTTP, in a demo home.

Each step is a function named for what it shows; a step that does not hold raises, and the story ends there with exit 1.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq

from gateway import accounts
from gateway.demo.errors import StoryError
from gateway.demo.people import COMPANY, HOSPITAL, PASSWORD, STAFF, UNIVERSITY, Keyring, Someone, papers
from gateway.demo.proof import prove
from gateway.env import Env
from gateway.machine import SystemRandomness
from gateway.settings import Settings

PURPOSE = {
    "term": "DS",
    "diseases": ["I45"],
    "commercial": False,
    "not_for_profit": True,
    "joint_research": "no",
    "fee": "none",
    "text": "Modifiers of penetrance in inherited arrhythmia",
}
ETHICS = {"number": "HREC-2026-118", "valid_to": "2028-12-31"}
WAIT_SECONDS = 120


def check(truth: object, what: str) -> None:
    """End the story when something it tells is not so."""
    if not truth:
        raise StoryError(what)


class Story:
    """Carries what one step leaves for the next."""

    def __init__(self, env: Env, settings: Settings, client: httpx2.Client, cohort: Path) -> None:
        self.env, self.settings, self.client, self.cohort = env, settings, client, cohort
        self.people: dict[str, Someone] = {}
        self.ids: dict[str, str] = {}
        self.views: dict[str, str] = {}
        self.keys = Keyring.make(SystemRandomness())
        self.steps: list[dict[str, Any]] = []
        self.kept: dict[str, Any] = {}

    def tell(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Run every step; the summary that the demo prints last."""
        began = time.monotonic()
        parts = (
            ("people and roles", self.people_and_roles),
            ("dataset", self.dataset),
            ("application on hold", self.application),
            ("approved, frozen, filed, granted", self.approval),
            ("release", self.release),
            ("not permitted", self.refusals),
            ("withdrawal and revocation", self.withdrawal),
            ("proof", self.proof),
        )
        for name, step in parts:
            start = time.monotonic()
            try:
                said, held = step(), True
            except (StoryError, httpx2.HTTPError, OSError, KeyError, ValueError) as error:
                said, held = f"{type(error).__name__}: {error}", False
            self.steps.append({"name": name, "ok": held, "seconds": round(time.monotonic() - start, 2)})
            say(f"{'✓' if held else '✗'} {name}: {said}")
            if not held:
                break
        return self._summary(time.monotonic() - began)

    def people_and_roles(self) -> str:
        """Two founders; everybody else by two people."""
        founders = [self._founder("first.operator", "it"), self._founder("second.operator", "security")]
        hospital, _ = accounts.found(self.env, institution=HOSPITAL, founders=founders)
        self.ids["hospital"] = hospital
        first, second = (self._enter(f"{n}.operator", "mainland") for n in ("first", "second"))
        for key, body in (("university", UNIVERSITY), ("company", COMPANY)):
            self.ids[key] = first.post("/institutions", body)["id"]
            second.post(f"/confirmations/institution/{self.ids[key]}")
        outside = (("researcher", "researcher", "cardiology"), ("company.researcher", "researcher", "r and d"))
        for login, role, unit in (*STAFF, *outside):
            home = {"researcher": "university", "company.researcher": "company"}.get(login, "hospital")
            self._add_person(first, second, (login, role, unit), self.ids[home])
        refused = first.client.post(f"/confirmations/person/{self.people['researcher'].person}", headers=first.headers)
        check(refused.status_code in {403, 409}, "a proposer could confirm")
        return f"{len(self.people)} people, every one but the founders added by two"

    def dataset(self) -> str:
        """Scan, add, confirm."""
        custodian, steward = self.people["custodian"], self.people["data.steward"]
        found = custodian.post("/datasets/scan", {"root": str(self.cohort)})
        kinds = sorted({entry["kind"] for entry in found["files"]})
        added = custodian.post("/datasets", {"root": str(self.cohort)})
        self.ids["dataset"] = added["id"]
        self.views = {view["name"]: view["id"] for view in added["views"]}
        custodian.post(f"/datasets/{added['id']}/confirmation", expect=(403,))
        steward.post(f"/datasets/{added['id']}/confirmation")
        label = added["views"][0]["label"]
        return f"{len(found['files'])} files ({', '.join(kinds)}), label {label['grade']}, confirmed by a second person"

    def application(self) -> str:
        """Sign in, register keys, apply; the answer is a hold that names everything missing."""
        researcher = self.people["researcher"]
        self.keys.register(researcher)
        shown = self._apply(researcher, PURPOSE, ["cohort-variants", "phenotypes"])
        self.ids["item"] = shown["items"][0]["id"]
        answer = next(iter(shown["decisions"][self.ids["item"]].values()))
        rules = {reason["rule"] for reason in answer["reasons"]}
        check(answer["decision"] == "hold", f"expected hold, got {answer['decision']}: {sorted(rules)}")
        missing = {"GW-08", "BKP-02", "HGR-10", "XB-02", "PI-05", "PI-12", "GW-10"}
        check(rules == missing, f"the hold lists {sorted(rules)}")
        check(all(reason["cite"] for reason in answer["reasons"]), "a reason has no citation")
        return "hold: " + "; ".join(f"{r['rule']} {r['title']['en']}" for r in answer["reasons"])

    def approval(self) -> str:
        """Two units approve, the package is frozen, filings are recorded, the grant is issued."""
        item = self.ids["item"]
        for login in ("data.steward", "genetics.steward"):
            self.people[login].post(f"/items/{item}/approvals")
        package = self.people["data.steward"].post(f"/items/{item}/package")
        for paper in papers(package, self.ids["university"]):
            self.people["report.filer"].post("/filings", {"dataset_id": self.ids["dataset"], **paper})
        now = datetime.now(UTC)
        grant = self.people["data.steward"].post(
            f"/items/{item}/grant",
            {
                "valid_from": (now - timedelta(minutes=1)).isoformat(),
                "valid_to": (now + timedelta(days=90)).isoformat(),
                "releases": 10,
                "encryption_key_id": self.keys.encryption_id,
                "signing_key_id": self.keys.signing_id,
            },
        )
        self.ids["grant"] = grant["id"]
        self.kept["people"] = package["people"]
        return f"package of {package['people']} people frozen and filed, grant until {grant['valid_to'][:10]}"

    def release(self) -> str:
        """Request, wait, fetch, break off, resume, open."""
        variants, table = self._ask("cohort-variants"), self._ask("phenotypes")
        sealed = self._fetch_broken(variants, self._files(variants)[0])
        text = gzip.decompress(self.keys.open(sealed)).decode()
        samples = next(line for line in text.splitlines() if line.startswith("#CHROM")).split("\t")[9:]
        check(len(samples) == self.kept["people"], f"{len(samples)} samples for {self.kept['people']} people")
        # With their separators, which no pseudonym has: three bare letters stand in one of 190 pseudonyms by chance.
        named = [name for name in ("SZH-", "SZH_", "SZH core", "bcftools") if name in text]
        check(not named, "a source name is in the copy")
        rows = pq.read_table(io.BytesIO(self.keys.open(self._fetch(table, self._files(table)[0]))))
        check(set(rows.column("participant_id").to_pylist()) <= set(samples), "the two views use different pseudonyms")
        self.kept |= {"variants": variants, "samples": set(samples)}
        self.kept["receipt"] = self.people["researcher"].get(f"/releases/{variants}/receipt").content
        sites = sum(not line.startswith("#") for line in text.splitlines())
        return f"{len(samples)} people, {sites} sites, {rows.num_rows} table rows; broken off and resumed"

    def refusals(self) -> str:
        """Deny by purpose, deny by tier, hold for a foreign-controlled company, and a refused act."""
        researcher, company = self.people["researcher"], self.people["company.researcher"]
        commercial = {**PURPOSE, "commercial": True, "not_for_profit": False, "text": "A test to be sold"}
        other = self._apply(researcher, commercial, ["cohort-variants"])["items"][0]["id"]
        raw = self._apply(researcher, PURPOSE, ["raw-reads"])["items"][0]["id"]
        firm = self._apply(company, PURPOSE, ["cohort-variants"])["items"][0]["id"]
        answers = [
            self._refused(researcher, other, "cohort-variants", "deny", "PI-09"),
            self._refused(researcher, raw, "raw-reads", "deny", "DEI-01"),
            self._refused(company, firm, "cohort-variants", "hold", "HGR-10"),
        ]
        researcher.post(f"/items/{other}/approvals", expect=(403,))
        self.kept["refusals"] = len(answers)
        return "; ".join([*answers, "approving one's own application: refused (GW-20)", self._optional_pack()])

    def _optional_pack(self) -> str:
        """Two operators switch the trusted-institution pack on, whose rules then judge, and off again."""
        first, second = self.people["first.operator"], self.people["second.operator"]
        versions = []
        for packs in (["trusted-institutions"], []):
            row = first.post("/policy/activations", {"packs": packs})
            first.post(f"/policy/activations/{row['id']}/confirmation", expect=(403,))
            second.post(f"/policy/activations/{row['id']}/confirmation", expect=(200,))
            claims = {"trust": {"claimed": "yes"}}
            answer = second.post("/policy/explain", claims, expect=(200,))
            judged = any(reason["rule"].startswith("TRI-") for reason in answer["reasons"])
            check(judged == bool(packs), f"packs {packs}: TRI rules judge: {judged}")
            versions.append(row["policy_version"])
        check(versions[0] != versions[1], "another pack, the same version")
        return "trusted-institution pack on and off again by two people"

    def withdrawal(self) -> str:
        """A participant withdraws, the copies die, the successor leaves them out; then the grant is revoked."""
        researcher, custodian = self.people["researcher"], self.people["custodian"]
        name = self._files(self.kept["variants"])[0]["name"]
        link = f"/releases/{self.kept['variants']}/files/{name}"
        gone = custodian.post(f"/datasets/{self.ids['dataset']}/withdrawals", {"participant": "SZH-00100"})
        check(self.kept["variants"] in gone["contained_in"], "the past release is not listed")
        answer = researcher.get(link, Range="bytes=100-")
        check(answer.status_code == 410, f"resume answered {answer.status_code}")
        successor = answer.json()["successor"]
        self._wait(researcher, successor, "available")
        entry = self._files(successor)[0]
        text = gzip.decompress(self.keys.open(self._fetch(successor, entry))).decode()
        samples = next(line for line in text.splitlines() if line.startswith("#CHROM")).split("\t")[9:]
        check(len(samples) == self.kept["people"] - 1 and set(samples) < self.kept["samples"], "not left out")
        link = f"/releases/{successor}/files/{entry['name']}"
        check(researcher.get(link, Range="bytes=0-99").status_code == 206, "the link did not work")
        self.people["data.steward"].post(f"/grants/{self.ids['grant']}/revocation")
        began = time.monotonic()
        status = researcher.get(link, Range="bytes=0-99").status_code
        check(status == 403 and time.monotonic() - began < 1, f"after revocation the link answered {status}")
        return f"410 with successor, {len(samples)} people in it; grant revoked: 403 within a second"

    def proof(self) -> str:
        """The ledger, proven from outside; a flipped byte and a rewritten log are both found."""
        self.kept["ledger"], said = prove(self.env, self.settings, self.kept["receipt"])
        return said

    def _summary(self, seconds: float) -> dict[str, Any]:
        rows = self.env.uow.read(lambda tx: tx.find("release"))
        opened = [row for row in rows if row["opened_entry"] is not None]
        members = {
            member["participant_id"]
            for row in opened
            for member in self.env.uow.read(
                lambda tx, core=row["core_view_id"]: tx.find("core_member", core_view_id=core)  # type: ignore[misc]
            )
        }
        return {
            "ok": len(self.steps) == 8 and all(step["ok"] for step in self.steps),
            "steps": self.steps,
            "releases": len(opened),
            "refusals": sum(row["state"] == "refused" for row in rows),
            "participants_released": len(members),
            "ledger": self.kept.get("ledger", {"size": 0, "root": "", "verified": False}),
            "seconds": round(seconds, 1),
        }

    def _founder(self, login: str, unit: str) -> accounts.NewPerson:
        return accounts.NewPerson(
            login=login, name=login, institution_id="", unit=unit, foreign_individual="no", password=PASSWORD
        )

    def _enter(self, login: str, place: str) -> Someone:
        self.people[login] = Someone(self.client, login).sign_in(place)
        return self.people[login]

    def _add_person(self, first: Someone, second: Someone, who: tuple[str, str, str], institution: str) -> None:
        login, role, unit = who
        body = {"login": login, "name": login, "institution_id": institution, "unit": unit, "password": PASSWORD}
        person = first.post("/people", {**body, "foreign_individual": "no", "identity_document": f"DEMO-{login}"})["id"]
        second.post(f"/confirmations/person/{person}")
        given = first.post("/roles", {"person_id": person, "role": role, "unit": unit})["id"]
        second.post(f"/confirmations/role/{given}")
        self._enter(login, "hong_kong" if institution == self.ids["university"] else "mainland")

    def _apply(self, someone: Someone, purpose: dict[str, Any], views: list[str]) -> Any:
        items = [{"dataset_id": self.ids["dataset"], "views": [self.views[name] for name in views]}]
        evidence = {"ethics": ETHICS, "terms_accepted": True}
        return someone.post("/applications", {"purpose": purpose, "evidence": evidence, "items": items})

    def _ask(self, view: str) -> str:
        body = {"item_id": self.ids["item"], "view_id": self.views[view]}
        release = str(self.people["researcher"].post("/releases", body, expect=(202,))["id"])
        self._wait(self.people["researcher"], release, "available")
        return release

    def _wait(self, someone: Someone, release: str, state: str) -> dict[str, Any]:
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            row: dict[str, Any] = someone.get(f"/releases/{release}").json()
            if row["state"] == state:
                return row
            if row["state"] in {"refused", "failed", "closed"}:
                rules = [reason["rule"] for reason in (row["decision"] or {}).get("reasons", [])]
                raise StoryError(f"release is {row['state']}: {rules} {row['trouble']}")
            time.sleep(0.1)
        raise StoryError(f"release did not become {state}: {row['state']} {row['trouble']}")

    def _refused(self, someone: Someone, item: str, view: str, outcome: str, rule: str) -> str:
        body = {"item_id": item, "view_id": self.views[view]}
        release = someone.post("/releases", body, expect=(202,))["id"]
        row = self._wait(someone, release, "refused")
        rules = [reason["rule"] for reason in row["decision"]["reasons"]]
        check(row["outcome"] == outcome and rule in rules, f"{view}: {row['outcome']} {rules}")
        return f"{outcome} by {rule} ({len(rules)} reasons)"

    def _files(self, release: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.people["researcher"].get(f"/releases/{release}/files").json()
        return found

    def _fetch(self, release: str, entry: dict[str, Any]) -> bytes:
        answer = self.people["researcher"].get(f"/releases/{release}/files/{entry['name']}")
        check(answer.status_code == 200, f"fetch answered {answer.status_code}")
        return answer.content

    def _fetch_broken(self, release: str, entry: dict[str, Any]) -> bytes:
        """Read a part, break the connection, go on from there by Range under the same ETag."""
        link, someone = f"/releases/{release}/files/{entry['name']}", self.people["researcher"]
        with self.client.stream("GET", link, headers=someone.headers) as answer:
            check(answer.status_code == 200, f"fetch answered {answer.status_code}")
            part = next(answer.iter_bytes(200_000))
            etag = answer.headers["ETag"]
        rest = someone.get(link, **{"Range": f"bytes={len(part)}-", "If-Range": etag})
        check(rest.status_code == 206, f"resume answered {rest.status_code}")
        check(len(part) + len(rest.content) == entry["size"], "the parts do not make the whole")
        return part + rest.content
