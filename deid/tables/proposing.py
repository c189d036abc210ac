"""Propose a role for each column of a table, with the reason; a person confirms it in the recipe.

The content decides before the name: a column half of whose values are identity numbers by their check digit is a direct
identifier whatever it is called. Then the name (English and Chinese), then the look of the values. What nothing is
known about is proposed as a quasi-identifier, the cautious guess; free text is proposed to be dropped. A proposal never
lets anything leave, and a reason never shows a value.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from deid.patterns import find_patterns
from deid.recipe import InputForm
from deid.tables.columnar import Column
from deid.tables.reading import column_names, read_table
from deid.tables.values import UnreadableError, read_date, read_number

MOST_VALUES = 2_000  # distinct values looked at in a column
HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One column: ``role`` is a word of the recipe, ``kind`` what it seems to hold."""

    column: str
    role: str
    kind: str
    reason: str


# Kind, role, names. A name matches as a whole word of the column's name; Chinese as a part of it.
_NAMES: tuple[tuple[str, str, str], ...] = (
    ("name", "identifier", r"name|surname|forename|姓名|名字|患者名|曾用名"),
    ("identity-number", "identifier", r"id_?(?:card|no|number)|identity|ssn|passport|hkid|bir|身份证|证件|护照|通行证"),
    ("telephone", "identifier", r"phone|telephone|tel|mobile|fax|电话|手机|联系方式"),
    ("e-mail", "identifier", r"e_?mail|mail|wechat|邮箱|邮件|微信"),
    (
        "record-number",
        "identifier",
        r"mrn|hospital_?(?:no|number|id)|record_?(?:no|number|id)|patient_?id|participant(?:_?id)?|住院号|病历号|病案号|门诊号|医保号|登记号|样本号|编号",
    ),
    ("address", "identifier", r"address|street|住址|地址|门牌"),
    ("free-text", "text", r"notes?|comments?|remarks?|description|summary|备注|主诉|病史|描述|小结|诊疗经过"),
    ("date", "quasi", r"date|dob|birth(?:_?date|day)?|日期|出生|时间"),
    ("postcode", "quasi", r"post_?code|zip(?:_?code)?|邮编|邮政编码"),
    ("age", "quasi", r"age|年龄|岁"),
    ("sex", "quasi", r"sex|gender|性别"),
    ("ethnicity", "quasi", r"ethnicity|race|nation(?:ality)?|民族|种族|国籍"),
    ("place", "quasi", r"place|city|province|district|county|region|country|籍贯|省|城市|区县|地区|户籍"),
    ("occupation", "quasi", r"occupation|job|profession|employer|work|职业|工作|单位"),
    ("education", "quasi", r"education|degree|学历|文化程度"),
    ("marital", "quasi", r"marital|marriage|婚姻"),
    ("diagnosis", "sensitive", r"diagnos[ie]s|icd(?:_?10)?|disease|phenotype|诊断|疾病|病种|表型"),
    ("income", "sensitive", r"income|salary|wage|收入|工资"),
)
_ICD = re.compile(r"[A-TV-Z][0-9]{2}(?:\.[0-9A-Z]{1,4})?\Z")
_PASSPORT = re.compile(r"(?:[EGDSPH][0-9]{8}|E[A-Z][0-9]{7})\Z")
_PERSON = re.compile(
    r"[王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚][\u4e00-\u9fff]{1,2}\Z"
)
_ADDRESS = re.compile(r".*[省市区县镇乡].*(?:路|街|道|巷|村|号|栋|室)")


def propose_columns(source: BinaryIO, *, form: InputForm | None = None) -> list[Proposal]:
    """A proposal for each column, in the table's order. Raises TableError where the table cannot be read."""
    content, form = source.read(), form or InputForm()
    names = column_names(content, form)
    table, _ = read_table(io.BytesIO(content), columns=names, form=form)
    return [_propose(name, table.columns[name]) for name in names]


def _propose(name: str, column: Column) -> Proposal:
    values = [value.strip() for value in column.values if value is not None]
    step = max(len(values) // MOST_VALUES, 1)
    seen = values[::step]
    for found in (_by_pattern(seen), _by_name(name), _by_look(seen, len(values), len(column.codes))):
        if found is not None:
            role, kind, reason = found
            return Proposal(column=name, role=role, kind=kind, reason=reason)
    return Proposal(column=name, role="quasi", kind="unknown", reason="nothing is known about it, so it is judged")


def _by_pattern(values: Sequence[str]) -> tuple[str, str, str] | None:
    """What most values are by their form."""
    if not values:
        return None
    counts: dict[str, int] = {}
    for value in values:
        for kind in {match.kind for match in find_patterns(value) if len(match.text) > len(value) / 2}:
            counts[kind] = counts.get(kind, 0) + 1
    tests: dict[str, tuple[str, Callable[[str], object]]] = {
        "passport": ("identifier", _PASSPORT.match),
        "address": ("identifier", _ADDRESS.match),
        "name": ("identifier", _PERSON.match),
        "icd-code": ("sensitive", _ICD.match),
    }
    roles = dict.fromkeys(counts, "identifier")
    for kind, (role, test) in tests.items():
        counts[kind], roles[kind] = sum(1 for value in values if test(value)), role
    kind = max(counts, key=lambda one: (counts[one], one))
    share = counts[kind] / len(values)
    return (roles[kind], kind, f"{share:.0%} of its values have the form of {kind}") if share >= HALF else None


def _by_name(name: str) -> tuple[str, str, str] | None:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    low = re.sub(r"[\s\-.]+", "_", spaced)
    for kind, role, words in _NAMES:
        found = re.search(rf"(?:\A|_)(?:{words})(?:\Z|_)|(?:{'|'.join(_chinese(words))})", low)
        if found:
            return role, kind, f"its name says {kind}"
    return None


def _chinese(words: str) -> list[str]:
    return [word for word in words.split("|") if not word.isascii()] or [r"(?!)"]


def _by_look(values: Sequence[str], distinct: int, rows: int) -> tuple[str, str, str] | None:
    if not values:
        return "insensitive", "empty", "it has no value"
    if (
        sum(len(value) for value in values) / len(values) > 30
        or sum(" " in v or "，" in v for v in values) > len(values) / 2
    ):
        return "text", "free-text", "its values are long or hold sentences"
    if all(_reads(read_date, value) for value in values):
        return "quasi", "date", "its values are dates"
    if all(_reads(read_number, value) for value in values):
        return "quasi", "number", "its values are numbers"
    if rows >= 20 and distinct >= 0.9 * rows:
        return "identifier", "unique", "nearly every row has a value of its own"
    return None


def _reads(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except UnreadableError:
        return False
    return True
