"""Places: a place becomes its city, then its province.

GB/T 37964-2019, Annex A: generalisation (泛化技术).

Read are mainland addresses and codes of administrative division (GB/T 2260, six digits: province, city, county by
pairs). Names are read by their endings; a place without a province keeps its city there, so that nothing is invented.
"""

from __future__ import annotations

import re

from deid.tables.values import UnreadableError

_PROVINCE = r"(?:.{2,8}?(?:省|自治区|特别行政区))"
_CITY = r"(?:.{2,10}?(?:自治州|地区|盟|市))"
_PLACE = re.compile(rf"({_PROVINCE})?({_CITY})?(.*)\Z")


def place_above(value: str) -> tuple[str, str]:
    """City, then province. Raises UnreadableError where the text names neither."""
    text = value.strip()
    if re.fullmatch(r"[1-9][0-9]{5}", text):
        return text[:4], text[:2]
    found = _PLACE.match(text)
    province, city = (found[1] or "", found[2] or "") if found else ("", "")
    if not province and not city:
        raise UnreadableError("a place such as 广东省深圳市南山区 or a code such as 440305")
    return province + city, province or city
