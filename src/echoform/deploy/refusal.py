"""When a sensor's arithmetic has no form in another engine: one line that says which operation of which sensor is the reason."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from echoform.deploy.exportable import Exportable

#: rooms whose functions are named as the reason
ROOMS = ("physics", "linalg")
#: how tracers call a decision that depends on numbers
DATA_DEPENDENT = re.compile(r"data.dependent|unbacked|cannot be converted to .*concrete|FakeTensor", re.IGNORECASE)
#: how converters name what they cannot translate
UNKNOWN = re.compile(
    r"(?:No conversion rule found for operations: |No ONNX function found for <OpOverload\(op=')([\w:., ]+)"
)


class UnsupportedSensorError(ValueError):
    """A sensor that cannot be exported; the message is one line."""


@contextlib.contextmanager
def refusing(part: Exportable, engine: str) -> Iterator[None]:
    """Turn whatever a tracer or converter raises into one line, and keep it from printing of its own innards meanwhile.

    Args:
        part: what is being exported.
        engine: its name, for the message.

    Raises:
        UnsupportedSensorError: anything failed but for want of memory.
    """
    disabled = logging.root.manager.disable
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            yield
    except (MemoryError, UnsupportedSensorError):
        raise
    except Exception as error:
        raise UnsupportedSensorError(f"{part.described()} cannot be exported to {engine}: {reason(error)}") from error
    finally:
        logging.disable(disabled)


def reason(error: BaseException) -> str:
    """Return what failed, in one line: the function of a sensor that was being traced, or the operation without a translation."""
    chain = list(_chain(error))
    text = " ".join(str(e) for e in chain)
    unknown = UNKNOWN.search(text)
    if unknown is not None:
        return f"the engine has no {unknown.group(1).strip(' ,.')}"
    first = next((line.strip() for line in str(chain[-1]).splitlines() if line.strip()), type(chain[-1]).__name__)
    why = "depends on numbers known only when it runs" if DATA_DEPENDENT.search(text) else f"failed ({first})"
    places = [place for e in chain if (place := _place(e)) is not None]
    return f"{places[-1]} {why}" if places else first


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, the first cause last."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _place(error: BaseException) -> str | None:
    """Return the innermost function of a sensor in which an error arose, ``Class.method`` and its file."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if _in_rooms(frame)]
    if not frames:
        return None
    code = frames[-1].f_code
    return f"{code.co_qualname.replace('.<locals>', '')} ({Path(code.co_filename).name})"


def _in_rooms(frame: FrameType) -> bool:
    return any(frame.f_globals.get("__name__", "").startswith(f"echoform.{room}.") for room in ROOMS)
