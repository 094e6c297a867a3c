"""One look at a host: what was asked of the operating system, and what follows from the answers.

Where nothing changed, the next look would ask the same and work out the same. So the questions are noted with their
answers; if all of them, asked again in a row, are answered alike, what followed still does. Nothing is taken on trust:
it only is not thought out again, which takes longer than asking.
"""

from ..compat import native
from ..paths import Root, inside, raw_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple, TypeVar  # novm

    Value = TypeVar("Value")

_MOST_KEPT = 400  # answers; of more, most are of paths of the past


def begin(root):
    # type: (Root) -> Look
    """A look at this moment: the last one, if it still holds."""
    last = root.last_look  # type: Optional[Look]
    if last is not None and last.holds():
        return last
    # The first one asks much that is known from then on: it is not worth asking again.
    root.last_look = now = Look(root, is_first=last is None)
    return now


class Look(Root):
    """The root for the time of one look, in which every link is taken to lead where it did when it was first met."""

    def __init__(self, root, is_first=False):
        # type: (Root, bool) -> None
        self.folder = root.folder
        self._ways = {}  # type: Dict[Tuple[str, bool], str]
        self._canonical = {}  # type: Dict[str, str]
        self._answers = {}  # type: Dict[Tuple[Callable[..., Any], Tuple[Any, ...]], Any]
        self._follows = {}  # type: Dict[Callable[[Root], Any], Any]
        self._can_be_asked_again = not is_first

    def ask(self, question, *about):
        # type: (Callable[..., Value], Any) -> Value
        """See `Root.ask`."""
        try:
            answer = question(*about)
        except Exception:
            self._can_be_asked_again = False
            raise
        if self._answers.setdefault((question, about), answer) != answer:  # it changed while we looked
            self._can_be_asked_again = False
        return answer

    def once(self, work_out):
        # type: (Callable[[Root], Value]) -> Value
        """See `Root.once`."""
        known = self._follows.get(work_out)  # type: Optional[Value]
        if known is None:
            known = self._follows[work_out] = work_out(self)
        return known

    def holds(self):
        # type: () -> bool
        """Whether every question is answered as it was."""
        if not self._can_be_asked_again or len(self._answers) > _MOST_KEPT:
            return False
        try:
            return all(question(*about) == answer for (question, about), answer in self._answers.items())
        except Exception:  # it was answered before
            return False

    def real(self, path, last=True):
        # type: (str, bool) -> str
        """See `Root.real`."""
        known = self._ways.get((path, last))
        if known is None:
            known = self._ways[path, last] = self._beside_others(path, last) or super(Look, self).real(path, last)
        return known

    def canonical(self, path):
        # type: (str) -> str
        """See `Root.canonical`."""
        known = self._canonical.get(path)
        if known is None:
            known = self._canonical[path] = super(Look, self).canonical(path)
        return known

    def _beside_others(self, path, last):
        # type: (str, bool) -> Optional[str]
        """By way of its folder, which others are in; None if the last component leads elsewhere."""
        folder, _, name = native(path).rpartition("/")
        if not folder or name in ("", ".", ".."):
            return None
        step = inside(self.real(folder), name)
        return None if last and self._target(step) is not None else step

    def _target(self, real):
        # type: (str) -> Optional[str]
        known = raw_target, (real,)
        return self._answers[known] if known in self._answers else self.ask(raw_target, real)
