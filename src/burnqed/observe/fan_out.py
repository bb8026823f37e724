"""One EventSink in front of several."""

from __future__ import annotations

from burnqed.core.events import Event
from burnqed.core.ports import EventSink


class FanOut:
    """Hands every event to each of its sinks, in order."""

    def __init__(self, *sinks: EventSink) -> None:
        self._sinks = sinks

    def emit(self, event: Event) -> None:
        """Pass it on."""
        for sink in self._sinks:
            sink.emit(event)
