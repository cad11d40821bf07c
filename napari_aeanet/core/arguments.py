"""Check the arguments of public functions, so that a mistake is refused at the call."""

from __future__ import annotations


def check_type(name: str, value: object, *kinds: type) -> None:
    """Refuse an argument of a wrong type.

    Raises
    ------
    TypeError
        If `value` is of none of `kinds`; the message names the argument, what it may be, and
        what was given.
    """
    if not isinstance(value, kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {allowed}, got {type(value).__name__}.")
