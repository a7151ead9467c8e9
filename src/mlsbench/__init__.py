"""Grade training losses, and the agents that write them, on privacy against membership inference."""

__version__ = "0.1.0"


class UserError(Exception):
    """A mistake or a missing thing that its user can mend; the message says what, where and how."""


class MachineError(UserError):
    """Nothing is wrong with what was asked for, but this machine, as it is, cannot do it."""
