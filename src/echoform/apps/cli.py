"""The ``echoform`` command: exit code 0 when the work is done, 2 when the request or a file is at fault, 130 on Ctrl-C.

A hang-up or a termination ends it as Ctrl-C does, with nothing half-written, and as usual with 129 and 143.

Nothing heavy is imported before a command is known, so that help is quick.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

USAGE, INTERRUPTED = 2, 130
#: exit code of a process ended by signal number zero, as shells give it
ENDED = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code.

    Args:
        argv: arguments without the program's name; those of the process when absent.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with _ended_by_signals():
            return _run(arguments)
    except KeyboardInterrupt as reason:
        print("echoform: interrupted; nothing was written", file=sys.stderr)
        return ENDED + reason.args[0] if reason.args else INTERRUPTED


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let hang-up and termination raise KeyboardInterrupt(number) where they would end the process at once.

    A hang-up that is ignored already (nohup) stays so, and only the main thread may set handlers.
    """
    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    plain = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
    ours = plain if threading.current_thread() is threading.main_thread() else []
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def _run(arguments: list[str]) -> int:
    from echoform import __version__

    if arguments == ["--version"]:
        print(f"echoform {__version__}")
        return 0
    from echoform.apps.errors import Interrupted, UsageError
    from echoform.apps.options import parse
    from echoform.measure.errors import MeasurementFileError, OutputError, one_line

    try:
        _carry_out(parse(arguments), arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    except (UsageError, MeasurementFileError, OutputError) as error:
        print(f"echoform: {one_line(str(error))}", file=sys.stderr)
        return USAGE
    except Interrupted as reason:
        print(f"echoform: {one_line(str(reason))}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _carry_out(command: object, arguments: list[str]) -> None:
    from echoform.apps import commands
    from echoform.apps.autofocus import autofocus
    from echoform.apps.convert import convert
    from echoform.apps.demo import demo
    from echoform.apps.export import export
    from echoform.apps.options import (
        Autofocus,
        Compare,
        Convert,
        Demo,
        Export,
        Info,
        Reconstruct,
        Sample,
        Simulate,
        Train,
        Weights,
    )
    from echoform.apps.sample import sample
    from echoform.apps.simulate import simulate
    from echoform.apps.weights import manage_weights

    match command:
        case Reconstruct():
            commands.reconstruct(command, arguments)
        case Compare():
            commands.compare(command, arguments)
        case Autofocus():
            autofocus(command, arguments)
        case Info():
            commands.info(command)
        case Convert():
            convert(command)
        case Demo():
            demo(command, arguments)
        case Simulate():
            simulate(command)
        case Weights():
            manage_weights(command)
        case Sample():
            sample(command, arguments)
        case Export():
            export(command)
        case Train():
            from echoform.apps.train import train_recipe  # loads accelerate, which other commands do without

            train_recipe(command)
        case _:
            raise TypeError(f"no such command: {command!r}")


if __name__ == "__main__":
    sys.exit(main())
