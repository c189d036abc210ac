"""Bad input to ``dataset add``: one clear sentence that names the file and place, and nothing left half-done."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import datasets, recipient_keys
from gateway.errors import BadInput, Conflict, NotAllowed, Unavailable
from gateway.staging.files import NewFile
from tests.world import World, write_source


def rename(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / old).rename(folder / new)

    return change


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return change


def cut(folder: Path) -> None:
    (folder / "cohort.vcf").write_bytes(b"##fileformat=VCFv4.2\nrubbish\n")


CASES: list[tuple[str, Callable[[Path], None], str]] = [
    ("a missing file", rename("cohort.vcf", "gone.vcf"), "cohort.vcf"),
    ("a missing manifest", rename("manifest.yaml", "x.yaml"), "manifest.yaml"),
    ("a broken header", cut, "cohort.vcf"),
    ("a file of another kind", edit("manifest.yaml", "kind: vcf}", "kind: reads}"), "cohort.vcf"),
    ("a wrong checksum", edit("manifest.yaml", "kind: vcf}", "kind: vcf, checksum: 'ab'}"), "cohort.vcf"),
    ("a sample the sheet lacks", edit("samples.csv", "S_HOSP0004", "S_OTHER"), "cohort.vcf"),
    ("a consent for a stranger", edit("consent.csv", "HOSP0005", "HOSP9999"), "consent.csv: row 7"),
    ("a bad date", edit("consent.csv", "2025-01-02", "2.1.2025"), "consent.csv: row 2, column signed_on"),
    ("an unknown recipe", edit("manifest.yaml", "cohort-vcf-controlled", "made-up"), "made-up"),
    ("an unknown institution", edit("manifest.yaml", "holder: Shenzhen", "holder: Another"), "not known here"),
    ("real data in a demo home", edit("manifest.yaml", "synthetic: true\n", ""), "this is a demo home"),
    ("a guess whether it is real", edit("manifest.yaml", "synthetic: true", "synthetic: 'yes'"), "synthetic must be"),
    ("a sheet that names another file", edit("samples.csv", "cohort.vcf", "other.vcf"), "samples|cohort.vcf"),
]


@pytest.mark.parametrize(("change", "says"), [(c, s) for _, c, s in CASES], ids=[name for name, _, _ in CASES])
def test_bad_input_is_one_sentence_with_its_place_and_leaves_nothing(
    world: World, tmp_path: Path, change: Callable[[Path], None], says: str
) -> None:
    source = write_source(tmp_path / "new")
    edit("manifest.yaml", "dataset: tiny", "dataset: second")(source)
    change(source)
    before = world.env.uow.read(lambda tx: {t: len(tx.find(t)) for t in ("dataset", "view", "consent", "outbox")})
    with pytest.raises(BadInput, match=says) as refused:
        datasets.add(world.env, world.people["custodian"], str(source))
    assert "HOSP" not in str(refused.value)
    assert "\n" not in str(refused.value)
    after = world.env.uow.read(lambda tx: {t: len(tx.find(t)) for t in ("dataset", "view", "consent", "outbox")})
    assert after == before


def test_the_same_dataset_twice_and_a_stranger_are_refused(world: World, tmp_path: Path) -> None:
    source = write_source(tmp_path / "again")
    with pytest.raises(Conflict):
        datasets.add(world.env, world.people["custodian"], str(source))
    with pytest.raises(NotAllowed):
        datasets.add(world.env, world.people["researcher"], str(source))


def test_who_added_a_dataset_does_not_confirm_it(world: World, tmp_path: Path) -> None:
    source = write_source(tmp_path / "third")
    edit("manifest.yaml", "dataset: tiny", "dataset: third")(source)
    dataset = datasets.add(world.env, world.people["custodian"], str(source))
    with pytest.raises(NotAllowed):
        datasets.confirm(world.env, world.people["custodian"], dataset)
    with pytest.raises(BadInput):
        datasets.show(world.env, world.people["researcher"], dataset)


def test_an_unreadable_key_is_refused(world: World) -> None:
    for kind, text in (("encryption", "not a key"), ("signing", "AAAA"), ("other", "x")):
        with pytest.raises(BadInput):
            recipient_keys.challenge(world.env, world.people["researcher"], kind=kind, public_key=text)


def test_a_wrong_answer_to_a_challenge_registers_nothing(world: World) -> None:
    from gateway.crypt4gh import generate_keypair, write_public_key
    from tests.world import Random

    _, public = generate_keypair(Random())
    asked = recipient_keys.challenge(
        world.env, world.people["rival"], kind="encryption", public_key=write_public_key(public).decode()
    )
    before = len(recipient_keys.own_keys(world.env, world.people["rival"]))
    with pytest.raises(BadInput):
        recipient_keys.register(world.env, world.people["rival"], challenge_id=asked["challenge"], answer="AAAA")
    assert len(recipient_keys.own_keys(world.env, world.people["rival"])) == before


def test_a_full_disk_while_sealing_is_unavailable_and_leaves_no_copy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = NewFile.write

    def full(self: NewFile, data: object) -> object:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from gateway.release import advance, request_release

    row = request_release(
        world.env, world.people["researcher"], item_id=world.ids["item"], view_id=world.views["variants"]
    )
    monkeypatch.setattr(NewFile, "write", full)
    with pytest.raises((Unavailable, OSError)):
        advance(world.env, row["id"])
    monkeypatch.setattr(NewFile, "write", real)
    assert world.row("release", row["id"])["state"] in {"requested", "decided", "prepared"}
    assert not world.entries("release.open")
    assert advance(world.env, row["id"])["state"] == "available"
    assert len(world.entries("release.open")) == 1


def test_inv14_numbers_of_people_are_words_before_login(world: World) -> None:
    """Invariant 14: the catalogue says few, some or many."""
    listed = datasets.catalogue(world.env)
    assert listed[0]["people"] == "few"
    assert "40" not in str({k: v for k, v in listed[0].items() if k not in {"id", "views"}})
