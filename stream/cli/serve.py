"""`whycam serve`: puts a server together from its options, and says where it is found."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.text import Text

from whycam.models import catalog
from whycam.stream.cli.console import screen
from whycam.stream.cli.options import ConfigOption, DeviceOption, ModelOption, find_device, introduce, number, one_of
from whycam.stream.video.encoder import ENCODERS, backends

if TYPE_CHECKING:
    from whycam.stream.inference.process_engine import ProcessEngine
    from whycam.stream.server.lan import Lan
    from whycam.stream.sessions.session import Settings

_NETWORK, _PHONES = "Network", "Phones"
KeepOption = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it at run time
    typer.Option(metavar="AGE", help="Delete recordings older than that, such as 7d or 12h (default: keep all)."),
]
MaxDiskOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SIZE", help="Delete the oldest recordings beyond that, such as 10GiB (default: keep all)."),
]
EncoderOption = Annotated[str, typer.Option(help=f"What encodes the live picture as H.264: {', '.join(ENCODERS)}.")]
LogOption = Annotated[str, typer.Option(metavar="FORM", help="What the log is for: text for you, json for programs.")]
IceServerOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        rich_help_panel=_NETWORK,
        help="stun:HOST:PORT or turn:USER:SECRET@HOST:PORT; without one nothing outside is asked.",
    ),
]
IceAddressOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        rich_help_panel=_NETWORK, help="A local address for media (default 127.0.0.1, with --lan the LAN's too)."
    ),
]
UdpPortsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(rich_help_panel=_NETWORK, metavar="LO-HI", help="UDP ports that media may use (default: any)."),
]
LanOption = Annotated[
    bool, typer.Option("--lan/--no-lan", rich_help_panel=_PHONES, help="Let phones in this computer's network join.")
]
HostOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(rich_help_panel=_PHONES, metavar="ADDR", help="Only this address of the computer (default: all)."),
]
LanPortOption = Annotated[int, number("--lan-port", 1, 65535, rich_help_panel=_PHONES, help="The port for phones.")]
CertOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(rich_help_panel=_PHONES, help="A certificate chain (PEM) that browsers trust; needs --key."),
]
KeyOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(rich_help_panel=_PHONES, help="The key of --cert (PEM, no password)."),
]
NewTokenOption = Annotated[
    bool, typer.Option("--new-token", rich_help_panel=_PHONES, help="A new code: every phone joins again.")
]


def serve(
    ctx: typer.Context,
    port: Annotated[int, number("--port", 1, 65535, help="The page's port.")] = 8080,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    recordings: Annotated[Path, typer.Option(help="The folder for recordings.")] = Path("recordings"),
    no_record: Annotated[bool, typer.Option("--no-record", help="Record nothing.")] = False,
    keep: KeepOption = None,
    max_disk: MaxDiskOption = None,
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
    """Open a page that explains a camera, live: this computer's, and with --lan those of phones near it."""
    from whycam.stream.inference.process_engine import ProcessEngine
    from whycam.stream.inference.worker import Order

    # A core is left to decoding and encoding. The model loads while the server's modules do.
    order = Order(catalog.find(model), find_device(device), threads=max(1, (os.cpu_count() or 2) - 1))
    engine = ctx.with_resource(closing(ProcessEngine(order)))

    from whycam.stream.logs import FORMATS, start_logging
    from whycam.stream.recording.maintenance import Housekeeper, Retention, parse_age, parse_size
    from whycam.stream.server.app import check_ports
    from whycam.stream.sessions.session import Settings
    from whycam.stream.webrtc.peer import LOOPBACK, IceConfig

    if (cert is None) != (key is None):
        raise ValueError("--cert and --key belong together. Give both, or none of them.")
    retention = Retention(parse_age(keep) if keep else None, parse_size(max_disk) if max_disk else None)
    given = (cert, key) if cert and key else None
    if not lan and (host or given or new_token):
        raise ValueError("--host, --cert, --key and --new-token are for phones. Add --lan.")
    door = _open_lan(port, lan_port, host, config, given, new_token) if lan else None
    if door is None:
        check_ports(port, [], lan_port)
    own = dict.fromkeys([*(door.addresses if door else ()), LOOPBACK])
    media = IceConfig(tuple(ice_address or own), _port_range(udp_ports), tuple(ice_server or ()))
    media.check()
    encoders = backends(encoder)
    introduce(engine.contract, engine.about.provider, engine.about.device_problem)
    if not no_record:
        _check_recordings(recordings)
    folder = None if no_record else recordings.resolve()
    screen.print(f"Recordings: {f'{folder} (none: --no-record)' if folder else 'none'}", markup=False)
    start_logging(one_of("log format", log, FORMATS))
    if folder is not None:
        ctx.with_resource(closing(Housekeeper(folder, retention)))
    _serve(engine, Settings(media=media, encoders=encoders, recordings=folder), port, door)


