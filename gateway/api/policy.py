"""The law: what it says of given facts, which rules judge here, and the acts of two people that change them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gateway import lawbook, lawbook_changes
from gateway.api.auth import CurrentActor, CurrentEnv
from gateway.api.bodies import ActivationBody, ExplainBody, SignOffBody
from gateway.errors import BadInput
from policies.diff import read_request
from policies.explain import explain as whole_answer

router = APIRouter(prefix="/policy", tags=["policy"])


@router.post("/explain")
def explain(body: ExplainBody, env: CurrentEnv, actor: CurrentActor, all: bool = False) -> dict[str, Any]:  # noqa: A002
    """What the law in force here says of these facts; ``all`` adds the rules that did not fail, and why."""
    del actor
    try:
        action, facts, at = read_request(body.model_dump(exclude_none=True, mode="json"), env.clock.now())
    except (ValueError, TypeError) as error:
        raise BadInput(f"facts: {error}") from None
    return whole_answer(env.uow.read(lambda tx: lawbook.in_force(tx, env)).policy, action, facts, at, everything=all)


@router.get("")
def status(env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Which rules judge here, who activated them, and which unread ones lack a name."""
    return lawbook.status(env, actor)


@router.post("/activations", status_code=201)
def propose(body: ActivationBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Propose that the installed rules judge, with these packs switched on."""
    return lawbook.propose_activation(env, actor, body.packs)


@router.get("/activations/{activation_id}/changes")
def changes(activation_id: str, env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """Which live grants would gain or lose by a proposed activation, and by which rules."""
    return lawbook_changes.live_changes(env, actor, activation_id)


@router.post("/activations/{activation_id}/confirmation")
def confirm(activation_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """Confirm as a second person; from the next decision on these rules judge."""
    return lawbook.confirm_activation(env, actor, activation_id)


@router.post("/sign-offs", status_code=201)
def sign_off(body: SignOffBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """Answer by name for a rule whose cited text nobody read, in exactly its present wording."""
    return {"id": lawbook.sign_off(env, actor, body.rule, reason=body.reason, packs=body.packs)}
