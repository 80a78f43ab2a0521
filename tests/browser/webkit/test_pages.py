"""The pages in WebKitGTK, which has no WebRTC: they load without an error, play recordings, say what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.browser.camera import needed
from tests.browser.webkit.driver import WebKit, webkit
from tests.support import ROOT
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.recordings.on_disk import record
from tests.support.servers.server_here import serving_here
from whycam.stream.server import app, join
from whycam.stream.sessions.session import Settings
from whycam.stream.video.codec import CodecName

RECORDINGS: dict[CodecName, str] = {
    "VP8": "2026-11-22_20-03-55_1f3a9c000001",
    "H264": "2026-11-22_20-04-55_1f3a9c000002",
}
MP4 = 'video/mp4; codecs="avc1.42E01F"'
NO_DECODER = "openh264dec:NONE,avdec_h264:NONE,vah264dec:NONE,vaapih264dec:NONE"
HEARS = """
window.complaints = [];
addEventListener('error', ({ message, target }) => complaints.push(message ?? `${target.src ?? target.href}`), true);
addEventListener('unhandledrejection', ({ reason }) => complaints.push(`${reason}`));
const real = console.error.bind(console);
console.error = (...said) => { complaints.push(said.join(' ')); real(...said); };
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[WebKit]:
    with webkit() as running:
        yield running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose pages first load a script that hears errors: WebDriver has no console."""
    folder = tmp_path_factory.mktemp("webkit")
    web = shutil.copytree(ROOT / "web", folder / "web")
    (web / "hears.js").write_text(HEARS)
    for page in web.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("<head>", '<head><script src="/static/hears.js"></script>'), encoding="utf-8")
    for codec, name in RECORDINGS.items():
        record(folder / "recordings" / name, media_samples.encoded(codec, 60, (160, 120)))
    with pytest.MonkeyPatch.context() as patch:
        for module in (app, join):
            patch.setattr(module, "WEB", web)
        with serving_here(fast(folder), Settings(recordings=folder / "recordings")) as here:
            yield here.url


def test_errors_are_heard(browser: WebKit, url: str) -> None:
    browser.open(f"{url}/help")
    browser.run("void setTimeout(() => { throw new Error('boo'); })")
    browser.until("complaints.length")
    assert browser.run("complaints") == ["Error: boo"]


@pytest.mark.parametrize(
    "path", ["/", "/recordings", *(pytest.param(each, marks=pytest.mark.long) for each in ("/watch", "/help"))]
)
def test_a_page_loads_without_an_error(browser: WebKit, url: str, path: str) -> None:
    browser.open(url + path)
    browser.until("document.documentElement.dataset.words === 'ready'")
    browser.until("document.querySelector('h1').textContent.length > 3")
    assert browser.run("complaints") == []


def test_the_camera_and_the_wall_say_that_this_browser_makes_no_calls(browser: WebKit, url: str) -> None:
    assert browser.run("typeof RTCPeerConnection") == "undefined"
    browser.open(url)
    browser.until("document.body.dataset.state === 'idle'")
    browser.run("document.querySelector('#start').click()")
    browser.until("document.querySelector('#error').textContent.includes('cannot make live calls (WebRTC is missing')")
    browser.open(f"{url}/watch")
    browser.until("document.body.innerText.includes('cannot make live calls (WebRTC is missing')")
    assert browser.run("complaints") == []


@pytest.mark.parametrize("codec", RECORDINGS)
def test_it_plays_a_recording(browser: WebKit, url: str, codec: CodecName) -> None:
    browser.open(f"{url}/recordings#{RECORDINGS[codec]}")
    if codec == "H264":
        plays = browser.run(f"document.createElement('video').canPlayType('{MP4}')")
        needed(plays, "GStreamer has no H.264 decoder (Debian: gstreamer1.0-plugins-bad or gstreamer1.0-libav)")
    browser.until("window.whycam?.sidecar?.complete && whycam.player.camera.readyState >= 2")
    ending = {"VP8": "000.webm", "H264": "000.mp4"}[codec]
    browser.run("document.querySelector('#play').click()")
    for name in ("camera", "explained"):
        assert browser.run(f"whycam.player.{name}.currentSrc").endswith(f"{name}-{ending}")
        browser.until(f"whycam.player.{name}.videoWidth === 160")
    browser.until("whycam.player.camera.currentTime > 0.3 && whycam.player.explained.currentTime > 0.3")
    assert browser.run("complaints") == []


@pytest.mark.long
def test_without_a_decoder_for_h264_the_page_says_it(url: str) -> None:
    """As Debian's WebKitGTK is without what it recommends."""
    with webkit(GST_PLUGIN_FEATURE_RANK=NO_DECODER) as browser:
        browser.open(f"{url}/recordings#{RECORDINGS['H264']}")
        browser.until("document.querySelector('#error').textContent.match(/cannot play (camera|explained)-000.mp4/)")
