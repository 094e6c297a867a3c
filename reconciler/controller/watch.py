"""The loop: pass after pass, each from scratch. Nothing that goes wrong in a pass ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from reconciler.controller.transitions import State, transitions
from reconciler.model.desired import Desired, Site
from reconciler.model.errors import InvalidManifestsError, VdvsError
from reconciler.model.events import Event, EventKind, Told
from reconciler.model.outcome import Outcome
from reconciler.model.policy import HEAL, REPORT_ONLY, Policy
from reconciler.ports import Clock


class Wake(Enum):
    """Why the loop goes on."""

    CHANGED = "changed"
    RESYNC = "resync"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Edges:
    """What the loop needs from outside. `wait` sleeps until there is a reason to look again."""

    load: Callable[[], Desired]
    reconcile: Callable[[Desired, Policy], Awaitable[Outcome]]
    wait: Callable[[], Awaitable[Wake]]
    tell: Callable[[Told], None]
    clock: Clock


class Watch:
    """Watches one site. `started_with` are the manifests as they were when it began."""

    def __init__(self, edges: Edges, started_with: Desired, site: Site, *, heal: bool) -> None:
        self._edges = edges
        self._desired = started_with
        self._site = site
        self._heal = heal
        self._state: State = {}
        self._invalid = ""
        self._failure = ""

    async def run(self) -> None:
        """Until the wait says stop. A pass that has begun is finished."""
        while True:
            self._load()
            await self._one_pass()
            if await self._edges.wait() is Wake.STOP:
                return

    def _load(self) -> None:
        problem, text = "", ""
        try:
            desired = self._edges.load()
        except InvalidManifestsError as invalid:
            problem = f"the last good manifests stay in force\n{invalid}"
        except Exception as error:
            problem = f"the last good manifests stay in force: {_sentence(error)}"
        else:
            self._desired = desired
            if desired.site not in (None, self._site):
                problem = "the Site was changed; this watch stays with the one it started with until it is restarted"
        if problem != self._invalid:
            text = problem or "the manifests are valid again"
            self._tell(Event(EventKind.INVALID if problem else EventKind.VALID, None, text))
        self._invalid = problem

    async def _one_pass(self) -> None:
        try:
            outcome = await self._edges.reconcile(self._desired, HEAL if self._heal else REPORT_ONLY)
            events, state = transitions(self._state, outcome, healing=self._heal)
        except Exception as error:
            self._failed(error)
            return
        if self._failure:
            self._tell(Event(EventKind.RECOVERED, None, "the site can be looked at again"))
            self._failure = ""
        self._state = state
        for event in events:
            self._tell(event)

    def _failed(self, error: Exception) -> None:
        text = _sentence(error)
        if text != self._failure:
            self._tell(Event(EventKind.FAULT, None, text))
        self._failure = text

    def _tell(self, event: Event) -> None:
        self._edges.tell(Told(self._edges.clock.now(), event))


def _sentence(error: Exception) -> str:
    if isinstance(error, VdvsError | OSError):
        return str(error)
    return f"this is a bug in vdvs, please report it ({type(error).__name__}: {error})"
