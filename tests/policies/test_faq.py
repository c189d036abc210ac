"""The twelve rows of section 5 of the HGR questions and answers (2022-03-02), each quoting its question.

The words are those of the notice (关于更新人类遗传资源管理常见问题解答的通知); read 备案 as 事先报告 from 2023-07-01.
"""

from __future__ import annotations

from datetime import UTC, datetime

from policies.vocabulary import Effect
from tests.policies.cases import (
    AT,
    FREQUENCIES,
    INSIDE,
    JOINT,
    NO_CONTRACT,
    PUBLISH,
    RELEASE,
    UNFILED,
    failed,
    load_policy,
    made,
)

OUTSIDE_COOPERATION = {**JOINT, "filings.cooperation_covers": False}
"""The project has its cooperation; this recipient or this data is not part of it."""


def test_5_1_publication_abroad_needs_the_backup_and_then_the_report() -> None:
    """在国外发表文章或参加国际会议涉及人类遗传资源信息开放使用的，如何进行信息备份和备案？"""
    nothing = {
        **FREQUENCIES, **UNFILED, "filings.open_use_report": False, "filings.report_before_first_byte": False,
    }  # fmt: skip
    assert failed(PUBLISH, made(nothing)) == {"FAQ-5.1", "FAQ-5.6"}
    backed_up = {**nothing, "filings.backup": True}
    assert "FAQ-5.1" in failed(PUBLISH, made(backed_up))
    assert "BKP-01" in failed(PUBLISH, made(backed_up)), "filed through the natural person the legal person authorised"
    assert failed(PUBLISH, made(FREQUENCIES)) == frozenset()


def test_5_2_a_foreign_statistics_company_outside_the_cooperation_needs_both() -> None:
    """数据统计公司如需接收人类遗传资源信息，是否需要进行信息备份和备案？"""
    company = {**OUTSIDE_COOPERATION, "recipient.party_class": "P2", "recipient.kind": "company"}
    assert failed(RELEASE, made({**company, **UNFILED})) == {"HGR-10", "BKP-02"}
    assert failed(RELEASE, made(company)) == frozenset()


def test_5_3_a_chinese_party_outside_the_cooperation_needs_neither() -> None:
    """某国际合作的临床试验，对合作各方之外的其他单位（为中方单位）提供总结报告或其他试验数据，是否属于开放使用，是否需要进行信息备份和备案？"""
    chinese = {**OUTSIDE_COOPERATION, **INSIDE, **NO_CONTRACT, **UNFILED}
    assert failed(RELEASE, made(chinese)) == frozenset()
    assert failed(RELEASE, made({**chinese, "filings.dua": False})) == {"PI-05"}, "the other rules still run"


def test_5_4_the_report_may_end_after_the_cooperation() -> None:
    """信息备份和备案的对外提供结束时间，可以晚于国际合作的截止时间吗？"""
    ended = {**JOINT, "purpose.joint_research": "no", "filings.cooperation": False, "filings.cooperation_covers": False}
    assert failed(RELEASE, made(ended)) == frozenset(), "the cooperation has ended, the report stands"
    read = {path for rule in load_policy().rules.values() for path in rule.facts}
    assert not {path for path in read if "end" in path.split(".")[1].split("_")}


def test_5_5_a_foreign_party_cannot_file() -> None:
    """外方单位可以作为信息备份和备案的申请单位吗？"""
    decision = load_policy().decide(RELEASE, made({"report_filer.of_owner": "no"}), AT)
    assert decision.effect == Effect.DENY
    assert [reason["rule"] for reason in decision.reasons] == ["FAQ-5.5"]
    assert failed(RELEASE, made({"person.foreign_individual": "yes"})) == frozenset(), "who asks for access may be"


def test_5_6_the_filing_comes_before_the_data_leaves() -> None:
    """发表文章涉及开放使用人类遗传资源信息的，应何时进行信息备份和备案？"""
    late = {**FREQUENCIES, "filings.report_before_first_byte": False}
    assert failed(PUBLISH, made(late)) == {"FAQ-5.6"}
    assert failed(PUBLISH, made(FREQUENCIES)) == frozenset()


