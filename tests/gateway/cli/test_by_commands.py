"""The story by commands alone: a real home, a real server, each person with a session file of their own."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gateway import accounts
from gateway.bootstrap import open_env
from gateway.cli.app import app as commands
from gateway.demo.people import UNIVERSITY, papers
from gateway.demo.server import serving
from gateway.env import Env
from gateway.errors import BadInput, Conflict, NotAllowed, NotSignedIn, Unavailable
from gateway.settings import load_settings
from tests.world import PASSWORD, hash_once, write_source

FIRST_DAY = (Path(__file__).parents[3] / "docs" / "first-day.md").read_text("utf-8")
HOUSE, APPLICATION = (yaml.safe_load(block.split("```")[0]) for block in FIRST_DAY.split("```yaml\n")[1:])
"""What the guide tells a house to write is what these commands are given."""
PEOPLE = (
    ("custodian", "custodian", "data", "hospital"),
    ("steward", "steward", "data", "hospital"),
    ("other", "steward", "genetics", "hospital"),
    ("filer", "report-filer", "research", "hospital"),
    ("researcher", "researcher", "cardiology", "university"),
)


@dataclass
class Desk:
    """People at their keyboards: ``desk("login", "verb", ...)`` is one command of one person, its JSON back."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    ids: dict[str, Any] = field(default_factory=dict)

    def __call__(self, who: str, *words: object, code: int = 0, typed: str = "") -> Any:
        self.monkeypatch.setenv("TONGGUAN_SESSION_FILE", str(self.folder / "sessions" / f"{who}.json"))
        done = CliRunner().invoke(commands, [*map(str, words)], input=typed, catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if "--json" in words else done.stdout

    def file(self, name: str, body: Any) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(body, allow_unicode=True), "utf-8")
        return path


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("TONGGUAN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(accounts, "hash_password", hash_once)
    desk = Desk(tmp_path, monkeypatch)
    typed = f"{PASSWORD}\n{PASSWORD}\n" * 2
    assert "2 operators" in desk("nobody", "init", "--demo", "--house", desk.file("house.yaml", HOUSE), typed=typed)
    assert "has its people already" in desk("nobody", "init", "--demo", "--house", tmp_path / "house.yaml")
    env, engine = open_env(load_settings())
    with serving(env) as server:
        monkeypatch.setenv("TONGGUAN_SERVER", server)
        _people(desk, env, server)
        yield desk
    engine.dispose()


def _people(desk: Desk, env: Env, server: str) -> None:
    for login in ("op1", "op2"):
        _enter(desk, login, server, "mainland")
    university = desk("op1", "institution", "add", desk.file("university.yaml", UNIVERSITY), "--json")["id"]
    desk("op2", "institution", "confirm", university)
    found = desk("op1", "institution", "list", "--json")
    desk.ids = {row["kind"]: row["id"] for row in found} | {"university": university}
    for login, role, unit, home in PEOPLE:
        place = desk.ids["hospital"] if home == "hospital" else university
        words = ("--institution", place, "--unit", unit, "--name", login, "--foreign", "no", "--json")
        person = desk("op1", "person", "add", login, *words, "--identity-document", login, typed=f"{PASSWORD}\n" * 2)
        desk("op2", "person", "confirm", person["id"])
        given = desk("op1", "person", "role", person["id"], role, "--unit", unit, "--json")
        desk("op2", "person", "confirm", given["id"], "--role")
        _enter(desk, login, server, "mainland" if home == "hospital" else "hong_kong")


def _enter(desk: Desk, login: str, server: str, place: str) -> None:
    desk(login, "login", login, "--server", server, "--place", place, typed=f"{PASSWORD}\n")
    kept = desk.folder / "sessions" / f"{login}.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def _dataset(desk: Desk) -> None:
    source = write_source(desk.folder / "source")
    scanned = desk("custodian", "dataset", "scan", source, "--json")
    assert {"cohort.vcf": "vcf"}.items() <= {entry["path"]: entry["kind"] for entry in scanned["files"]}.items()
    added = desk("custodian", "dataset", "add", source, "--json")
    desk.ids["dataset"] = added["id"]
    desk.ids["views"] = {view["name"]: view["id"] for view in added["views"]}
    assert desk("steward", "dataset", "confirm", added["id"]) == "confirmed\n"
    assert "tiny" in desk("researcher", "catalogue")


def _keys(desk: Desk) -> tuple[str, str]:
    assert desk("researcher", "crypt4gh", "keygen", desk.folder / "me", "--passphrase", "mine").count("\n") == 2
    assert (desk.folder / "me.sec").stat().st_mode & 0o777 == 0o600
    pem = desk.folder / "signing.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", pem], check=True, capture_output=True)
    secret = ("--encryption", desk.folder / "me.sec", "--passphrase", "mine")
    encryption = desk("researcher", "key", "register", *secret, "--json")["id"]
    signing = desk("researcher", "key", "register", "--signing", pem, "--json")["id"]
    return encryption, signing


