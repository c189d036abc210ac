"""Parsers of outside files run here: a fresh child, file descriptors, limits, no keys and no network (invariant 19).

    gateway.sandbox.port          Sandbox, Limits, SandboxError: what use cases know
    gateway.sandbox.runner        ProcessSandbox: one process per run
    gateway.sandbox.confinement   protections(): what this kernel can enforce

Nothing is imported here, because the child imports this package and each import is time on every run.
"""