def test_5_7_a_continuous_flow_stays_within_the_filed_volume_when_it_has_gene_data() -> None:
    """实时出境的数据信息应如何进行备份和备案？"""
    flow = {"view.flow": "continuous", "counts.filed_volume": 1000}
    assert failed(RELEASE, made({**flow, "counts.forecast_volume": 1001})) == {"FAQ-5.7a"}
    assert failed(RELEASE, made({**flow, "counts.forecast_volume": 1000})) == frozenset()
    assert failed(RELEASE, made(flow)) == {"FAQ-5.7a"}, "nobody forecast the whole project"
    owed = load_policy().decide(RELEASE, made({**flow, "counts.forecast_volume": 1}), AT).obligations
    assert "FAQ-5.7a" in {row["rule"] for row in owed}, "back up periodically after acceptance"
    without_genes = {**flow, **UNFILED, "dataset.hgr": "no", "counts.forecast_volume": 1001}
    assert failed(RELEASE, made(without_genes)) == frozenset()


def test_5_8_one_backup_and_one_report_for_each_recipient() -> None:
    """如果有不同的接收方，信息是否需要分别备份和备案？"""
    other_recipient = {"filings.prior_report": False, "filings.report_covers_package": False}
    assert failed(RELEASE, made(other_recipient)) == {"HGR-10"}, "the one backup serves; the report is another's"


def test_5_9_another_countrys_regulator_is_a_foreign_party_outside() -> None:
    """向其他国家管理部门分阶段递交项目数据，是否需要申报信息备份和备案？"""
    regulator = {
        **OUTSIDE_COOPERATION, "recipient.party_class": "P5", "recipient.place": "overseas", "recipient.in_gba": False,
        "person.place_of_access": "overseas", "filings.mechanism": "standard-contract",
    }  # fmt: skip
    assert failed(RELEASE, made({**regulator, **UNFILED})) == {"HGR-10", "BKP-02"}
    assert failed(RELEASE, made(regulator)) == frozenset()


def test_5_10_the_parts_of_a_split_study_are_filed_apart() -> None:
    """一项国际合作临床研究拆成注册和探索性部分两个申请，所涉及的数据信息对外提供时备份和备案需要分开申请吗？"""
    other_part = {"filings.report_covers_package": False}
    assert failed(RELEASE, made(other_part)) == {"HGR-10"}, "the report of one part does not cover the other's package"


def test_5_11_already_public_data_needs_neither_while_its_accession_is_kept() -> None:
    """利用已公开的人类遗传资源数据，是否需要进行信息备份和备案？"""
    public = {**UNFILED, "dataset.public": "yes", "dataset.public_accession": True}
    assert failed(RELEASE, made(public)) == frozenset()
    assert failed(RELEASE, made({**public, "dataset.public_accession": False})) == {"HGR-10", "BKP-02"}
    assert failed(RELEASE, made({**public, "dataset.public": "unknown"})) == {"HGR-10", "BKP-02"}


def test_5_12_the_filing_says_where_the_data_will_lie() -> None:
    """信息备份和备案的存储地点填写有什么要求？"""
    assert failed(RELEASE, made({"filings.storage_location": False})) == {"FAQ-5.12"}
    assert failed(PUBLISH, made({**FREQUENCIES, "filings.storage_location": False})) == {"FAQ-5.12"}


def test_the_word_is_filing_before_july_2023_and_prior_report_after() -> None:
    """五、信息对外提供或开放使用备案"""
    for year, word in ((2022, "备案"), (2024, "事先报告")):
        reasons = load_policy().decide(RELEASE, made(UNFILED), datetime(year, 6, 1, tzinfo=UTC)).reasons
        title = next(reason["title"]["zh-Hans"] for reason in reasons if reason["rule"] == "HGR-10")
        assert word in title