def _granted(desk: Desk) -> str:
    encryption, signing = _keys(desk)
    asked = {**APPLICATION, "items": [{"dataset": "tiny", "views": ["variants"]}]}
    applied = desk("researcher", "apply", desk.file("application.yaml", asked), "--json")
    item = str(applied["items"][0]["id"])
    missing = {reason["rule"] for reason in applied["decisions"][item][desk.ids["views"]["variants"]]["reasons"]}
    assert {"GW-08", "HGR-10", "BKP-02"} <= missing
    with pytest.raises(BadInput, match="not in the catalogue; there are: tiny"):
        desk("researcher", "apply", desk.file("bad.yaml", {"items": [{"dataset": "none", "views": []}]}))
    with pytest.raises(NotAllowed, match="approve"):
        desk("researcher", "application", "approve", item)
    desk("steward", "application", "approve", item)
    desk("other", "application", "approve", item)
    frozen = desk("steward", "application", "package", item, "--json")
    for paper in papers(frozen, desk.ids["university"]):
        body, kind = {"dataset_id": desk.ids["dataset"], **paper}, paper["kind"]
        desk("filer", "filing", "add", desk.file(f"{kind}.yaml", body), "--json")
    words = ("--from", "2026-01-01", "--to", "2099-01-01", "--releases", 3)
    keys = ("--encryption-key", encryption, "--signing-key", signing)
    desk.ids["grant"] = desk("steward", "application", "grant", item, *words, *keys, "--json")["id"]
    return item


