"""A small house for tests: a home, its people, a tiny cohort, and the steps of the story as short verbs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from gateway import accounts, applications, datasets, filings, grants, packages, release
from gateway.accounts import NewPerson
from gateway.audit import DatabaseAudit, audit_chain
from gateway.bootstrap import make_home, open_env
from gateway.crypt4gh import generate_keypair, open_sealed, write_public_key
from gateway.demo.people import COMPANY, HOSPITAL, UNIVERSITY, papers
from gateway.demo.story import ETHICS, PURPOSE
from gateway.env import Actor, Env
from gateway.identity.passwords import hash_password
from gateway.ledger import DiskLogFiles, FactIndex
from gateway.ledger.line import Chain, Part
from gateway.ledger.receipt import read_checkpoint
from gateway.record import put_fact
from gateway.settings import Settings
from policies.consent import set_digest

ENGINES: list[Any] = []
"""Engines of the worlds a test made; disposed of after it."""
PASSWORD = "a password for tests"
PEOPLE = 40
PLACES = {"university": "hong_kong", "second": "hong_kong", "company": "mainland", "hospital": "mainland"}
CONSENT = {
    "version": "1", "notice": "N1", "signed_on": "2025-01-02", "purposes": "DS;NCU", "diseases": "I",
    "places": "mainland;hong_kong", "recipient_kinds": "academic;company",
    "named_recipients": "Victoria Harbour University;Second University;Delta Genomics (Shenzhen) Ltd",
    "sensitive": "yes", "provision": "yes", "cross_border": "yes", "return_of_results": "no", "guardian": "no",
    "reconsent_due": "", "withdrawn_on": "",
}  # fmt: skip


hash_once = cache(hash_password)
"""Every person of a test has the one password, hashed in earnest once: argon2 takes a quarter of a second by design."""


class MovableClock:
    """The real time, moved by as much as a test wants."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved


class Random:
    """The system's randomness."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)


@dataclass
class World:
    """Everything a test needs, by short names."""

    env: Env
    settings: Settings
    clock: MovableClock
    people: dict[str, Actor] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    private: dict[str, bytes] = field(default_factory=dict)

    def entries(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Outbox rows, of one type if asked."""
        rows = self.env.uow.read(lambda tx: tx.find("outbox"))
        return [dict(row) for row in rows if kind is None or row["type"] == kind]

    def row(self, table: str, row_id: str) -> dict[str, Any]:
        found = self.env.uow.read(lambda tx: tx.get(table, row_id))
        assert found is not None
        return dict(found)

    def apply(self, who: str = "researcher", views: tuple[str, ...] = ("variants",), **purpose: Any) -> str:
        """An application; its item's id."""
        wanted = applications.Wanted(dataset_id=self.ids["dataset"], views=tuple(self.views[v] for v in views))
        given = applications.Submission(
            purpose={**PURPOSE, **purpose}, evidence={"ethics": ETHICS, "terms_accepted": True}, items=[wanted]
        )
        application = applications.submit(self.env, self.people[who], given)
        return str(applications.show(self.env, self.people[who], application)["items"][0]["id"])

    def granted(self, who: str = "researcher", views: tuple[str, ...] = ("variants",), releases: int = 50) -> str:
        """An item carried up to its grant; the item's id. The grant's is kept under ``grant:<item>``."""
        item = self.apply(who, views)
        for steward in ("steward", "other.steward"):
            applications.approve(self.env, self.people[steward], item)
        package = packages.freeze_package(self.env, self.people["steward"], item)
        self.file(who, package)
        now = self.clock.now()
        terms = grants.GrantTerms(
            valid_from=now - timedelta(minutes=1),
            valid_to=now + timedelta(days=30),
            releases=releases,
            encryption_key_id=self.ids[f"key:{who}"],
            signing_key_id=self.ids[f"signing:{who}"],
        )
        grant = grants.grant(self.env, self.people["steward"], item, terms)
        self.ids[f"grant:{item}"] = grant["id"]
        return item

    def file(self, who: str, package: Any, but: tuple[str, ...] = ()) -> None:
        """Record every filing the story needs for this recipient and package."""
        for paper in papers(package, self.people[who].institution_id):
            if paper["kind"] not in but:
                new = filings.NewFiling(dataset_id=self.ids["dataset"], **paper)
                self.ids[f"filing:{new.kind}:{who}"] = filings.record_filing(self.env, self.people["filer"], new)

    def release(self, item: str, view: str = "variants", who: str = "researcher") -> dict[str, Any]:
        """Ask and carry as far as it goes."""
        row = release.request_release(self.env, self.people[who], item_id=item, view_id=self.views[view])
        return dict(release.advance(self.env, row["id"]))

    def opened(self, released: dict[str, Any], who: str = "researcher", number: int = 0) -> bytes:
        """The plain bytes of a released file, by the recipient's private key."""
        entry = self.row("copy", released["copy_id"])["files"][number]
        with self.env.copies.open(entry["stored"]) as sealed:
            return open_sealed(io.BytesIO(sealed.read()), self.private[who]).read()


