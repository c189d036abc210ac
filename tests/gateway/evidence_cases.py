"""One row changed at a time, and the facts that this turns: the table of ``test_evidence`` and of its mutations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

from gateway.evidence import approval_digest
from gateway.item_life import found_item
from gateway.ports import Tx
from gateway.store.tables import metadata
from tests.world import World

Facts = dict[str, Any]
UNBOUND = {"approvals.people": 0, "approvals.units": 0, "approvals.unbound": 2}
"""The application or the dataset is another than was approved."""
NOBODY = {
    "counts.exome_genome_people": 0,
    "counts.sensitive_people_this_year": 0,
    "counts.people_this_year": 0,
}
"""No consent reaches so far."""
OVERSEAS = {"owners": [{"share": 1.0, "place": "overseas"}], "restricted": "no", "critical_infrastructure": "no"}


def row(world: World, table: str) -> str:
    """The id of the row that the granted item rests on."""
    if table == "institution":
        return world.people["researcher"].institution_id
    known = {"owner": "hospital", "dataset": "dataset", "item": "granted"}
    if table in known:
        return world.ids[known[table]]
    if table == "access_grant":
        return world.ids[f"grant:{world.ids['granted']}"]
    if table == "application":
        return str(world.row("item", world.ids["granted"])["application_id"])
    return {"view": world.views["variants"], "person": world.people["researcher"].person_id}[table]


def updating(table: str, **columns: Any) -> Callable[[World, Tx], None]:
    def change(world: World, tx: Tx) -> None:
        known = {"=recipient": world.people["researcher"].institution_id}
        changed = {
            name: known.get(value, value) if isinstance(value, str) else value for name, value in columns.items()
        }
        tx.update("institution" if table == "owner" else table, row(world, table), **changed)

    return change


def within(table: str, column: str, **changes: Any) -> Callable[[World, Tx], None]:
    """Change keys of a JSON column; ``a__b`` is the key b under a, and ``...`` takes a key out."""

    def change(world: World, tx: Tx) -> None:
        found = tx.get("institution" if table == "owner" else table, row(world, table))
        assert found is not None
        body = dict(found[column])
        for path, value in changes.items():
            *over, key = path.split("__")
            inner = body
            for name in over:
                inner[name] = dict(inner[name])
                inner = inner[name]
            if value is ...:
                del inner[key]
            else:
                inner[key] = value
        updating(table, **{column: body})(world, tx)

    return change


def filed(kind: str, **columns: Any) -> Callable[[World, Tx], None]:
    def change(world: World, tx: Tx) -> None:
        changed = {name: world.ids[value[1:]] if value == "=granted" else value for name, value in columns.items()}
        tx.update("filing", world.ids[f"filing:{kind}:researcher"], **changed)

    return change


def terms(kind: str, **changes: Any) -> Callable[[World, Tx], None]:
    def change(world: World, tx: Tx) -> None:
        found = tx.get("filing", world.ids[f"filing:{kind}:researcher"])
        assert found is not None
        tx.update("filing", found["id"], terms={**found["terms"], **changes})

    return change


def approval(**columns: Any) -> Callable[[World, Tx], None]:
    def change(world: World, tx: Tx) -> None:
        first = tx.find("approval", item_id=world.ids["granted"])[0]
        tx.update("approval", first["id"], **columns)

    return change


def of_applicant(world: World, tx: Tx) -> None:
    approval(person_id=world.people["researcher"].person_id)(world, tx)


def of_one_unit(world: World, tx: Tx) -> None:
    for given in tx.find("approval", item_id=world.ids["granted"]):
        tx.update("approval", given["id"], unit="data")


def spent(world: World, tx: Tx) -> None:
    tx.insert("quota_use", {"id": "use", "grant_id": row(world, "access_grant"), "release_id": "another"})


def another_kind(kind: str, recipient: bool = True, **said: Any) -> Callable[[World, Tx], None]:
    """One more filing, of a kind that the story does not need."""

    def change(world: World, tx: Tx) -> None:
        found = dict(tx.get("filing", world.ids["filing:dua:researcher"]) or {})
        whom = found["recipient_id"] if recipient else None
        tx.insert("filing", {**found, "id": f"more-{kind}", "kind": kind, "recipient_id": whom, "terms": said})

    return change


def read_anew(*terms: str, digest: str = "") -> Callable[[World, Tx], None]:
    """A permission of these terms, and a person's reading of exactly that, unless it was of something else."""

    def change(world: World, tx: Tx) -> None:
        within("dataset", "manifest", data_use=list(terms), diseases=[])(world, tx)
        item, application = found_item(tx, world.ids["granted"])
        given = dict(tx.find("approval", item_id=item["id"])[0])
        bound = digest or approval_digest(tx, item, application)
        tx.insert("approval", {**given, "id": "reading", "act": "read-data-use", "digest": bound})

    return change


