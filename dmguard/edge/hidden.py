"""Libraries that others load where they find them, though nobody here uses them."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def hidden(name: str) -> Iterator[None]:
    """Meanwhile an import of it raises ImportError, as on a host that does not have it."""
    missing = name not in sys.modules
    if missing:
        sys.modules[name] = None  # type: ignore[assignment] # what makes an import raise
    try:
        yield
    finally:
        if missing:
            del sys.modules[name]
