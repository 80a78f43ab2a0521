"""`whycam replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whycam.stream.cli.console import DebugOption, screen
from whycam.stream.cli.options import (
    ColormapOption,
    LabelOption,
    LayoutOption,
    LegendOption,
    MetadataOption,
    OpacityOption,
    OverwriteOption,
    ReportOption,
    StyleOption,
    SureOption,
    TargetOption,
    TopOption,
    output_path,
)
from whycam.stream.offline.exit_code import ExitCode


def replay(
    sidecar: Annotated[Path, typer.Argument(help="…-output.jsonl, predictions.jsonl, or the folder that contains it.")],
    video: Annotated[
        Path, typer.Argument(help="The film or folder that was explained; for a recording its folder or a camera film.")
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The result (default: …-replay.mp4 beside the film)."),
    ] = None,
    overwrite: OverwriteOption = False,
    target: TargetOption = None,
    layout: LayoutOption = None,
    style: StyleOption = None,
    colormap: ColormapOption = None,
    opacity: OpacityOption = None,
    top: TopOption = None,
    sure: SureOption = None,
    label: LabelOption = None,
    legend: LegendOption = None,
    report: ReportOption = False,
    keep_metadata: MetadataOption = False,
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Draw an explained film again from its sidecar, without the model: in other colours, another layout or class."""
    from whycam.stream.cli.progress import Bar, replayed, stopped_by_ctrl_c
    from whycam.stream.offline.replay import Changes, replay_once

    given = {"layout": layout, "style": style, "top": top, "sure": sure, "label": label, "legend": legend}
    look = {key: value for key, value in given.items() if value is not None}
    changes = Changes(look, tuple(target or ()), opacity, colormap)
    path, is_folder = output_path(output)
    try:
        with stopped_by_ctrl_c() as stop, Bar(screen) as bar:
            bar.begin(str(video))
            done = replay_once(
                sidecar,
                video,
                path,
                changes,
                is_folder=is_folder,
                overwrite=overwrite,
                report=report,
                keep_metadata=keep_metadata,
                progress=bar.progress,
                stop=stop,
            )
            for sentence in replayed(done, bar.seconds):
                screen.print(sentence, markup=False)
    except KeyboardInterrupt:
        screen.print("Stopped immediately; there is no result.")
        raise typer.Exit(ExitCode.STOPPED) from None
    raise typer.Exit(ExitCode.STOPPED if done.explained.stopped else ExitCode.OK)
