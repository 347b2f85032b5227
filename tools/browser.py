"""Drives a headless Chromium over its DevTools protocol, by two pipes and without a library."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--remote-debugging-pipe", "--force-device-scale-factor=1", "--disable-dev-shm-usage",
)  # fmt: skip
_TALLEST = 16_000  # pixels


def chromium() -> str | None:
    """The path of an installed Chromium; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """A page in a headless Chromium.

    Attributes:
        complaints: errors and warnings of the page, and requests that left the machine's files.
    """

    def __init__(self) -> None:
        program = chromium()
        if program is None:
            raise FileNotFoundError("chromium is not installed: apt-get install chromium")
        self.complaints: list[str] = []
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, program, *_OPTIONS, f"--user-data-dir={self._folder.name}"],
            pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._rest, self._number, self._session = b"", 0, ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._folder.cleanup()

    def open(self, page: Path, width: int, *, dark: bool = False) -> None:
        """Open a page in a window of so many pixels, in light or dark colours."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=page.resolve().as_uri())
        self._until("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise ValueError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key: "Enter", "Tab" or " "."""
        names = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), " ": ("Space", 32, " ")}
        code, number, text = names[key]
        for kind in ("keyDown", "keyUp"):
            shown = {"text": text} if text and kind == "keyDown" else {}
            self._call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=code, windowsVirtualKeyCode=number, **shown,
            )  # fmt: skip

    def picture(self, height: int | None = None, top: int = 0) -> bytes:
        """A PNG of the page, all of it or so many pixels from some place."""
        width, whole = self.run("[innerWidth, document.documentElement.scrollHeight]")
        height = min(whole - top if height is None else height, _TALLEST)
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        found = self._call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise ValueError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def _until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._read, 2**20)
            if not block:
                raise EOFError("chromium ended")
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        found = dict(json.loads(message))
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, event: str, of: dict[str, Any]) -> None:
        """Keep what a page complains about."""
        if event == "Runtime.exceptionThrown" or (
            event == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning")
        ):
            self.complaints.append(json.dumps(of))
        elif event == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.complaints.append(of["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            address = of["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.complaints.append(f"asks for {address}")
