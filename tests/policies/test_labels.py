"""Labels: the 21 rows of the label table, grading by harm, and what makes a label be looked at again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.grading import Change, Harm, derived, grade_of, regrade
from policies.identifiability import Context, Measured, context_risk, level, overall_risk
from policies.labels import (
    DOORS,
    IDENTIFIABILITY,
    Population,
    artefact,
    field,
    fused,
    highest,
    of_fields,
    of_model,
    of_statistics,
    propose,
    repository,
    subtypes,
    table,
)
from policies.model import Label
from policies.protection import GRADES

# The label table, copied from the catalogue by hand: artefact, assay -> HGR code, grade, health level, level of
# identifiability, default tier. Where the catalogue gives a span, the part that protects more.
ROWS = [
    ("genome-reads", "WGS", "C1.1", "G4", 4, "L2", "enclave"),
    ("exome-reads", "WES", "C3.1", "G4", 4, "L2", "enclave"),
    ("assembly", "WGS", "C1.2", "G4", 4, "L2", "enclave"),
    ("person-variants", "WES", "C3.2", "G4", 4, "L2", "enclave"),
    ("cohort-genotypes", "WGS", "C1.3", "G4", 4, "L2", "enclave"),
    ("array-genotypes", "array", "C2.2", "G4", 4, "L2", "controlled"),
    ("panel", "panel", "C4.2", "G4", 4, "L2", "controlled"),
    ("site-frequencies", "WGS", "C1.4", "G2", 2, "L3", "controlled"),
    ("summary-statistics", "transcriptome", "C6.3", "G2", 2, "L3", "controlled"),
    ("aggregate-counts", "WES", "C3.3", "G2", 2, "L4", "controlled"),
    ("phenotype-source", "", "", "G4", 4, "L1", "enclave"),
    ("phenotype-anonymous", "", "", "G3", 3, "L3", "controlled"),
    ("methylation-reads", "epigenome", "C5.1", "G4", 4, "L2", "enclave"),
    ("methylation-matrix", "epigenome", "C5.3", "G3", 3, "L2", "controlled"),
    ("rna-reads", "transcriptome", "C6.1", "G4", 4, "L2", "enclave"),
    ("expression-matrix", "transcriptome", "C6.3", "G3", 3, "L2", "controlled"),
    ("study-metadata", "", "", "G1", 1, "L4", "open"),
    ("sample-metadata", "", "", "G3", 3, "L2", "controlled"),
    ("pseudonym-key", "", "", "G4", 5, "L1", "never"),
    ("trained-model", "", "", "G3", 3, "L2", "controlled"),
    ("governance-records", "", "", "G3", 4, "L1", "internal"),
]


@pytest.mark.parametrize(("name", "assay", "hgr", "grade", "health", "seen", "tier"), ROWS)
def test_each_row_of_the_label_table(
    name: str, assay: str, hgr: str, grade: str, health: int, seen: str, tier: str
) -> None:
    label = artefact(name, assay=assay)
    assert (label.hgr, label.grade, label.level, label.identifiability, label.tier) == (
        (hgr,) if hgr else (), grade, health, seen, tier,
    )  # fmt: skip
    assert label.reasons
    assert label.sensitive is (
        name not in {"site-frequencies", "summary-statistics", "aggregate-counts", "study-metadata"}
    )


def test_the_table_has_these_rows_and_no_other() -> None:
    assert len(ROWS) == 21
    assert set(table()["artefacts"]) == {row[0] for row in ROWS}


def test_important_data_is_asked_about_where_the_catalogue_says_so() -> None:
    asked = {name for name, *_ in ROWS if artefact(name).candidate}
    assert asked == {"genome-reads", "exome-reads", "cohort-genotypes", "site-frequencies", "summary-statistics"}


def test_variants_of_a_row() -> None:
    assert artefact("array-genotypes", assay="array", raw=True).hgr == ("C2.1",)
    assert artefact("panel", assay="panel", raw=True).hgr == ("C4.1",)
    assert artefact("panel", assay="panel", special=True).level == 5
    assert artefact("phenotype-source", special=True).level == 5
    assert artefact("cohort-genotypes", assay="WGS", approved=True).tier == "controlled"
    assert artefact("genome-reads", assay="WGS", approved=True).tier == "enclave"


def test_an_unknown_thing_or_assay_is_labelled_as_the_strictest() -> None:
    strange = artefact("something else")
    assert (strange.grade, strange.level, strange.identifiability, strange.tier) == ("G4", 5, "L1", "enclave")
    assert strange.hgr == artefact("genome-reads", assay="nonsense").hgr == ("unknown",)
    assert propose("something else")["tier"] == "enclave"
    assert propose("reads", assay="?")["artefact"] == "genome-reads"
    assert propose("vcf", assay="?")["hgr"] == "unknown"


@pytest.mark.parametrize(
    ("kind", "assay", "wanted"),
    [
        ("vcf", "WGS", ("C1.3", "G4", 4, "controlled", ["GVM"])),
        ("vcf", "array", ("C2.2", "G4", 4, "controlled", ["GVM"])),
        ("reads", "WES", ("C3.1", "G4", 4, "enclave", ["GSA-Human"])),
        ("fastq", "epigenome", ("C5.1", "G4", 4, "enclave", ["GSA-Human"])),
        ("table", "WGS", ("", "G3", 4, "controlled", [])),
        ("frequencies", "WES", ("C3.3", "G2", 2, "controlled", ["OMIX"])),
        ("matrix", "transcriptome", ("C6.3", "G3", 3, "controlled", ["OMIX"])),
    ],
)
def test_what_is_proposed_for_a_view(kind: str, assay: str, wanted: tuple[Any, ...]) -> None:
    found = propose(kind, assay=assay)
    assert (found["hgr"], found["grade"], found["level"], found["tier"], found["repositories"]) == wanted


def test_what_was_not_measured_is_not_called_safe() -> None:
    assert propose("table")["identifiability"] == propose("frequencies")["identifiability"] == "L2"


REPOSITORIES = {
    "GSA-Human": {"C1.1", "C3.1", "C4.1", "C5.1", "C6.1"},
    "GWH": {"C1.2"},
    "GVM": {"C1.3", "C2.2", "C3.2"},
    "GenBase": {"C4.2", "C5.2", "C6.2"},
    "OMIX": {"C1.4", "C2.1", "C2.3", "C3.3", "C4.3", "C5.3", "C6.3"},
}


def test_each_sub_type_has_its_repository() -> None:
    found = {name: {code for code in subtypes() if repository(code) == name} for name in REPOSITORIES}
    assert found == REPOSITORIES
    assert len(subtypes()) == 19
    assert {repository(code, sequence=False) for code in ("C4.2", "C5.2", "C6.2")} == {"OMIX"}
    assert repository("C9.9") == ""


def test_statistics_rise_when_they_tell_of_few_of_many_or_of_one_group() -> None:
    plain = artefact("site-frequencies", assay="WGS")
    calm = Population(people=2000, one_region="no", one_family="no", one_ethnic_group="no")
    assert of_statistics(plain, calm) == plain
    for change in (
        {"people": 49}, {"people": 10001}, {"one_region": "yes"}, {"one_family": "unknown"}, {"one_ethnic_group": "yes"},
    ):  # fmt: skip
        risen = of_statistics(replace(plain, candidate=False), replace(calm, **change))
        assert (risen.grade, risen.candidate) == ("G3", True)
        assert len(risen.reasons) == 2
    assert of_statistics(plain, Population(people=2000)).grade == "G3", "unanswered is not no"
    assert of_statistics(plain, Population(people=2000)).hgr == ("C1.4",), "statistics stay HGR information"


def test_a_model_is_at_most_one_grade_below_what_it_learnt_from() -> None:
    genomes = artefact("cohort-genotypes", assay="WGS")
    assert of_model(genomes).grade == "G3"
    assert of_model(genomes).hgr == ("C1.3",)
    assert of_model(replace(genomes, grade="important")).grade == "important"
    assert of_model(artefact("study-metadata")).grade == "G3"


def test_a_table_is_labelled_by_its_highest_column() -> None:
    plain = of_fields({"bmi": "plain", "site": "quasi"})
    assert (plain.grade, plain.level, plain.identifiability) == ("G3", 3, "L2")
    assert of_fields({"bmi": "plain", "name": "identifier"}).identifiability == "L1"
    assert of_fields({"bmi": "plain", "diagnosis": "sensitive"}).level == 4
    assert of_fields({"bmi": "plain", "diagnosis": "sensitive"}, special=["diagnosis"]).level == 5
    assert of_fields({"bmi": "nobody knows"}).level == 5
    assert of_fields({}).level == 5, "no column is no low label"
    assert field("plain").sensitive is False


ELEMENTS = ("field", "group", "region", "precision", "scale", "depth", "coverage", "importance")
# GB/T 43697 6.5 with the general levels of App. H, by hand: object -> none, slight, serious, especially serious.
MATRIX = {
    "national-security": ("G1", "important", "core", "core"),
    "economy": ("G1", "G4", "important", "core"),
    "social-order": ("G1", "G4", "important", "core"),
    "public-interest": ("G1", "G4", "important", "core"),
    "organisation": ("G1", "G2", "G3", "G4"),
    "person": ("G1", "G2", "G3", "G4"),
}
DEGREES = ("none", "slight", "serious", "especially-serious")


def harms(**changed: tuple[str, str]) -> list[Harm]:
    return [
        Harm(element=element, to=to, degree=degree, why="because")
        for element in ELEMENTS
        for to, degree in [changed.get(element, ("person", "none"))]
    ]


@pytest.mark.parametrize("to", MATRIX)
@pytest.mark.parametrize("degree", DEGREES)
def test_each_cell_of_the_matrix_and_the_highest_wins(to: str, degree: str) -> None:
    found = grade_of(harms(scale=(to, degree)))
    assert found.grade == MATRIX[to][DEGREES.index(degree)]
    if degree != "none":
        assert found.reasons == (f"scale: {degree} to {to}; because",)


def test_an_unanswered_element_and_an_unknown_word_are_no_low_grade() -> None:
    with pytest.raises(ValueError, match="not answered: importance"):
        grade_of(harms()[:-1])
    with pytest.raises(ValueError, match="not in GB/T 43697"):
        grade_of(harms(scale=("person", "a little")))
    with pytest.raises(ValueError, match="not in GB/T 43697"):
        grade_of(harms(scale=("nobody", "slight")))


@given(
    st.lists(st.tuples(st.sampled_from(ELEMENTS), st.sampled_from(list(MATRIX)), st.sampled_from(DEGREES)), max_size=8),
    st.tuples(st.sampled_from(ELEMENTS), st.sampled_from(list(MATRIX)), st.sampled_from(DEGREES)),
)
@settings(max_examples=100, deadline=None)
def test_one_more_harm_never_lowers_the_grade(some: list[tuple[str, str, str]], more: tuple[str, str, str]) -> None:
    def graded(rows: list[tuple[str, str, str]]) -> int:
        given = [Harm(element=element, to=to, degree=degree, why="") for element, to, degree in rows]
        return GRADES.index(grade_of([*harms(), *given]).grade)

    assert graded([*some, more]) >= graded(some)


@pytest.mark.parametrize(
    ("source", "how", "trait", "wanted"),
    [
        ("G4", "de-identified", "no", "G3"), ("G2", "de-identified", "no", "G2"), ("G4", "anonymised", "no", "G1"),
        ("G3", "tagged", "no", "G2"), ("G2", "tagged", "no", "G2"), ("G4", "statistics", "no", "G2"),
        ("G3", "statistics", "no", "G2"), ("G2", "statistics", "yes", "G3"), ("G4", "statistics", "unknown", "G4"),
        ("G4", "model", "no", "G3"), ("G1", "de-identified", "no", "G1"), ("important", "anonymised", "no", "important"),
        ("core", "statistics", "no", "core"),
    ],
)  # fmt: skip
def test_how_far_derived_data_may_fall(source: str, how: str, trait: str, wanted: str) -> None:
    assert derived(source, how, group_trait=trait).grade == wanted


def test_an_unknown_derivation_is_refused() -> None:
    for source, how in (("G4", "blurred"), ("G9", "tagged")):
        with pytest.raises(ValueError, match="not a way to derive"):
            derived(source, how)


GENOTYPES = artefact("cohort-genotypes", assay="WGS")
SAFE_TABLE = artefact("phenotype-anonymous")


def test_two_views_in_one_hand_are_judged_as_fused() -> None:
    both = fused([GENOTYPES, SAFE_TABLE])
    assert (both.grade, both.level, both.identifiability, both.tier) == ("G4", 4, "L2", "enclave")
    assert both.hgr == ("C1.3",)
    twice = fused([SAFE_TABLE, artefact("sample-metadata")])
    assert twice.identifiability == "L2"
    assert fused([SAFE_TABLE, SAFE_TABLE]).identifiability == "L2", "joint uniqueness was not measured"
    assert fused([SAFE_TABLE]) == highest([SAFE_TABLE])


def test_a_package_with_one_hgr_member_is_hgr_information() -> None:
    assert highest([SAFE_TABLE, artefact("aggregate-counts", assay="WGS")]).hgr == ("C1.4",)


def test_growth_over_a_line_asks_the_question_of_important_data() -> None:
    label = replace(GENOTYPES, candidate=False)
    grown = regrade(label, Change(what="growth", people_before=500, people_now=501))
    assert (grown.label.candidate, grown.holds) == (True, True)
    same = regrade(label, Change(what="growth", people_before=501, people_now=9999))
    assert (same.label, same.holds) == (label, False)
    assert not regrade(SAFE_TABLE, Change(what="growth", people_before=1, people_now=10**7)).holds, "not genetic"


def test_fusion_linkage_incident_and_notice_raise_and_hold() -> None:
    fusion = regrade(SAFE_TABLE, Change(what="fusion", with_views=(GENOTYPES,)))
    assert (fusion.label.grade, fusion.holds) == ("G4", True)
    linked = regrade(SAFE_TABLE, Change(what="linkage"))
    assert (linked.label.grade, linked.label.identifiability, linked.holds) == ("G4", "L2", True)
    assert regrade(SAFE_TABLE, Change(what="incident")).label.grade == "G4"
    assert regrade(GENOTYPES, Change(what="incident")).holds, "held although no grade is left to rise to"
    assert regrade(GENOTYPES, Change(what="authority-notice", notified="important")).label.grade == "important"
    assert regrade(GENOTYPES, Change(what="authority-notice", notified="G1")).label == GENOTYPES
    with pytest.raises(ValueError, match="not a trigger"):
        regrade(GENOTYPES, Change(what="weather"))


some_label = st.builds(
    Label,
    grade=st.sampled_from(GRADES),
    level=st.integers(1, 5),
    identifiability=st.sampled_from(IDENTIFIABILITY),
    tier=st.sampled_from(DOORS),
    sensitive=st.booleans(),
    hgr=st.sampled_from([(), ("C1.1",), ("C3.2",)]),
    candidate=st.booleans(),
)
TRIGGERS = [
    "content", "growth", "timeliness", "use", "fusion", "de-identification", "linkage", "incident", "rule",
    "authority-notice", "recipient", "withdrawal",
]  # fmt: skip


def protects(label: Label) -> tuple[int, ...]:
    return (
        GRADES.index(label.grade), label.level, IDENTIFIABILITY.index(label.identifiability), DOORS.index(label.tier),
        int(label.sensitive), int(label.candidate), len(label.hgr),
    )  # fmt: skip


@given(
    some_label, st.sampled_from(TRIGGERS), st.lists(some_label, max_size=2), st.integers(0, 2000), st.integers(0, 2000)
)
@settings(max_examples=100, deadline=None)
def test_no_change_lowers_a_label(label: Label, what: str, views: list[Label], before: int, now: int) -> None:
    change = Change(what=what, people_before=before, people_now=now, with_views=tuple(views), notified="important")
    after = regrade(label, change)
    assert all(new >= old for old, new in zip(protects(label), protects(after.label), strict=True))
    assert after.reasons


@given(st.lists(some_label, min_size=1, max_size=4), some_label)
@settings(max_examples=100, deadline=None)
def test_one_more_member_never_lowers_a_set(some: list[Label], more: Label) -> None:
    for combine in (highest, fused):
        before, after = protects(combine(some)), protects(combine([*some, more]))
        assert all(new >= old for old, new in zip(before, after, strict=True))


CAREFUL = Context(controls="high", motive="low", security="high", prevalence=0.0001, acquaintances=150)
TABLE = Measured(
    direct_identifiers=False, quasi_identifiers=True, genotypes=False, max_class_risk=1 / 6, mean_class_risk=0.1
)


def test_the_context_is_the_likeliest_attack() -> None:
    assert context_risk(CAREFUL) == 0.14  # breach
    assert context_risk(replace(CAREFUL, motive="high")) == 0.2  # deliberate
    assert context_risk(replace(CAREFUL, prevalence=0.01)) == pytest.approx(1 - 0.99**150)  # acquaintance
    assert context_risk(replace(CAREFUL, security="unheard of")) == context_risk(Context()) == 1.0


@pytest.mark.parametrize(
    ("change", "tier", "context", "wanted"),
    [
        ({"direct_identifiers": True}, "controlled", CAREFUL, "L1"),
        ({"direct_identifiers": None}, "controlled", CAREFUL, "L1"),
        ({}, "controlled", CAREFUL, "L3"),  # 0.1 x 0.14
        ({}, "controlled", Context(), "L2"),  # 0.1 x 1
        ({"max_class_risk": 0.21}, "controlled", CAREFUL, "L2"),  # a class of four
        ({"max_class_risk": 0.2}, "controlled", CAREFUL, "L3"),  # a class of five is not over 1/5
        ({"max_class_risk": 0.3}, "enclave", CAREFUL, "L3"),
        ({}, "open", CAREFUL, "L2"),  # 1/6 is over 1/20
        ({"max_class_risk": 0.04}, "open", CAREFUL, "L3"),
        ({"max_class_risk": 0.05}, "open", CAREFUL, "L2"),  # not over tau, and not below the line
        ({"max_class_risk": 0.04}, "registered", Context(), "L3"),
        ({"max_class_risk": None}, "controlled", CAREFUL, "L2"),
        ({"mean_class_risk": None}, "controlled", CAREFUL, "L2"),
        ({"genotypes": True, "quasi_identifiers": False}, "controlled", CAREFUL, "L2"),
        ({"quasi_identifiers": False}, "open", Context(), "L4"),
        ({"quasi_identifiers": None}, "open", CAREFUL, "L2"),
        ({}, "a new door", CAREFUL, "L2"),
    ],
)
def test_the_level_of_identifiability(change: dict[str, Any], tier: str, context: Context, wanted: str) -> None:
    assert level(replace(TABLE, **change), tier, context) == wanted


def test_a_class_over_the_limit_makes_the_whole_risk_one() -> None:
    assert overall_risk(replace(TABLE, max_class_risk=0.25), "controlled", CAREFUL) == 1.0
    assert overall_risk(TABLE, "controlled", CAREFUL) == pytest.approx(0.014)
