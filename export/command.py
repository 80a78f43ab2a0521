"""`whycam export`: its argument and options. Its packages are optional, so they are imported at run time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from whycam.export.preprocessing import Like, preprocessing_of
from whycam.models.contract import METHOD, SIGNED, Fitting, Score

if TYPE_CHECKING:
    from whycam.export.exporter import Wanted

screen = Console(highlight=False, soft_wrap=True)
VGG16 = "vgg16"
Task = Literal["single-label", "multi-label", "yes-no"]
_OWN, _VGG16 = "A classifier of your own", "vgg16"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A classifier of your own (FILE.onnx, .keras, .h5, .pt2, or the folder of a SavedModel), a network by its "
        "name (keras:NAME, torchvision:NAME, timm:NAME), or vgg16.",
    ),
]
ScoreOption = Annotated[Score, typer.Option(help="What is explained.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="An .onnx file (default: among your models, by its name).")
]
VerifyOption = Annotated[
    Path | None, typer.Option(help="A folder of images to verify with (default: 32 synthetic scenes).")
]
NameOption = Annotated[str | None, typer.Option(rich_help_panel=_OWN, help="Its name (default: the file's).")]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=_OWN, help="The classes: a text file with a line each, JSON or CSV (default: the model's own)."
    ),
]
LikeOption = Annotated[
    Like | None, typer.Option(rich_help_panel=_OWN, help="What it expects of an image (default: imagenet).")
]
MeanOption = Annotated[
    tuple[float, float, float] | None,
    typer.Option(rich_help_panel=_OWN, help="In place of --like: subtracted from level * scale; red, green, blue."),
]
StdOption = Annotated[
    tuple[float, float, float] | None, typer.Option(rich_help_panel=_OWN, help="What that is divided by.")
]
ScaleOption = Annotated[
    float | None, typer.Option(rich_help_panel=_OWN, help="What levels 0…255 are multiplied by (default: 1/255).")
]
BgrOption = Annotated[bool, typer.Option("--bgr", rich_help_panel=_OWN, help="It expects blue first.")]
SizeOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_OWN, metavar="HxW", help="Height and width, if the network leaves them open."),
]
FitOption = Annotated[
    Fitting,
    typer.Option(rich_help_panel=_OWN, help="stretch: it sees the whole frame, squeezed; crop: its middle."),
]
LayerOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A layer whose maps are drawn, by its name or its grid, such as 14x14 (default: the last). Several are "
        "allowed: the file then has a map of each.",
    ),
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        help="How the maps are made: grad-cam (the default), hirescam, grad-cam++, xgrad-cam, layer-cam, eigen-cam, "
        "negative (what speaks against the class), input-x-gradient, integrated-gradients. Several are allowed; the "
        "first is drawn. signed: beside each layer's maps those of the logits with both signs, for the difference of "
        "two classes.",
    ),
]
ListLayersOption = Annotated[
    bool, typer.Option("--list-layers", rich_help_panel=_OWN, help="Print the layers that can be explained.")
]
TryOption = Annotated[
    Path | None,
    typer.Option("--try", rich_help_panel=_OWN, metavar="IMAGE", help="Print the five best classes, write nothing."),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        rich_help_panel=_OWN,
        help="What its scores are, if the network does not say: one class of many, several at once, or one number, "
        "the logit of yes.",
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option(rich_help_panel=_OWN, metavar="FILE.html", help="A page with what was checked.")
]
WeightsOption = Annotated[
    str,
    typer.Option(
        help="Of a network by its name: imagenet (those published, downloaded), random, or a file of its own."
    ),
]
HalfOption = Annotated[
    bool, typer.Option("--half", rich_help_panel=_VGG16, help="Store the weights in half precision.")
]
Int8Option = Annotated[
    bool, typer.Option("--int8", rich_help_panel=_VGG16, help="Quantize to 8 bits, for a faster processor.")
]
CalibrateOption = Annotated[
    Path | None, typer.Option(rich_help_panel=_VGG16, help="With --int8: a folder of images like those to explain.")
]


def export(
    model: ModelArgument,
    score: ScoreOption = "probability",
    output: OutputOption = None,
    verify_with: VerifyOption = None,
    name: NameOption = None,
    labels: LabelsOption = None,
    like: LikeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    bgr: BgrOption = False,
    size: SizeOption = None,
    fit: FitOption = "stretch",
    task: TaskOption = None,
    layer: LayerOption = None,
    method: MethodOption = None,
    list_layers: ListLayersOption = False,
    try_: TryOption = None,
    report: ReportOption = None,
    weights: WeightsOption = "imagenet",
    half: HalfOption = False,
    int8: Int8Option = False,
    calibrate_with: CalibrateOption = None,
) -> None:
    r"""Make a model file that explains itself, of a classifier of your own or of VGG16.

    Needs the extra 'whycam\[onnx]' for an ONNX file, 'whycam\[export]' for Keras, 'whycam\[torch]' for PyTorch.
    """
    from whycam.export.requirements import check_needs

    check_needs("onnx", extra="export" if model == VGG16 else "onnx")  # the others are checked after the arguments
    own = {
        "--name": name,
        "--labels": labels,
        "--like": like,
        "--mean": mean,
        "--size": size,
        "--task": task,
        "--list-layers": list_layers,
    }
    if model == VGG16:
        own |= {"--try": try_, "--report": report}
        _refuse([option for option, value in own.items() if value], "a classifier of your own")
        _export_vgg16(weights, score, output, half, int8, verify_with, calibrate_with, layer or [], method or [])
        return
    others = {"--half": half, "--int8": int8, "--calibrate-with": calibrate_with}
    _refuse([option for option, value in others.items() if value], VGG16)
    from whycam.export.exporter import Wanted
    from whycam.export.input_size import size_of

    preprocessing = preprocessing_of(like, mean, std, scale, bgr=bgr)
    maps = tuple(layer or ()), _methods(method or [])
    wanted = Wanted(name, labels, preprocessing, size_of(size), fit, score, task, *maps, verify_with)
    if list_layers:
        _list_layers(model, weights, wanted)
        return
    _export_own(model, weights, wanted, output, try_, report)


def _methods(given: list[str]) -> tuple[str, ...]:
    """The methods of a file; signed maps, which are not drawn by themselves, come last, beside Grad-CAM at least."""
    drawn = [each for each in dict.fromkeys(given) if each != SIGNED] or [METHOD]
    return (*drawn, SIGNED) if SIGNED in given else tuple(drawn)


def _export_own(
    source: str, weights: str, wanted: Wanted, output: Path | None, image: Path | None, report: Path | None
) -> None:
    from whycam.export.exporter import destination_of, export, try_image
    from whycam.export.sources.find_source import find_source

    classifier = find_source(source, weights, wanted.size)
    if image is not None:
        try_image(classifier, wanted, image, _say)
        return
    destination = destination_of(wanted.name or classifier.name, Path(source), output)
    export(classifier, wanted, destination, _say, report)
    _say(
        f"Ready: {destination}. See it with: whycam serve --model {destination.stem if output is None else destination}"
    )


def _list_layers(source: str, weights: str, wanted: Wanted) -> None:
    from whycam.export.exporter import layers
    from whycam.export.sources.find_source import find_source

    for each in layers(find_source(source, weights, wanted.size), wanted, _say):
        grid = f"{each.feature.height}x{each.feature.width}"
        kind = "normalisation" if each.norm else "whole network"
        _say(
            f"{grid:>9}  {each.feature.channels:5d} channels  about x{each.cost:.2f}  {kind:13}  {each.feature.tensor}"
        )


def _export_vgg16(
    weights: str,
    score: Score,
    output: Path | None,
    half: bool,
    int8: bool,
    verify_with: Path | None,
    calibrate_with: Path | None,
    layers: list[str],
    methods: list[str],
) -> None:
    from whycam.export.pipeline import export_vgg16

    path = export_vgg16(
        weights,
        score,
        output,
        half=half,
        int8=int8,
        verify_with=verify_with,
        calibrate_with=calibrate_with,
        methods=_methods(methods),
        layers=layers,
        say=_say,
    )
    how = "It is the default model from now on." if output is None else f"Take it with --model {path}"
    _say(f"Ready: {path}. {how}")


def _refuse(options: list[str], what: str) -> None:
    if options:
        raise ValueError(f"{' and '.join(options)} {'is' if len(options) == 1 else 'are'} for {what} only.")


def _say(text: str) -> None:
    screen.print(text, markup=False)
