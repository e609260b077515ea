"""``echoform export``: the network bound to the sensor of a measurement file, or its backbone, as a model for another engine."""

from __future__ import annotations

from echoform.apps.errors import UsageError
from echoform.apps.options import Export


def export(options: Export) -> None:
    """Carry out ``echoform export``.

    Raises:
        UsageError: a package is missing, the network cannot be bound to this sensor, or the engine cannot carry it out.
    """
    from echoform.apps.methods import Settings, network_of
    from echoform.deploy.bare_backbone import BareBackbone
    from echoform.deploy.extra import MissingExtraError
    from echoform.deploy.fixed_sensor import fixed_sensor
    from echoform.measure.reading import read

    if not options.out.parent.is_dir():
        raise UsageError(f"--out: the folder {options.out.parent} does not exist; make it or name another")
    measurement = read(options.file, slice_index=options.slice)
    try:
        network, operator = network_of(Settings(weights=options.weights)), measurement.operator
        part = BareBackbone(network, operator) if options.backbone else fixed_sensor(network, operator)
        if options.out.suffix == ".onnx":
            from echoform.deploy.onnx_file import save_onnx

            save_onnx(part, options.out)
        else:
            from echoform.deploy.openvino_model import save_openvino, to_openvino

            save_openvino(to_openvino(part), options.out)
    except (MissingExtraError, ValueError, NotImplementedError) as error:
        raise UsageError(str(error)) from error
    if options.backbone:
        print(f"{options.out}: takes {' and '.join(str(tuple(x.shape)) for x in part.example_inputs())}")
    else:
        print(f"{options.out}: echoform.deploy.engine.EngineReconstructor runs it from measurement to image")