def flowing(**forecast: Any) -> Callable[[World, Tx], None]:
    return both(within("application", "purpose", flow="continuous"), terms("backup", **forecast))


def once_released(world: World, tx: Tx) -> None:
    """One release of the same item before this one, of the packaged view."""
    package = tx.find("package", item_id=world.ids["granted"])[0]
    row = dict.fromkeys(column.name for column in metadata.tables["release"].columns)
    known = {"custodian_id": package["custodian_id"], "item_id": world.ids["granted"], "state": "closed", "attempt": 0}
    core = package["parts"][0]["core"]
    tx.insert("release", {**row, **known, "id": "earlier", "outcome": "permit", "core_view_id": core})
    tx.insert("release", {**row, **known, "id": "refused", "outcome": "deny", "core_view_id": core})


def both(*changes: Callable[[World, Tx], None]) -> Callable[[World, Tx], None]:
    def change(world: World, tx: Tx) -> None:
        for each in changes:
            each(world, tx)

    return change


def another_grant(world: World, tx: Tx) -> None:
    """An older grant of the same item, revoked; its id sorts last."""
    found = tx.get("access_grant", row(world, "access_grant"))
    tx.insert("access_grant", {**dict(found or {}), "id": "zz", "state": "revoked", "quotas": {}})


def one_withdrew(world: World, tx: Tx) -> None:
    first = tx.find("consent", dataset_id=world.ids["dataset"])[0]
    tx.update("consent", first["id"], withdrawn_recorded_at="2026-02-01T00:00:00.000Z")


def nothing_filed(world: World, tx: Tx) -> None:
    for found in tx.find("filing", dataset_id=world.ids["dataset"]):
        tx.update("filing", found["id"], state="withdrawn")


def filer(**columns: Any) -> Callable[[World, Tx], None]:
    return lambda world, tx: tx.update("person", world.people["filer"].person_id, **columns)