def _open_lan(
    port: int, lan_port: int, host: str | None, config: Path | None, given: tuple[Path, Path] | None, new_token: bool
) -> Lan:
    """The side for phones; where a port is taken it leaves no folder, and no new code."""
    from whycam.stream.private_files import config_folder
    from whycam.stream.server.app import check_ports
    from whycam.stream.server.lan import Lan, lan_addresses, own_address
    from whycam.stream.webrtc.peer import LOOPBACK

    addresses = [own_address(host)] if host else [address.ip for address in lan_addresses()]
    if port == lan_port and LOOPBACK in addresses:
        raise ValueError(f"--port and --lan-port are both {port}. Give two ports.")
    check_ports(port, addresses, lan_port)
    return Lan.prepared(addresses, lan_port, config or config_folder(), given=given, new_token=new_token)


def _serve(engine: ProcessEngine, settings: Settings, port: int, door: Lan | None) -> None:
    """Serve until Ctrl-C, and say what was recorded."""
    from whycam.stream.recording import paths
    from whycam.stream.server.app import serve_until_stopped

    folder = settings.recordings
    before = frozenset(() if folder is None else paths.recordings(folder))

    def ready() -> None:
        screen.print(f"This computer: [bold]http://localhost:{port}[/bold]")
        if door is not None:
            invite(door)
        screen.print("Ctrl-C ends.")

    def stopping() -> None:
        screen.print("Ending: calls are closed, recordings are finished. Ctrl-C again ends it at once.")

    asyncio.run(serve_until_stopped(engine, settings, port, ready, door, stopping))
    made = [] if folder is None else [each for each in paths.recordings(folder) if each not in before]
    newest = f"; the newest is {made[-1]}" if made else ""
    screen.print(f"Ended. Recordings made: {len(made)}{newest}.", markup=False)


def _check_recordings(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Recordings cannot lie in {folder} ({error.strerror}). Name another folder.") from error
    if not os.access(folder, os.W_OK):
        raise ValueError(f"Recordings cannot lie in {folder}: it cannot be written. Name another folder.")


def invite(lan: Lan) -> None:
    """Print how phones come in: the likely URL with its QR code, then the other addresses."""
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
        # Black on white whatever the terminal's colours are: scanners want it so. Some fonts leave a gap between
        # lines, which is black too where both halves are.
        for line in code.splitlines():
            row = Text(line, style="black on bright_white")
            row.highlight_regex("█+", "on black")
            screen.print(row)
    for url in urls[1:]:
        screen.print("or, in another network:", url, markup=False)
    screen.print("Watch only:", lan.invitations("viewer")[0].replace("#", "watch#"), markup=False)
    if lan.certificate is not None and lan.certificate.authority is not None:
        screen.print(f"The phone's browser warns once: {lan.bases()[0]}help tells why, and what to do.", markup=False)
    screen.print(IF_UNREACHABLE.format(port=lan.port), markup=False)


def _port_range(text: str | None) -> range | None:
    if text is None:
        return None
    low, dash, high = text.partition("-")
    if not (dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high) < 65536):
        raise typer.BadParameter(f"UDP ports are written LO-HI, such as 50000-50100, not '{text}'.")
    return range(int(low), int(high) + 1)
