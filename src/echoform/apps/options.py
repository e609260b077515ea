"""The options of every command: one frozen dataclass each, from which command line, help and saved configuration come."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from echoform.apps.calibrators import CALIBRATORS, DEFAULT_CALIBRATOR
from echoform.apps.limits import check_seed
from echoform.apps.methods import COMPARED, METHODS
from echoform.apps.problem_families import PROBLEM_FAMILIES

if TYPE_CHECKING:
    MethodName = str
    CalibratorName = str
    FamilyName = str
else:
    MethodName = tyro.extras.literal_type_from_choices(list(METHODS))
    CalibratorName = tyro.extras.literal_type_from_choices(list(CALIBRATORS))
    FamilyName = tyro.extras.literal_type_from_choices(list(PROBLEM_FAMILIES))

OptionalNumber = Annotated[float | None, tyro.conf.arg(metavar="FLOAT")]
OptionalMethod = Annotated[MethodName | None, tyro.conf.arg(metavar="{" + ",".join(METHODS) + "}")]
OptionalMethods = Annotated[tuple[MethodName, ...] | None, tyro.conf.arg(metavar="{" + ",".join(METHODS) + "} ...")]
OptionalWeights = Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")]
OptionalPosition = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="X Y")]
OptionalLooks = Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="PULSES FREQUENCIES")]
OptionalPlace = Annotated[tuple[float, float, float] | None, tyro.conf.arg(metavar="LATITUDE LONGITUDE HEIGHT")]
OptionalSlice = Annotated[int | None, tyro.conf.arg(metavar="INT")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
#: recipes that come with echoform, as echoform.train.recipe_file tells them, which is not loaded for a help text
RECIPES = [path.stem for path in sorted(Path(str(files("echoform") / "train" / "recipes")).glob("*.toml"))]
RECIPE_HELP = f"TOML file, or the name of a recipe that comes with echoform: {', '.join(RECIPES)}."
InputFile = Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every run of a reconstruction takes."""

    sigma: OptionalNumber = None
    """Standard deviation of the noise of one sample, in the unit of the samples; replaces what is stated or estimated."""

    seed: int = 0
    """Seed of everything that is drawn at random."""

    dynamic_range_db: float = 50.0
    """Depth of the pictures below their peak, decibels."""

    weights: OptionalWeights = None
    """Weights of ram, ram-refined, pnp and posterior: a name (`echoform weights list`), a .safetensors file or an official
    checkpoint ram.pth.tar."""

    target_m: OptionalPosition = None
    """Ground position of the point target to enlarge and measure, metres; the strongest pixel when absent."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What every command takes that reads a measurement."""

    file: InputFile
    """Measurement file; `echoform info` says what it holds."""

    slice: OptionalSlice = None
    """Which slice of a fastMRI or ISMRMRD file, from 0; the middle one when absent."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(RunOptions, FileOptions):
    """Form an image from a measurement file and write a report."""

    method: OptionalMethod = None
    """How to form the image; when absent what suits it: closure where stations are uncalibrated (EHT), backprojection of more
    than two million pixels, tv-complex where neighbouring pixels share their phase (MRI, Fresnel targets), l1 otherwise."""

    weight: OptionalNumber = None
    """Regularisation weight of tikhonov, l1, tv or tv-complex; chosen from the noise level when absent."""

    side_lobe_db: OptionalNumber = None
    """Design level of the side lobes, decibels, negative: of backprojection-taylor, -35 when absent; of
    backprojection-multilook, whose looks have no window when it is absent."""

    looks: OptionalLooks = None
    """Looks of backprojection-multilook along pulses and along frequencies; 2 2 when absent."""

    sky_flux_jy: OptionalNumber = None
    """Flux density that closure expects of the sky, Jy; 0.6, M87*'s core, when absent."""

    sky_fwhm_uas: OptionalNumber = None
    """Width of the Gaussian that closure expects the sky to resemble, microarcseconds; 40 when absent."""

    sicd: bool = False
    """Write the image as a SICD file (NITF) too, for other SAR software."""

    place: OptionalPlace = None
    """Where the scene centre stands, degrees and metres, for SICD; replaces what the file says."""

    out: OptionalFolder = None
    """Folder to write; when absent runs/<file>-<method>, with --slice runs/<file>-slice<N>-<method>, and with a number added
    where that holds the result of another file."""


