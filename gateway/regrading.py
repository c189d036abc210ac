"""Look at a view's label again when something changed: growth, fusion, linkage, an incident, an authority's notice.

One person of the house reports it. The label is proposed as the rules grade it now, never lower than it was, and until
a second person has confirmed it the view's releases hold (GW-05). To report is to restrict, so it holds at once.
Source: GB/T 43697-2024 6.5 and appendix J; the triggers are ``policies/tables/grades.toml``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import BadInput
from gateway.labels import own_view, shown_label
from gateway.ports import Row, Tx
from gateway.record import put_fact
from policies.grading import Change, regrade
from policies.model import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What changed: a trigger of the table, why, and what the trigger asks for."""

    what: str
    note: str
    with_views: tuple[str, ...] = ()
    people_now: int = 0
    notified: str = ""


def report_change(env: Env, actor: Actor, view_id: str, reported: Reported) -> dict[str, Any]:
    """The view with its label as proposed anew; a second steward confirms it."""
    require(actor, "steward", "custodian")
    if not reported.note.strip():
        raise BadInput("a change of a label needs a note: the one who confirms it reads why")

    def work(tx: Tx) -> Row:
        view, others = own_view(tx, actor, view_id), [own_view(tx, actor, each) for each in reported.with_views]
        dataset = tx.get("dataset", view["dataset_id"])
        try:
            found = regrade(
                Label.from_json(view["label"]),
                Change(
                    what=reported.what,
                    people_before=0 if dataset is None else dataset["participants"],
                    people_now=reported.people_now,
                    with_views=tuple(Label.from_json(other["label"]) for other in others),
                    notified=reported.notified,
                ),
            )
        except ValueError as error:
            raise BadInput(str(error)) from None
        label = {**view["label"], **found.label.to_json(), "reason": "; ".join((*found.reasons, reported.note.strip()))}
        columns = {"label": label, "labelled_by": actor.person_id, "confirmed_by": None, "state": "proposed"}
        return put_fact(tx, env, "view", view_id, columns=columns, kind="restrict")

    return dict(shown_label(env.uow.run(work)))
