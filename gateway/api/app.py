"""The application: routes, problem documents, the background worker and the epoch guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.api import custody, ledger, people, policy, releases
from gateway.api.problems import install
from gateway.delivery.guard import EpochGuard
from gateway.env import Env
from gateway.handover import close_lost
from gateway.ports import Tx
from gateway.revocation import shred_leftovers
from gateway.worker import Worker


def create_app(env: Env) -> FastAPI:
    """An application over these ports. Starting it cleans up after a crash, then begins to work."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        env.ledger.sync()
        close_lost(env)
        shred_leftovers(env)
        every = float(env.settings["epoch_poll_seconds"])
        app.state.guard = EpochGuard(lambda: env.uow.read(_global_epoch), every=every)
        app.state.worker = Worker(env)
        app.state.guard.start()
        app.state.worker.start()
        yield
        app.state.worker.stop()
        app.state.guard.stop()

    app = FastAPI(title="Tongguan 通关", version="0.1.0", lifespan=life, redoc_url=None)
    app.state.env = env
    install(app)
    for router in (people.router, custody.router, releases.router, ledger.router, policy.router):
        app.include_router(router)
    return app


def _global_epoch(tx: Tx) -> int:
    return tx.epochs(["global"])["global"]