@dataclass(frozen=True, kw_only=True)
class Compare(RunOptions, FileOptions):
    """Reconstruct a measurement file by several methods, side by side in one report."""

    methods: OptionalMethods = None
    """Which methods, in the order shown; when absent the usual ones and what `reconstruct` would take."""

    keep_pulses: OptionalNumber = None
    """Share of the pulses to reconstruct from, drawn at random; the others judge the images (prediction error)."""

    out: OptionalFolder = None
    """Folder to write; when absent runs/<file>-compare, with --slice runs/<file>-slice<N>-compare, and with a number added
    where that holds the result of another file."""


@dataclass(frozen=True, kw_only=True)
class Info(FileOptions):
    """Print what a measurement file holds."""


@dataclass(frozen=True, kw_only=True)
class Convert(FileOptions):
    """Write a measurement to another format: CPHD (spotlight phase history) or echoform HDF5."""

    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """File to write, not there yet; its ending, .cphd or .h5, is the format."""

    place: OptionalPlace = None
    """Where the scene centre stands, degrees and metres, for CPHD; replaces what the file says."""


@dataclass(frozen=True, kw_only=True)
class Demo(RunOptions):
    """Simulate a spotlight radar collection with missing pulses and compare all methods on it."""

    methods: tuple[MethodName, ...] = COMPARED
    """Which methods, in the order shown."""

    pixels: int = 128
    """Side of the image, pixels; as many pulses and frequencies are simulated."""

    snr_db: float = 20.0
    """Signal-to-noise ratio of one sample, decibels."""

    keep_pulses: float = 0.4
    """Share of the pulses to reconstruct from, drawn at random; the others judge the images."""

    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/demo")
    """Folder to write."""


@dataclass(frozen=True, kw_only=True)
class Autofocus:
    """Estimate one phase for each pulse of a radar measurement and write the corrected measurement."""

    file: InputFile
    """Measurement file; `echoform info` says what it holds. Its samples are (channels, pulses, frequencies)."""

    method: CalibratorName = DEFAULT_CALIBRATOR
    """How to find the phases: from bright points, from the sharpest image, or by fitting a sparse image."""

    dynamic_range_db: float = 50.0
    """Depth of the pictures below their peak, decibels."""

    out: OptionalFolder = None
    """Folder to write, the corrected measurement as <file>-autofocused.h5; when absent runs/<file>-autofocus-<method>, with a
    number added where that holds the result of another file."""


@dataclass(frozen=True, kw_only=True)
class WeightsList:
    """Print the weights at hand."""


@dataclass(frozen=True, kw_only=True)
class WeightsShow:
    """Print the card of a set of weights: data, recipe, figures, licence."""

    name: Positional[str]
    """Name of the weights."""


@dataclass(frozen=True, kw_only=True)
class WeightsVerify:
    """Check files against their cards: size and hash."""

    name: Positional[Annotated[str | None, tyro.conf.arg(metavar="NAME")]] = None
    """Name of the weights; all when absent."""


@dataclass(frozen=True, kw_only=True)
class WeightsImport:
    """Take in a checkpoint of the official RAM (ram.pth.tar), read without running anything it holds."""

    file: Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]]
    """The checkpoint."""

    name: str = "ram-official"
    """How the weights will be called."""