def test_the_story_by_commands(desk: Desk) -> None:
    _dataset(desk)
    item = _granted(desk)
    released = desk("researcher", "release", "request", item, desk.ids["views"]["variants"], "--json")
    assert released["state"] == "available"
    out, receipt = desk.folder / "out", desk.folder / "kept.tlog-proof"
    entry = desk("researcher", "files", released["id"], "--json")[0]
    whole = Path(desk("researcher", "fetch", released["id"], "--out", out, "--json")["files"][0])
    sealed = whole.read_bytes()
    # What a broken connection leaves: half of the bytes, under the ETag they belong to.
    whole.rename(out / f"{entry['name']}.part")
    os.truncate(out / f"{entry['name']}.part", len(sealed) // 2)
    (out / f"{entry['name']}.etag").write_text(f'"{entry["etag"]}"')
    again = Path(desk("researcher", "fetch", released["id"], "--out", out, "--json")["files"][0])
    assert again.read_bytes() == sealed
    assert sorted(path.name for path in out.iterdir()) == [entry["name"]]
    opened = desk.folder / "cohort.vcf.gz"
    desk("researcher", "crypt4gh", "decrypt", again, opened, "--key", desk.folder / "me.sec", "--passphrase", "mine")
    text = gzip.decompress(opened.read_bytes()).decode()
    assert len(next(line for line in text.splitlines() if line.startswith("#CHROM")).split("\t")) == 9 + 40
    (desk.folder / "names.txt").write_text("HOSP0001\nS_HOSP0002\n")
    assert desk("steward", "leakcheck", opened, "--against", desk.folder / "names.txt") == "clean\n"
    leaky = desk.folder / "source" / "samples.csv"
    assert "samples.csv" in desk("steward", "leakcheck", leaky, "--against", desk.folder / "names.txt", code=1)
    desk("researcher", "release", "receipt", released["id"], receipt)
    entry_file = Path(f"{receipt}.entry.json")
    assert "UNWITNESSED" in desk("researcher", "ledger", "check-receipt", receipt, "--entry", entry_file)
    signed = ("--signing", desk.folder / "signing.pem", "--folder", out)
    assert "recorded as entry" in desk("researcher", "release", "arrived", released["id"], *signed)
    assert desk("researcher", "ledger", "keep", "--json")["size"] > 0
    desk("custodian", "release", "participant-proof", released["id"], "HOSP0003", desk.folder / "proof")
    proven = desk("nobody", "ledger", "check-participant", desk.folder / "proof", "--entry", entry_file, "--json")
    assert proven["inside"] is True
    verify = ("ledger", "verify", desk.folder / "home" / "ledger", "--receipt", receipt)
    desk("auditor", *verify, code=0)
    gone = desk("custodian", "consent", "withdraw", desk.ids["dataset"], "HOSP0003", "--json")
    assert gone["contained_in"] == [released["id"]]
    with pytest.raises(BadInput, match="its successor is release"):
        desk("researcher", "fetch", released["id"], "--out", desk.folder / "late")
    desk("steward", "grant", "revoke", desk.ids["grant"])
    held = desk("researcher", "release", "request", item, desk.ids["views"]["variants"], "--json", code=1)
    assert held["outcome"] in {"hold", "deny"}
    assert "refused" in desk("researcher", "release", "list")
    assert desk("researcher", "logout") == "signed out\n"
    assert not (desk.folder / "sessions" / "researcher.json").exists()
    with pytest.raises(NotSignedIn, match="tongguan login"):
        desk("researcher", "release", "list")


def test_a_substitute_approves_and_an_owner_gets_its_own_data_back_by_commands(desk: Desk) -> None:
    _dataset(desk)
    _keys(desk)
    asked = {**APPLICATION, "items": [{"dataset": "tiny", "views": ["variants"]}]}
    item = desk("researcher", "apply", desk.file("application.yaml", asked), "--json")["items"][0]["id"]
    days = ("--from", "2026-01-01", "--to-day", "2099-01-01")
    lent = desk("other", "application", "delegate", item, "--to", "filer", *days, "--json")["id"]
    assert desk("steward", "application", "approve", item, "--json")["state"] == "submitted"
    with pytest.raises(NotAllowed):
        desk("filer", "application", "approve", item)
    assert desk("filer", "application", "approve", item, "--under", lent, "--json")["state"] == "approved-to-file"
    assert lent in desk("filer", "application", "delegations")
    assert desk("other", "application", "end-delegation", lent) == "ended\n"
    with pytest.raises(BadInput, match="0 encryption keys"):
        desk("custodian", "release", "return", desk.ids["dataset"])
    desk("custodian", "crypt4gh", "keygen", desk.folder / "ours")
    desk("custodian", "key", "register", "--encryption", desk.folder / "ours.sec")
    assert "GW-31" in desk("custodian", "release", "return", desk.ids["dataset"], code=1)
    contract = {"effective_from": "2026-01-01", "effective_to": "2099-01-01", "order": "order 17"}
    paper = {"kind": "entrustment", "number": "C-1", "dataset_id": desk.ids["dataset"], "terms": contract}
    desk("filer", "filing", "add", desk.file("contract.yaml", {**paper, "recipient_id": desk.ids["hospital"]}))
    back = desk("custodian", "release", "return", desk.ids["dataset"], "--json")
    sealed = desk("custodian", "fetch", back["id"], "--out", desk.folder / "back", "--json")["files"][0]
    desk("custodian", "crypt4gh", "decrypt", sealed, desk.folder / "own.vcf", "--key", desk.folder / "ours.sec")
    assert (desk.folder / "own.vcf").read_bytes() == (desk.folder / "source" / "cohort.vcf").read_bytes()


def test_two_people_switch_a_pack_on_by_command(desk: Desk) -> None:
    before = desk("op1", "policy", "status", "--json")
    assert (before["packs"], before["activated"]) == ([], True)
    row = desk("op1", "policy", "activate", "--pack", "trusted-institutions", "--json")
    with pytest.raises(NotAllowed, match="second person"):
        desk("op1", "policy", "confirm", row["id"])
    assert "judges" in desk("op2", "policy", "confirm", row["id"])
    after = desk("steward", "policy", "status", "--json")
    assert (after["packs"], after["activated"]) == (["trusted-institutions"], True)
    assert after["policy_version"] != before["policy_version"]
    assert "HGR-17" in after["unsigned"]
    desk("steward", "policy", "sign-off", "HGR-17", "--reason", "counsel read it on 2026-03-02")
    assert "HGR-17" not in desk("steward", "policy", "status", "--json")["unsigned"]


def test_files_are_never_overwritten_and_a_cut_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, folder = Desk(tmp_path, monkeypatch), tmp_path
    desk("researcher", "crypt4gh", "keygen", folder / "me")
    with pytest.raises(Conflict, match="never overwritten"):
        desk("researcher", "crypt4gh", "keygen", folder / "me")
    (folder / "plain").write_bytes(b"x" * 200_000)
    desk("researcher", "crypt4gh", "encrypt", folder / "plain", folder / "sealed", "--recipient", folder / "me.pub")
    with pytest.raises(Conflict, match="nothing is overwritten"):
        desk("researcher", "crypt4gh", "decrypt", folder / "sealed", folder / "plain", "--key", folder / "me.sec")
    os.truncate(folder / "sealed", 150_000)
    with pytest.raises(BadInput, match="sealed"):
        desk("researcher", "crypt4gh", "decrypt", folder / "sealed", folder / "new", "--key", folder / "me.sec")
    assert not (folder / "new").exists()
    assert not (folder / "new.part").exists()
    monkeypatch.setenv("TONGGUAN_SERVER", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="tongguan serve"):
        desk("researcher", "catalogue")