def audited(env: Env, home: Path) -> DatabaseAudit:
    """Every row of a house with one log, compared with that log as it lies on disk."""
    files = DiskLogFiles(home / "ledger")
    index = FactIndex(files)
    index.refresh()
    chain = Chain([Part(origin=read_checkpoint(files)[1].origin, start=0, files=files, index=index)])
    return env.uow.read(lambda tx: audit_chain(tx, chain))


def make_world(
    folder: Path, database_url: str = "", *, reached: Callable[[str], None] | None = None, source: Path | None = None
) -> World:
    """A home with people and a confirmed dataset, its filings still to come."""
    settings = Settings(home=folder / "home", database_url=database_url)
    make_home(settings, demo=True)
    clock = MovableClock()
    env, engine = open_env(settings, clock=clock, reached=reached)
    ENGINES.append(engine)
    world = World(env=env, settings=settings, clock=clock)
    with mock.patch.object(accounts, "hash_password", hash_once):
        _people(world)
    root = source or write_source(folder / "source")
    dataset = datasets.add(env, world.people["custodian"], str(root))
    datasets.confirm(env, world.people["steward"], dataset)
    shown = datasets.show(env, world.people["custodian"], dataset)
    world.ids["dataset"] = dataset
    world.views = {view["name"]: view["id"] for view in shown["views"]}
    return world


def reopened(world: World, *, reached: Callable[[str], None] | None = None) -> World:
    """The same home in a fresh set of ports, as after a restart."""
    env, engine = open_env(world.settings, clock=world.clock, reached=reached)
    ENGINES.append(engine)
    return World(
        env=env,
        settings=world.settings,
        clock=world.clock,
        people=world.people,
        ids=world.ids,
        views=world.views,
        private=world.private,
    )


def _people(world: World) -> None:
    env = world.env
    founders = [
        NewPerson(login=f"op{n}", name=f"op{n}", institution_id="", unit=f"u{n}", password=PASSWORD) for n in (1, 2)
    ]
    hospital, (one, two) = accounts.found(env, institution=HOSPITAL, founders=founders)
    first, second = (accounts.actor_of_person(env, p, place_of_access="mainland") for p in (one, two))
    world.people |= {"operator": first, "second.operator": second}
    world.ids["hospital"] = hospital
    second_university = {**UNIVERSITY, "name": {"en": "Second University"}}
    for key, body in (("university", UNIVERSITY), ("second", second_university), ("company", COMPANY)):
        world.ids[key] = accounts.propose_institution(env, first, **body)
        accounts.confirm(env, second, "institution", world.ids[key])
    for login, role, home, unit in (
        ("steward", "steward", "hospital", "data"),
        ("other.steward", "steward", "hospital", "genetics"),
        ("same.unit", "steward", "hospital", "data"),
        ("custodian", "custodian", "hospital", "data"),
        ("filer", "report-filer", "hospital", "research"),
        ("researcher", "researcher", "university", "cardiology"),
        ("rival", "researcher", "second", "cardiology"),
        ("firm", "researcher", "company", "r and d"),
    ):
        _person(world, (login, role, world.ids[home], unit), PLACES[home])
    for who in ("researcher", "rival", "firm"):
        _keys(world, who)


