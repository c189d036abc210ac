"""The reports as they are handed in on paper: titles, columns and notes in Chinese with English beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.ledger_reports import COLUMN_TITLES
from gateway.preservation import COLUMNS, TITLES
from gateway.report_pdf import Page
from gateway.times import SHANGHAI, parse

_QUARTERLY = (
    ("at", 18), ("release", 24), ("position", 10), ("recipient", 26), ("place", 16), ("people", 10), ("volume", 14),
    ("purpose", 38), ("filings", 34), ("ended", 14), ("in_hand", 12),
)  # fmt: skip
_ANNUAL = (22, 15, 16, 24, 24, 20, 18, 13, 15, 15, 26, 32, 17)
_SEAL = ("单位负责人（签字） head of the unit: ____________________　　　日期 date: ____________",
         "填报单位（盖章） seal of the unit: ____________________")  # fmt: skip
_WORDS = {
    "mainland": "内地", "hong_kong": "香港", "macau": "澳门", "overseas": "境外", "open": "进行中",
    "complete": "已完成", "expired": "已到期", "revoked": "已撤销", "superseded": "已替换", "lost": "中断",
    "again": "再次下载",
    "yes": "是", "no": "否",
    "perhaps": "可能", "unknown": "未知", "confirmed": "已确认", "proposed": "待确认", "erased": "已删除",
    "does not open": "不符", "withdrawn": "已退出",
}  # fmt: skip
_SOURCE = (
    "本表由存证账本生成：出表前已验证账本全部条目；任何人可持账本副本、公钥与一份留存回执离线复核。"
    "Made from the ledger, every entry of which was proven first; anybody can check it offline with a copy, the key "
    "and a kept receipt."
)


def quarterly_page(
    rows: Sequence[Mapping[str, Any]], ledger: Sequence[tuple[str, str]], *, year: int, quarter: int
) -> Page:
    """Use, final purpose and destination in one quarter (TRI-13)."""
    return Page(
        title=f"{year} 年第 {quarter} 季度数据使用、最终用途与流向报告　Quarterly report: use, purpose, destination",
        facts=[*ledger, ("提供次数 releases", str(len(rows)))],
        columns=[COLUMN_TITLES[name] for name, _ in _QUARTERLY],
        widths=[width for _, width in _QUARTERLY],
        rows=[[_shown(name, row.get(name)) for name, _ in _QUARTERLY] for row in rows],
        notes=[_SOURCE, "季度按北京时间计算。 Quarters are counted in Asia/Shanghai."],
        signatures=_SEAL,
    )


def annual_page(rows: Sequence[Mapping[str, Any]], ledger: Sequence[tuple[str, str]], *, year: int) -> Page:
    """What is held and what became of it (HGR-20)."""
    return Page(
        title=f"{year} 年度人类遗传资源保藏情况报告　Annual report on preserved human genetic resources",
        facts=[*ledger, ("数据集数 datasets", str(len(rows))), ("报送期限 due", f"{year + 1}-01-31")],
        columns=[TITLES[name] for name in COLUMNS],
        widths=_ANNUAL,
        rows=[[_shown(name, row.get(name)) for name in COLUMNS] for row in rows],
        notes=[_SOURCE, "“现有人数”为制表时的人数。 Numbers of people held are those of the day the report was made."],
        signatures=_SEAL,
    )


def _shown(name: str, value: Any) -> str:
    """A cell's words: times as the law counts them, fixed words in Chinese too, lists with a separator."""
    if name == "at":
        return parse(str(value)).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, str) and value in _WORDS:
        return f"{_WORDS[value]} {value.replace('_', ' ')}"
    if isinstance(value, Mapping):
        value = value.get("text") or value.get("term") or ""
    if isinstance(value, list | tuple):
        return "；".join(map(str, value))
    return "" if value is None else str(value)
