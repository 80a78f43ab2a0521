"""`whycam serve`: builds a server from the options, and prints its addresses."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from whycam.models import catalog
from whycam.models.model_file import output_of
from whycam.stream.cli.console import screen
from whycam.stream.cli.options import (
    ConfigOption,
    DeviceOption,
    LanPortOption,
    LayerOption,
    MethodOption,
    ModelOption,
    PortOption,
    RecordingsOption,
    introduce,
)
from whycam.stream.logs import LogFormat, start_logging
from whycam.stream.sessions.recording_mode import RecordingMode
from whycam.stream.uploads.job import Uploads
from whycam.stream.video.encoder import EncoderChoice, backends

if TYPE_CHECKING:
    from whycam.stream.inference.engine import Engine
    from whycam.stream.inference.providers import Device
    from whycam.stream.recording.maintenance import Housekeeper, Retention
    from whycam.stream.server.door import LanDoor
    from whycam.stream.server.lan import Lan
    from whycam.stream.server.shelf.films import Films
    from whycam.stream.sessions.model_choice import ModelShelf
    from whycam.stream.sessions.session import Settings
    from whycam.stream.video.codec import CodecName
    from whycam.stream.video.encoder import Backend
    from whycam.stream.webrtc.ice.config import IceConfig

_NETWORK, _PHONES = "Network", "Phones"
_WHAT: dict[RecordingMode, str] = {
    "on": "{} (less: --record ask, or off)",
    "ask": "{}, if a camera's person asks for it",
    "off": "none (--record off)",
}
KeepOption = Annotated[
    str | None,
    typer.Option(metavar="AGE", help="Delete recordings older than that, such as 7d or 12h (default: keep all)."),
]
MaxDiskOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Delete the oldest recordings beyond that, such as 10GiB (default: keep all)."),
]
RecordOption = Annotated[
    RecordingMode,
    typer.Option(help="What is recorded: every camera, those whose person asks for it, or none; the page changes it."),
]
UploadsOption = Annotated[
    Uploads, typer.Option(help="Who may upload films on the page: this computer, also phones, or nobody.")
]
NoRecordOption = Annotated[bool, typer.Option("--no-record", help="Record nothing, whatever the page says.")]
SureOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="The pages say 'not sure' of a best class below this probability (default: 0.2)."),
]
EncoderOption = Annotated[EncoderChoice, typer.Option(help="What encodes the live video as H.264.")]
LogOption = Annotated[LogFormat, typer.Option(help="Log format: text for people, json for programs.")]
IceServerOption = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=_NETWORK,
        help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT; without one no outside server is contacted.",
    ),
]
IceAddressOption = Annotated[
    list[str] | None,
    typer.Option(
        rich_help_panel=_NETWORK,
        help="A local address for media (default: this computer's; without --lan for itself only).",
    ),
]
UdpPortsOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_NETWORK, metavar="LO-HI", help="UDP ports that media may use (default: any)."),
]
LanOption = Annotated[
    bool,
    typer.Option("--lan/--no-lan", rich_help_panel=_PHONES, help="Let phones join from the start; the page can, too."),
]
HostOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PHONES, metavar="ADDR", help="Only this address of the computer (default: all)."),
]
CertOption = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_PHONES, help="A certificate chain (PEM) that browsers trust; needs --key."),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(rich_help_panel=_PHONES, help="The key of --cert (PEM, no password)."),
]
NewTokenOption = Annotated[
    bool, typer.Option("--new-token", rich_help_panel=_PHONES, help="Make a new code; every phone must join again.")
]


def serve(
    ctx: typer.Context,
    port: PortOption = 8080,
    model: ModelOption = None,
    method: MethodOption = None,
    layer: LayerOption = None,
    device: DeviceOption = "auto",
    recordings: RecordingsOption = Path("recordings"),
    record: RecordOption = "on",
    no_record: NoRecordOption = False,
    keep: KeepOption = None,
    max_disk: MaxDiskOption = None,
    uploads: UploadsOption = "host",
    sure: SureOption = None,
    encoder: EncoderOption = "auto",
    log: LogOption = "text",
    ice_server: IceServerOption = None,
    ice_address: IceAddressOption = None,
    udp_ports: UdpPortsOption = None,
    lan: LanOption = False,
    host: HostOption = None,
    lan_port: LanPortOption = 8443,
    cert: CertOption = None,
    key: KeyOption = None,
    new_token: NewTokenOption = False,
    config: ConfigOption = None,
) -> None:
    """Serve a page that explains this computer's camera live; with --lan also the cameras of phones nearby."""
    shelf = _shelf(model, device)
    engine = ctx.with_resource(closing(_begun(shelf, method, layer)))
    retention = _retention(keep, max_disk)
    phones = _phones(lan, port, lan_port, host, config, cert, key, new_token=new_token)
    door = _door(lan_port, host, config, (cert, key) if cert and key else None)
    media = _media(ice_address, door, phones, udp_ports, ice_server)
    encoders = backends(encoder)
    introduce(engine)
    folder = None if no_record else _recordings_folder(recordings)
    screen.print(f"Recordings: {_WHAT[record].format(folder) if folder else 'none'}", markup=False)
    start_logging(log)
    if folder is not None:
        ctx.with_resource(closing(_housekeeper(folder, retention)))
    _serve(
        engine,
        shelf,
        _settings(media, encoders, folder, record, sure),
        port,
        phones,
        door,
        _films(folder, shelf, device, uploads, sure),
    )