UNTIL = {"effective_from": "2026-01-05", "effective_to": "2029-01-04"}
ON = {"accepted_on": "2026-02-01"}
CASES: list[tuple[str, Callable[[World, Tx], None], Facts]] = [
    ("another kind of recipient", updating("institution", kind="company"), {"recipient.kind": "company"}),
    ("a recipient outside the bay", updating("institution", city="London"), {"recipient.in_gba": False}),
    ("a recipient not confirmed", updating("institution", state="proposed"),
     {"recipient.party_class": "unknown", "recipient.control_changed": "yes"}),
    ("a restricted recipient", within("institution", "control", restricted="yes"), {"recipient.restricted": "yes"}),
    ("nobody asked whether it is restricted", within("institution", "control", restricted=...),
     {"recipient.restricted": "unknown"}),
    ("a recipient reported to have changed hands", within("institution", "control", changed="yes"),
     {"recipient.control_changed": "yes"}),
    ("a recipient without a place", updating("institution", place=None),
     {"recipient.place": "unknown", "recipient.party_class": "unknown", "recipient.control_changed": "yes",
      "grant.same_place": "no", "consents.permitted": 0, "counts.exome_genome_people": 0,
      "counts.sensitive_people_this_year": 0, "counts.people_this_year": 0}),
    ("an entrusted processor", within("application", "purpose", role="processor"),
     {"recipient.role": "processor", **UNBOUND}),
    ("a foreign individual", updating("person", foreign_individual="yes"), {"person.foreign_individual": "yes"}),
    ("nobody asked who the person is", updating("person", foreign_individual=None),
     {"person.foreign_individual": "unknown"}),
    ("terms not accepted", within("application", "evidence", terms_accepted=False),
     {"person.terms_accepted": False, **UNBOUND}),
    ("an owner outside the bay", updating("owner", city="Harbin"), {"provider.in_gba": False}),
    ("an owner controlled from outside", updating("owner", control=OVERSEAS), {"provider.owner_chinese": "no"}),
    ("an owner of unknown control", updating("owner", control={"critical_infrastructure": "no"}),
     {"provider.owner_chinese": "unknown"}),
    ("an owner outside the mainland, who holds the data too", updating("owner", place="overseas"),
     {"provider.owner_chinese": "unknown", "dataset.stored_in": "overseas"}),
    ("critical infrastructure", within("owner", "control", critical_infrastructure="yes"),
     {"provider.critical_infrastructure": "yes"}),
    ("nobody asked about infrastructure", within("owner", "control", critical_infrastructure=...),
     {"provider.critical_infrastructure": "unknown"}),
    ("a branch of the pilot", within("owner", "control", branch_listed=True), {"provider.branch_listed": True}),
    ("a filer of another house", filer(institution_id="another"), {"report_filer.of_owner": "no"}),
    ("a filer who is no longer active", filer(state="ended"), {"report_filer.authorised": "no"}),
    ("a dataset not confirmed", updating("dataset", state="draft"), {"dataset.confirmed": False}),
    ("no responsible person", updating("dataset", responsible_person=""), {"dataset.responsible_person": False}),
    ("no sub-type of the catalogue", within("dataset", "manifest", hgr__subtype=...), {"dataset.hgr": "unknown"}),
    ("a state secret", within("dataset", "manifest", secret="yes"), {"dataset.secret": "yes"}),
    ("nobody asked about secrets", within("dataset", "manifest", secret=...), {"dataset.secret": "unknown"}),
    ("important data", within("dataset", "manifest", important="yes"), {"dataset.important": "yes"}),
    ("nobody asked about importance", within("dataset", "manifest", important=...), {"dataset.important": "unknown"}),
    *((f"{flag} {value}", within("dataset", "manifest", **{f"population__{flag}": value}), {f"dataset.{flag}": found})
      for flag in ("region_flag", "pedigree_flag", "reviewer_flag") for value, found in (("yes", "yes"), (..., "unknown"))),
    *((f"no {key}", within("dataset", "manifest", **{f"provenance__{key}": ...}), {"dataset.provenance": False})
      for key in ("laboratory", "platform", "pipeline", "reference_build")),
    ("public data", within("dataset", "manifest", public="yes"), {"dataset.public": "yes"}),
    ("a public accession", within("dataset", "manifest", public_accession="PRJ1"), {"dataset.public_accession": True}),
    ("another number of people", within("dataset", "manifest", population__participants=4000),
     {"dataset.participants": 4000}),
    ("a collection permit", within("dataset", "manifest", collection_permit="P"), {"dataset.collection_permit": True}),
    ("stored overseas", within("dataset", "manifest", stored_in="overseas"), {"dataset.stored_in": "overseas"}),
    ("another content than approved", updating("dataset", content_digest="other"), UNBOUND),
    ("arrays", within("dataset", "manifest", hgr__category="array"),
     {"view.exome_or_genome": "no", "counts.exome_genome_people": 0}),
    ("an unknown assay", within("dataset", "manifest", hgr__category="new"), {"view.exome_or_genome": "unknown"}),
    ("no restriction of data use", within("dataset", "manifest", data_use=["NRES"], diseases=[]), UNBOUND),
    ("a disease outside the permission", within("application", "purpose", diseases=["E11"]),
     {"purpose.data_use": "no", "consents.permitted": 0, **NOBODY, **UNBOUND}),
    ("no purpose stated", within("application", "purpose", term=""),
     {"purpose.data_use": "ask", "purpose.stated": False, "consents.permitted": 0, **NOBODY, **UNBOUND}),
    ("no data use stated", within("dataset", "manifest", data_use=[]), {"purpose.data_use": "no", **UNBOUND}),
    ("an enclave view", updating("view", tier="enclave"), {"view.tier": "enclave", "risk.k_wanted": 1 << 31, "risk.l_wanted": 1 << 31}),
    ("a view of no known tier", updating("view", tier=None),
     {"view.tier": "unknown", "risk.k_wanted": 1 << 31, "risk.l_wanted": 1 << 31}),
    ("a label nobody confirmed", updating("view", state="proposed"), {"view.label_confirmed": False}),
    ("another grade", within("view", "label", grade="important"), {"view.grade": "important"}),
    ("no grade", within("view", "label", grade=...), {"view.grade": "unknown"}),
    ("another level", within("view", "label", level=5), {"view.level": 5}),
    ("no level", within("view", "label", level=...), {"view.level": -1}),
    ("direct identifiers", within("view", "label", identifiability="L1"), {"view.identifiability": "L1"}),
    ("nobody looked for identifiers", within("view", "label", identifiability=...), {"view.identifiability": "unknown"}),
    ("a view that was not asked for", updating("item", views=[]), {"view.in_item": False, **UNBOUND}),
    ("joint research", within("application", "purpose", joint_research="yes"),
     {"purpose.joint_research": "yes", **UNBOUND}),
    ("nobody said whether it is joint", within("application", "purpose", joint_research=...),
     {"purpose.joint_research": "unknown", **UNBOUND}),
    ("a price", within("application", "purpose", fee="sale"), {"purpose.fee": "sale", **UNBOUND}),
    ("no price stated", within("application", "purpose", fee=...), {"purpose.fee": "unknown", **UNBOUND}),
    ("a backup taken back", filed("backup", state="withdrawn"),
     {"filings.backup": False, "filings.backup_holder_is_filer": "unknown"}),
    ("a backup of another holder", terms("backup", holder="somebody"), {"filings.backup_holder_is_filer": "no"}),
    ("a report that cites another backup", terms("prior-report", backup="another"),
     {"filings.backup_holder_is_filer": "no"}),
    ("a report taken back", filed("prior-report", state="withdrawn"),
     {"filings.prior_report": False, "filings.report_covers_package": False, "filings.storage_location": False,
      "filings.backup_holder_is_filer": "unknown"}),
    ("a report for another recipient", filed("prior-report", recipient_id="another"),
     {"filings.prior_report": False, "filings.report_covers_package": False, "filings.storage_location": False,
      "filings.backup_holder_is_filer": "unknown"}),
    ("a report for another item", filed("prior-report", item_id="another"),
     {"filings.prior_report": False, "filings.report_covers_package": False, "filings.storage_location": False,
      "filings.backup_holder_is_filer": "unknown"}),
    ("a report of tomorrow", terms("prior-report", accepted_on="2999-01-01"),
     {"filings.prior_report": False, "filings.report_covers_package": False, "filings.storage_location": False,
      "filings.backup_holder_is_filer": "unknown"}),
    ("a report of fewer people", terms("prior-report", people=39), {"filings.report_covers_package": False}),
    ("a report of another package", terms("prior-report", package_digest="cd" * 32),
     {"filings.report_covers_package": False}),
    ("a report that names no place", terms("prior-report", storage_location=""), {"filings.storage_location": False}),
    ("an assessment taken back", filed("pia", state="withdrawn"),
     {"filings.pia": False, "filings.pia_days_before_contract": -1}),
    ("an assessment after the contract", terms("pia", accepted_on="2026-01-20"),
     {"filings.pia_days_before_contract": -1}),
    ("an agreement taken back", filed("dua", state="withdrawn"), {"filings.dua": False}),
    ("an agreement that ended", terms("dua", effective_to="2026-01-06"), {"filings.dua": False}),
    ("a contract taken back", filed("gba-contract", state="withdrawn"),
     {"filings.mechanism": "none", "filings.pia_days_before_contract": -1}),
    ("an assessment by the authority", another_kind("cac-assessment", **ON, purpose="p", people=1),
     {"filings.mechanism": "cac-assessment", "filings.pia_days_before_contract": 30}),
    ("a review that passed", another_kind("security-review", **ON, outcome="passed"),
     {"filings.security_review": True, "filings.security_review_outcome": "passed"}),
    ("a review that refused", another_kind("security-review", **ON, outcome="refused"),
     {"filings.security_review_outcome": "refused"}),
    ("a cooperation that covers it", another_kind("cooperation", **ON, effective_to="2999-01-01", own_outputs="yes",
                                                  agreement="yes", changed="no"),
     {"filings.cooperation": True, "filings.cooperation_covers": True, "filings.cooperation_changed": "no"}),
    ("a cooperation that names nobody", another_kind("cooperation", recipient=False, **ON, effective_to="2999-01-01",
                                                     own_outputs="yes", agreement="yes"), {"filings.cooperation": True}),
    ("a cooperation that changed", another_kind("cooperation", **ON, effective_to="2999-01-01", changed="yes"),
     {"filings.cooperation": True, "filings.cooperation_changed": "yes"}),
    ("a cooperation that expired", another_kind("cooperation", **ON, effective_to="2026-02-02"), {}),
    ("open use reported", another_kind("open-use", recipient=False, **ON, database="GVM"),
     {"filings.open_use_report": True, "filings.report_before_first_byte": True,
      "filings.backup_holder_is_filer": "no"}),
    ("entrusted", another_kind("entrustment", **UNTIL, order="O"), {"filings.entrustment": True}),
    ("joint controllers", another_kind("joint-agreement", **UNTIL), {"filings.joint_agreement": True}),
    ("important data assessed", another_kind("important-data-assessment", **ON),
     {"filings.important_risk_assessment": True}),
    ("approved by the authority", another_kind("authority-approval", **ON), {"filings.authority_approval": True}),
    ("ethics of both places", another_kind("ethics", **ON, effective_to="2999-01-01", place="mainland",
                                           accepted_for=["hong_kong"]), {"filings.ethics_both_places": True}),
    ("ethics of one place", another_kind("ethics", **ON, effective_to="2999-01-01", place="mainland"), {}),
    ("an ethics opinion without a number", within("application", "evidence", ethics__number=""),
     {"filings.ethics": False, **UNBOUND}),
    ("an ethics opinion that ended", within("application", "evidence", ethics__valid_to="2026-01-01"),
     {"filings.ethics": False, **UNBOUND}),
    ("an ethics opinion without an end", within("application", "evidence", ethics__valid_to=...),
     {"filings.ethics": False, **UNBOUND}),
    ("people provided before this gateway stood", another_kind("opening-balance", recipient=False, **ON,
                                                              counter="HGR-17", people=470),
     {"counts.exome_genome_people": 510}),
    ("people provided beside this gateway", another_kind("external-release", recipient=False, **ON, counter="HGR-17",
                                                        people=5), {"counts.exome_genome_people": 45}),
    ("an approval taken back", approval(state="withdrawn"), {"approvals.people": 1, "approvals.units": 1}),
    ("an approval of something else", approval(digest="other"),
     {"approvals.people": 1, "approvals.units": 1, "approvals.unbound": 1}),
    ("an approval of another act", approval(act="resume"), {"approvals.people": 1, "approvals.units": 1}),
    ("an applicant's own approval", of_applicant, {"approvals.by_applicant": True}),
    ("approvals of one unit", of_one_unit, {"approvals.units": 1}),
    ("a revoked grant", updating("access_grant", state="revoked"), {"grant.state": "revoked"}),
    ("a suspended grant", updating("access_grant", state="suspended"), {"grant.state": "suspended"}),
    ("a grant of tomorrow", updating("access_grant", valid_from="2999-01-01T00:00:00.000Z"), {"grant.in_period": False}),
    ("a grant of another class", updating("access_grant", granted_as="P3"), {"recipient.control_changed": "yes"}),
    ("a grant of an unknown class", updating("access_grant", granted_as=None), {"recipient.control_changed": "yes"}),
    ("a key of somebody else", updating("access_grant", person_id="another"),
     {"grant.keys_bound": False, "custody.sealed": False}),
    ("no key", updating("access_grant", signing_key_id="none"),
     {"grant.keys_bound": False, "custody.sealed": False}),
    ("no quota", updating("access_grant", quotas={}), {"grant.releases_left": 0}),
    ("a revoked grant beside the active one", another_grant, {}),
    ("a participant who withdrew", one_withdrew, {"consents.permitted": 39, **dict.fromkeys(NOBODY, 39)}),
    ("nothing filed", nothing_filed,
     {"filings.backup": False, "filings.prior_report": False, "filings.report_covers_package": False,
      "filings.storage_location": False, "filings.backup_holder_is_filer": "unknown", "filings.pia": False,
      "filings.dua": False, "filings.mechanism": "none", "filings.pia_days_before_contract": -1,
      "report_filer.of_owner": "unknown", "report_filer.authorised": "no"}),
    ("a recipient of no known kind", updating("institution", kind=None),
     {"recipient.kind": "unknown", "consents.permitted": 0, **NOBODY}),
    ("a recipient without a name", updating("institution", name=None), {"consents.permitted": 0, **NOBODY}),
    ("a Chinese-controlled recipient, signed off", within("institution", "control",
      owners=[{"share": 1.0, "place": "mainland"}], proof_signed_off=True),
     {"recipient.party_class": "P3", "recipient.control_changed": "yes", "counts.exome_genome_people": 0}),
    ("a recipient of unknown control", updating("institution", control={}),
     {"recipient.restricted": "unknown", "recipient.control_changed": "unknown"}),
    ("a Chinese-controlled mainland recipient", both(updating("institution", place="mainland"), within(
      "institution", "control", owners=[{"share": 1.0, "place": "mainland"}])),
     {"recipient.party_class": "P1", "recipient.place": "mainland", "grant.same_place": "no",
      "counts.exome_genome_people": 0}),
    ("a permission for one place", within("dataset", "manifest", data_use=["NRES", "GS=hong_kong"], diseases=[]), UNBOUND),
    ("a permission for another place", within("dataset", "manifest", data_use=["NRES", "GS=macau"], diseases=[]),
     {"purpose.data_use": "no", **UNBOUND}),
    ("a permission for one institution", within("dataset", "manifest", diseases=[],
      data_use=["NRES", "IS=Victoria Harbour University"]), UNBOUND),
    ("a permission for another institution", within("dataset", "manifest", diseases=[],
      data_use=["NRES", "IS=Second University"]), {"purpose.data_use": "no", **UNBOUND}),
    ("exomes", within("dataset", "manifest", hgr__category="WES"), {}),
    ("a panel", within("dataset", "manifest", hgr__category="panel"),
     {"view.exome_or_genome": "no", "counts.exome_genome_people": 0}),
    ("nobody counted the people", within("dataset", "manifest", population__participants=...),
     {"dataset.participants": -1}),
    ("a view of no known kind", updating("view", kind=None),
     {"view.kind": "unknown", "view.personal": "unknown", "view.sensitive": "unknown", "risk.linkable": False}),
    ("a review that says nothing", another_kind("security-review", **ON), {}),
    ("a cooperation without the agreement", another_kind("cooperation", **ON, effective_to="2999-01-01",
                                                         own_outputs="yes", agreement="no"),
     {"filings.cooperation": True}),
    ("a balance without a number", another_kind("opening-balance", recipient=False, **ON, counter="HGR-17"), {}),
    ("a database in the place of a location", both(terms("prior-report", storage_location=""), another_kind(
      "open-use", recipient=False, **ON, database="GVM", backup="backup-2026-001")),
     {"filings.open_use_report": True, "filings.report_before_first_byte": True}),
    ("ethics on file only", both(within("application", "evidence", ethics__number=""), another_kind(
      "ethics", **ON, effective_to="2999-01-01", place="mainland")), UNBOUND),
    ("a release already used", spent, {"grant.releases_left": 49}),
    ("a permission in words", within("dataset", "manifest", data_use=["NRES", "RS=ask us"], diseases=[]),
     {"purpose.data_use": "ask", **UNBOUND}),
    ("a permission in words that a person read", read_anew("NRES", "RS=ask us", "PUB", "MOR=2027-01-01"),
     {"purpose.owed": "PUB;MOR=2027-01-01", **UNBOUND}),
    ("a reading of something else", read_anew("NRES", "RS=ask us", digest="other"),
     {"purpose.data_use": "ask", **UNBOUND}),
    ("a reading of what is not permitted", read_anew("NRES", "RS=ask us", "US=nobody"),
     {"purpose.data_use": "no", **UNBOUND}),
    ("a permission that obliges", within("dataset", "manifest", data_use=["NRES", "PUB"], diseases=[]),
     {"purpose.owed": "PUB", **UNBOUND}),
    ("nobody asked whether it is public", within("dataset", "manifest", public=...), {}),
    ("nobody asked what was added", within("dataset", "manifest", domestic_data_added=...), {}),
    ("a store abroad", updating("dataset", holder_id="nobody"), {"dataset.stored_in": "unknown"}),
    ("material from abroad", within("dataset", "manifest", origin_of_material="abroad"), {"custody.origin": "abroad"}),
    ("material from overseas", within("dataset", "manifest", origin_of_material="overseas"),
     {"custody.origin": "abroad"}),
    ("material from nobody knows where", within("dataset", "manifest", origin_of_material="somewhere"),
     {"custody.origin": "unknown"}),
    ("domestic data added", within("dataset", "manifest", domestic_data_added="yes"),
     {"custody.domestic_data_added": "yes"}),
    ("a recipient that owns the data", updating("dataset", owner_id="=recipient"),
     {"custody.recipient_is_owner": "yes", "custody.returns_to_origin": "yes", "provider.owner_chinese": "unknown",
      "report_filer.of_owner": "no",
      "provider.critical_infrastructure": "unknown"}),
    ("a medium", another_kind("media", **ON, address="1 Harbour Road", medium="disk 7", custody=["courier A"]),
     {"media.address": True, "media.medium": True, "media.custody": True}),
    ("a medium nobody carries", another_kind("media", **ON, address="1 Harbour Road", medium="disk 7"),
     {"media.address": True, "media.medium": True}),
    ("a medium for nobody", another_kind("media", recipient=False, **ON, address="1 Harbour Road"), {}),
    ("a flow without a forecast", within("application", "purpose", flow="continuous"),
     {"view.flow": "continuous", **UNBOUND}),
    ("a flow of people", flowing(forecast_records=100, unit="people"),
     {"view.flow": "continuous", "counts.forecast_volume": 40, "counts.filed_volume": 100, **UNBOUND}),
    ("a flow of people, after one release", both(flowing(forecast_records=100, unit="people"), once_released),
     {"view.flow": "continuous", "counts.forecast_volume": 80, "counts.filed_volume": 100, **UNBOUND}),
    ("a flow in a unit that nobody can count", flowing(forecast_records=100, unit="litres"),
     {"view.flow": "continuous", **UNBOUND}),
    ("a flow of bytes", flowing(forecast_records=100, unit="bytes"),
     {"view.flow": "continuous", "counts.forecast_volume": ANY, "counts.filed_volume": 100, **UNBOUND}),
    ("a report for this item alone", filed("prior-report", item_id="=granted"), {}),
    ("a flow that was never packaged", both(flowing(forecast_records=100, unit="people"),
      updating("item", package_id=None)),
     {"view.flow": "continuous", "filings.report_covers_package": False, **UNBOUND}),
    ("reads of nobody's, for a view of reads is about those in its files", updating("view", kind="reads", objects=[]),
     {"view.kind": "reads", "consents.total": 0, "consents.permitted": 0, "counts.exome_genome_people": 0,
      "counts.sensitive_people_this_year": 0, "counts.people_this_year": 0}),
]  # fmt: skip
