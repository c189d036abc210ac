"""The annual preservation report: what human genetic resources are held, whence, and what became of them in a year.

Legal sense: 人类遗传资源保藏年度报告, due by 31 January for the year before (条例 第十五条; catalogue HGR-20).
Dates and provisions come from the proven log; what a dataset is comes from its fact row, which equals its leaf in a
house whose ``ledger audit --db`` is clean. Numbers of people are those of now, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.ledger_reports import Entry, holders
from gateway.ports import Row, Tx
from gateway.times import legal_day, parse

COLUMNS = (
    "dataset", "category", "origin", "owner", "holder", "responsible", "recorded_on", "people", "withdrawn",
    "provisions", "recipients", "purposes", "state",
)  # fmt: skip
TITLES: Mapping[str, str] = {
    "dataset": "数据集名称 dataset",
    "category": "资源类别 category",
    "origin": "来源 origin",
    "owner": "所有单位 owner",
    "holder": "保藏单位 holder",
    "responsible": "负责人 responsible",
    "recorded_on": "登记日期 recorded on",
    "people": "现有人数 people held",
    "withdrawn": "本年退出人数 withdrawn in the year",
    "provisions": "本年对外提供次数 provisions",
    "recipients": "接收方 recipients",
    "purposes": "用途 purposes",
    "state": "状态 state",
}


def annual_rows(tx: Tx, entries: Iterable[Entry], *, year: int, custodian: str | None = None) -> list[dict[str, Any]]:
    """One row for each dataset that was held in that legal year (Asia/Shanghai), in the order they were recorded."""
    kept = list(entries)
    begun = _recorded(kept)
    given = [row for row in holders(tx, kept, custodian=custodian) if _year(row["at"]) == year]
    rows = []
    for dataset_id, at in begun.items():
        dataset = tx.get("dataset", dataset_id)
        if dataset is None or _year(at) > year or (custodian is not None and dataset["custodian_id"] != custodian):
            continue
        rows.append(_row(tx, dataset, at, [one for one in given if one["dataset"] == dataset_id], year))
    return rows


def _recorded(entries: Iterable[Entry]) -> dict[str, str]:
    """When the log first heard of each dataset."""
    begun: dict[str, str] = {}
    for entry in entries:
        fact = entry.event["public"].get("fact")
        if fact is not None and fact["table"] == "dataset":
            begun.setdefault(fact["row"], entry.event["at"])
    return begun


def _row(tx: Tx, dataset: Row, at: str, given: Sequence[Mapping[str, Any]], year: int) -> dict[str, Any]:
    manifest = dataset["manifest"] or {}
    consents = tx.find("consent", dataset_id=dataset["id"])
    left = [one["withdrawn_recorded_at"] for one in consents if one["withdrawn_recorded_at"]]
    hgr = manifest.get("hgr") or {}
    return {
        "dataset": (dataset["title"] or {}).get("zh-Hans") or (dataset["title"] or {}).get("en", dataset["slug"]),
        "category": " ".join(str(hgr[key]) for key in ("category", "subtype") if hgr.get(key)),
        "origin": manifest.get("origin_of_material", ""),
        "owner": _institution(tx, dataset["owner_id"]),
        "holder": _institution(tx, dataset["holder_id"]),
        "responsible": dataset["responsible_person"],
        "recorded_on": str(legal_day(parse(at))),
        "people": len(consents) - len(left),
        "withdrawn": sum(_year(one) == year for one in left),
        "provisions": len(given),
        "recipients": sorted({str(one["recipient"]) for one in given}),
        "purposes": sorted({_purpose(one["purpose"]) for one in given}),
        "state": dataset["state"],
    }


def _purpose(said: Any) -> str:
    return str(said.get("text") or said.get("term")) if isinstance(said, Mapping) else str(said)


def _institution(tx: Tx, institution_id: Any) -> str:
    row = tx.get("institution", str(institution_id))
    name = {} if row is None else row["name"] or {}
    return str(name.get("zh-Hans") or name.get("en") or institution_id)


def _year(at: Any) -> int:
    return legal_day(parse(str(at))).year