def _person(world: World, who: tuple[str, str, str, str], place: str) -> None:
    login, role, institution, unit = who
    env, first, second = world.env, world.people["operator"], world.people["second.operator"]
    new = NewPerson(
        login=login, name=login, institution_id=institution, unit=unit, foreign_individual="no", password=PASSWORD,
        identity_document=f"TEST-{login}",
    )  # fmt: skip
    person = accounts.propose_person(env, first, new)
    accounts.confirm(env, second, "person", person)
    given = accounts.propose_role(env, first, person_id=person, role=role, unit=unit)
    accounts.confirm(env, second, "role", given)
    world.people[login] = accounts.actor_of_person(env, person, place_of_access=place)


def _keys(world: World, who: str) -> None:
    private, public = generate_keypair(Random())
    world.private[who] = private
    person = world.people[who].person_id
    for kind, text in (("encryption", write_public_key(public).decode()), ("signing", "unused here")):
        key_id = world.env.new_id()
        columns = {"person_id": person, "kind": kind, "public_key": text, "proved_at": "2026-01-01", "state": "active"}
        world.env.uow.run(
            lambda tx, key_id=key_id, columns=columns: put_fact(  # type: ignore[misc]
                tx, world.env, "recipient_key", key_id, scope=person, columns=columns
            )
        )
        world.ids[f"{'key' if kind == 'encryption' else 'signing'}:{who}"] = key_id


def write_source(folder: Path, *, people: int = PEOPLE, seed: int = 7, changes: dict[int, Any] | None = None) -> Path:
    """A tiny cohort: a plain VCF, a phenotype table, sheet, consents, manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(seed)
    names = [f"HOSP{n:04d}" for n in range(people)]
    (folder / "cohort.vcf").write_bytes(vcf_text([f"S_{name}" for name in names], dice))
    _csv(folder / "samples.csv", [{"sample": f"S_{n}", "participant": n, "file": "cohort.vcf"} for n in names])
    rows = [
        {"participant": n, "birth_date": f"19{50 + i % 40}-03-04", **CONSENT, **(changes or {}).get(i, {})}
        for i, n in enumerate(names)
    ]
    _csv(folder / "consent.csv", rows)
    (folder / "manifest.yaml").write_text(MANIFEST, "utf-8")
    return folder


def vcf_text(samples: list[str], dice: np.random.Generator, sites: int = 60) -> bytes:
    """GT:DP:GQ for every sample; common alleles, so that the count floor keeps most sites."""
    head = [
        "##fileformat=VCFv4.2", "##source=secret pipeline", "##contig=<ID=chr1,length=1000000>",
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">', '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(samples),
    ]  # fmt: skip
    lines = []
    for site in range(sites):
        calls = dice.integers(0, 2, (len(samples), 2))
        cells = [f"{a}/{b}:{30 + site % 7}:{60 + site % 9}" for a, b in calls]
        lines.append(
            "\t".join(["chr1", str(1000 + site * 10), ".", "A", "C", "50", "PASS", "AC=9", "GT:DP:GQ", *cells])
        )
    return ("\n".join([*head, *lines]) + "\n").encode()


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8", newline="")


MANIFEST = """\
dataset: tiny
title: {en: A tiny cohort}
owner: Shenzhen Harbour Hospital
holder: Shenzhen Harbour Hospital
responsible_person: steward on duty
origin_of_material: mainland
provenance: {laboratory: l, platform: p, kit: k, pipeline: q, reference_build: GRCh38}
hgr: {category: WGS, subtype: C1.3}
population: {participants: 40, region_flag: 'no', pedigree_flag: 'no', reviewer_flag: 'no', minors: false}
secret: 'no'
important: 'no'
synthetic: true
samples: samples.csv
data_use: [DS, NCU]
diseases: [I]
consent: consent.csv
files:
  - {path: cohort.vcf, kind: vcf}
views:
  - {name: variants, kind: vcf, recipe: cohort-vcf-controlled, tier: controlled, files: [cohort.vcf]}
  - {name: raw, kind: vcf, recipe: none, tier: enclave, files: [cohort.vcf]}
"""

__all__ = ["MovableClock", "World", "make_world", "reopened", "set_digest", "write_source"]