def _shelf(model: str | None, device: Device) -> ModelShelf:
    """The models, each run in a separate process; it loads in parallel with the server's modules.

    One core is left for video.
    """
    from whycam.stream.inference.process_engine import ProcessEngine
    from whycam.stream.inference.worker import Order
    from whycam.stream.sessions.model_choice import ModelShelf

    threads = max(1, (os.cpu_count() or 2) - 1)

    def start(path: Path, output: str) -> Engine:
        return ProcessEngine(Order(path, device, threads=threads, output=output, signed=True))

    return ModelShelf(catalog.find(model), start)


def _begun(shelf: ModelShelf, method: str | None, layer: str | None) -> Engine:
    """The engine of the given model, with the map by this method and of this layer."""
    return shelf.start(shelf.given, output_of(shelf.given, method, layer))


def _films(folder: Path | None, shelf: ModelShelf, device: Device, who: Uploads, sure: float | None) -> Films | None:
    """The queue of uploaded films, whose results are stored beside the recordings; None without their folder."""
    from whycam.stream.overlay.view import SURE
    from whycam.stream.server.shelf.films import Films
    from whycam.stream.uploads.queue import FilmQueue

    if folder is None:
        return None
    return Films(FilmQueue(folder, shelf.path_of, device, sure=SURE if sure is None else sure), who)


def _retention(keep: str | None, max_disk: str | None) -> Retention:
    from whycam.stream.recording.maintenance import Retention, parse_age, parse_size

    return Retention(parse_age(keep) if keep else None, parse_size(max_disk) if max_disk else None)


def _housekeeper(folder: Path, retention: Retention) -> Housekeeper:
    from whycam.stream.recording.maintenance import Housekeeper

    return Housekeeper(folder, retention)


def _door(lan_port: int, host: str | None, config: Path | None, given: tuple[Path, Path] | None) -> LanDoor:
    """What the page opens for phones, in the network that the computer is in then."""
    from whycam.stream.private_files import config_folder
    from whycam.stream.server.door import LanDoor
    from whycam.stream.server.lan import Lan, lan_addresses, own_address

    def prepare() -> Lan:
        addresses = [own_address(host)] if host else [address.ip for address in lan_addresses()]
        return Lan.prepared(addresses, lan_port, config or config_folder(), given=given)

    return LanDoor(prepare)


def _media(
    addresses: list[str] | None, door: LanDoor, phones: Lan | None, udp_ports: str | None, ice_servers: list[str] | None
) -> IceConfig:
    from whycam.stream.webrtc.ice.config import LOOPBACK, IceConfig

    own = dict.fromkeys([*(phones.addresses if phones else ()), LOOPBACK])
    # Who names an address or an ICE server expects packets of others.
    only_here = not addresses and not ice_servers
    media = IceConfig(
        tuple(addresses or own), _port_range(udp_ports), tuple(ice_servers or ()), only_here, door.addresses
    )
    media.check()
    return media


