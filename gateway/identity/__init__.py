"""How people prove who they are: passwords and tokens. What they may do is for ``policies`` and
``gateway.accounts``."""