WeightsAction = (
    Annotated[WeightsList, tyro.conf.subcommand("list", prefix_name=False)]
    | Annotated[WeightsShow, tyro.conf.subcommand("show", prefix_name=False)]
    | Annotated[WeightsVerify, tyro.conf.subcommand("verify", prefix_name=False)]
    | Annotated[WeightsImport, tyro.conf.subcommand("import", prefix_name=False)]
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """List, show, verify and import the weights of the network."""

    action: Annotated[WeightsAction, tyro.conf.arg(name="")]
    """What to do."""


@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Draw simulated scenes and sensors of one family and write the measurement with its truth."""

    family: FamilyName
    """Kind of sensor; scenes suit it."""

    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """File to write, ending in .h5 and not there yet."""

    seed: int = 0
    """Seed of everything that is drawn at random."""

    batch: int = 1
    """Number of scenes; each has a sensor of its own where the family allows."""

    pixels: int = 64
    """Side of the images, pixels."""

    snr_db: OptionalNumber = None
    """Mean power of the samples over that of their noise, decibels; drawn when absent."""

    photographs: OptionalFolder = None
    """Folder of JPEG or PNG photographs for the scenes of optics; simulated pictures when absent."""

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class Sample(RunOptions, FileOptions):
    """Draw images from the posterior by the network: mean, standard deviation, samples, probability of exceedance."""

    n: int = 16
    """Number of samples."""

    steps: int = 16
    """Evaluations of the network for each."""

    level_db: float = -20.0
    """Level whose probability of being exceeded is mapped, decibels from the peak of the mean."""

    out: OptionalFolder = None
    """Folder to write; when absent runs/<file>-sample, with --slice runs/<file>-slice<N>-sample, and with a number added
    where that holds the result of another file."""


@dataclass(frozen=True, kw_only=True)
class Export(FileOptions):
    """Bind the network to a file's sensor, or take its backbone alone, and write it for another engine (extra `export`)."""

    out: Annotated[Path, tyro.conf.arg(metavar="FILE.onnx|FOLDER")]
    """An ONNX file, or a folder for an OpenVINO model."""

    weights: OptionalWeights = None
    """Weights: a name (`echoform weights list`), a .safetensors file or an official checkpoint ram.pth.tar."""

    backbone: bool = False
    """Write the backbone alone, without physics, for images of the file's kind and size; the head's channels go in."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network by a recipe; Ctrl-C saves, --resume goes on."""

    recipe: Positional[Annotated[str, tyro.conf.arg(metavar="RECIPE", help=RECIPE_HELP)]]

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path()
    """Folder below which the recipe's pictures lie."""

    out: OptionalFolder = None
    """Folder of checkpoint, log and curves; runs/train-<recipe> when absent."""

    resume: bool = False
    """Go on from the folder's checkpoint."""

    finish_in: OptionalSlice = None
    """End the run after so many more steps, the learning rate falling to zero over them."""

    minutes: OptionalNumber = None
    """End the run after this time, the learning rate falling to zero over its last third: for a machine lent by the hour."""


DESCRIPTION = """Forms images from the measurements of any known linear sensor, radar first.

Examples:
  echoform demo --out demo_out
  echoform info data.h5
  echoform reconstruct data.h5 --method l1
  echoform compare data.h5 --keep-pulses 0.4 --seed 0
  echoform autofocus data.h5 --method sharpness
  echoform simulate --family stripmap --seed 1 --out data.h5
  echoform convert data.mat --out data.cphd --place 39.8 -84.1 250
  echoform weights import ram.pth.tar
  echoform sample data.h5 --n 16 --steps 16
  echoform train tiny --data shared/data
  echoform export data.h5 --out network.onnx

Files read: echoform HDF5, CPHD 1.x, spotlight phase history .npz (docs/npz.md), AFRL Gotcha .mat, RADARSAT-1 raw echoes .mat,
OpenRadar FMCW frames .npy, Institut Fresnel .exp, MERIT breast .csv, GSSI .DZT, EHT .csv, BART .hdr/.cfl,
fastMRI .h5, ISMRMRD .h5. Written: CPHD, SICD.
Each run writes one folder: report.html (opens without a network), images, metrics.json and config.json.
`echoform --version` prints the version; `echoform COMMAND --help` the options of a command."""

Command = Reconstruct | Compare | Autofocus | Info | Convert | Demo | Simulate | Weights | Train | Sample | Export


def parse(arguments: list[str]) -> Command:
    """Return the command that the arguments ask for.

    Raises:
        SystemExit: help was asked for (code 0) or the arguments are wrong (code 2), said on the terminal already.
    """
    return tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="echoform",
        description=DESCRIPTION,
        args=arguments,
    )