def _phones(
    lan: bool,
    port: int,
    lan_port: int,
    host: str | None,
    config: Path | None,
    cert: Path | None,
    key: Path | None,
    *,
    new_token: bool,
) -> Lan | None:
    """The listener for phones; None without --lan. If a port is in use, no folder and no new code are made."""
    from whycam.stream.private_files import config_folder
    from whycam.stream.server.door import check_ports
    from whycam.stream.server.lan import Lan, lan_addresses, own_address
    from whycam.stream.webrtc.ice.config import LOOPBACK

    if (cert is None) != (key is None):
        raise ValueError("--cert and --key belong together. Give both, or none of them.")
    given = (cert, key) if cert and key else None
    if not lan:
        if new_token:
            raise ValueError("--new-token makes a new code for phones. Add --lan.")
        if host:
            own_address(host)  # for when the page lets phones join
        check_ports(port, [], lan_port)
        return None
    addresses = [own_address(host)] if host else [address.ip for address in lan_addresses()]
    if port == lan_port and LOOPBACK in addresses:
        raise ValueError(f"--port and --lan-port are both {port}. Give two ports.")
    check_ports(port, addresses, lan_port)
    return Lan.prepared(addresses, lan_port, config or config_folder(), given=given, new_token=new_token)


def _settings(
    media: IceConfig,
    encoders: dict[CodecName, Backend],
    folder: Path | None,
    record: RecordingMode,
    sure: float | None,
) -> Settings:
    from whycam.stream.live.inference_pace import InferencePace
    from whycam.stream.overlay.view import SURE
    from whycam.stream.sessions.session import Settings

    return Settings(
        media=media,
        encoders=encoders,
        recordings=folder,
        record=record,
        sure=SURE if sure is None else sure,
        pace=InferencePace(),
    )


def _serve(
    engine: Engine,
    shelf: ModelShelf,
    settings: Settings,
    port: int,
    phones: Lan | None,
    door: LanDoor,
    films: Films | None,
) -> None:
    """Serve until Ctrl-C, then print what was recorded."""
    from whycam.stream.recording import paths
    from whycam.stream.server.app import serve_until_stopped

    folder = settings.recordings
    before = frozenset(() if folder is None else paths.recordings(folder))

    def ready() -> None:
        screen.print(f"This computer: [bold]http://localhost:{port}[/bold]")
        if phones is None:
            screen.print("Phones: press 'Let phones join' on that page, or start with --lan.")
        else:
            invite(phones)
        screen.print("Ctrl-C ends.")

    def stopping() -> None:
        screen.print("Ending: calls are closed, recordings are finished. Ctrl-C again ends it at once.")

    asyncio.run(serve_until_stopped(engine, settings, port, ready, phones, stopping, shelf, films, door))
    made = [] if folder is None else [each for each in paths.recordings(folder) if each not in before]
    newest = f"; the newest is {made[-1]}" if made else ""
    screen.print(f"Ended. Recordings made: {len(made)}{newest}.", markup=False)


def _recordings_folder(folder: Path) -> Path:
    """The folder's absolute path; it is created if missing. Raises `ValueError` if it cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Recordings cannot be stored in {folder} ({error.strerror}). Name another folder.") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"Recordings cannot be stored in {folder}: it cannot be written. Name another folder.")
    return folder.resolve()


def invite(lan: Lan) -> None:
    """Print how phones join: the likely URL with its QR code, then the other addresses."""
    from whycam.stream.server.lan import IF_UNREACHABLE, NO_NETWORK
    from whycam.stream.server.qr import terminal_qr

    urls = lan.invitations()
    if not urls:
        screen.print(NO_NETWORK, markup=False)
        return
    screen.print("Phone:", urls[0], markup=False)
    code = terminal_qr(urls[0])
    try:
        code.encode(screen.encoding)
    except UnicodeEncodeError:
        screen.print("This terminal cannot show the QR code; http://localhost shows it.")
    else:
        # Black on white in every terminal, as scanners need it. Some fonts leave a gap between lines; it is black, too,
        # where both halves are.
        for line in code.splitlines():
            row = Text(line, style="black on bright_white")
            row.highlight_regex("█+", "on black")
            screen.print(row)
    for url in urls[1:]:
        screen.print("or, in another network:", url, markup=False)
    screen.print("Watch only:", lan.invitations("viewer")[0].replace("#", "watch#"), markup=False)
    if lan.certificate is not None and lan.certificate.authority is not None:
        screen.print(
            f"The phone's browser warns once: {lan.bases()[0]}help explains why, and what to do.", markup=False
        )
    screen.print(IF_UNREACHABLE.format(port=lan.port), markup=False)


def _port_range(text: str | None) -> range | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    if not (dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high) < 65536):
        raise typer.BadParameter(f"UDP ports are written LO-HI, such as 50000-50100, not '{text}'.")
    return range(int(low), int(high) + 1)
