"""The ``echoform`` command: exit code 0 when the work is done, 2 when the request or a file is at fault, 130 on Ctrl-C.

Nothing heavy is imported before a command is known, so that help is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code.

    Args:
        argv: arguments without the program's name; those of the process when absent.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("echoform: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    from echoform import __version__

    if arguments == ["--version"]:
        print(f"echoform {__version__}")
        return 0
    from echoform.apps.options import parse

    try:
        command = parse(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else USAGE
    from echoform.apps.errors import Interrupted, UsageError
    from echoform.measure.errors import MeasurementFileError, OutputError, one_line

    try:
        _carry_out(command, arguments)
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
