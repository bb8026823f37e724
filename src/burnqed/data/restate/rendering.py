"""Terms back to text with some of them written otherwise; all else stands as it stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from burnqed.data.lean_tokens import tokens
from burnqed.data.lean_tree import Binder, Term


class Unstatable(Exception):
    """A statement that cannot be restated; says why in a few fixed words, and of what if that helps."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


Rule = Callable[["Renderer", Term], str | None]
"""Another text for a term, or None to leave it; the renderer renders its parts."""


class Renderer:
    """Renders the terms of one text.

    ``names`` says how a free name is written (types mostly); ``rule`` may write a whole term otherwise. ``given`` are texts
    that stand for variables bound outside the piece at hand.
    """

    def __init__(self, text: str, *, names: Callable[[str], str], rule: Rule, taken: set[str]) -> None:
        self.text = text
        self._names = names
        self._rule = rule
        self._taken = taken
        self._given: dict[str, str] = {}
        self._bound: list[str] = []

    def render(self, term: Term) -> str:
        """The text of a term."""
        if (other := self._rule(self, term)) is not None:
            return other
        if term.kind == "name":
            return self.name(term.head)
        if not term.args and not term.binders:
            return self.text[term.start : term.end]
        bound = [name for b in term.binders for name in b.names]
        parts: list[tuple[int, int, Callable[[], str]]] = []
        for binder in term.binders:
            parts += self.parts_of(binder)
        parts += [(a.start, a.end, lambda a=a: self.render(a)) for a in term.args]  # type: ignore[misc]
        return self.inside(bound, lambda: self.spliced(term.start, term.end, parts))

    def parts_of(self, binder: Binder) -> list[tuple[int, int, Callable[[], str]]]:
        """The terms of a binder, to be rendered in their places."""
        terms = [t for t in (binder.type, binder.bound[1] if binder.bound else None) if t is not None]
        return [(t.start, t.end, lambda t=t: self.render(t)) for t in terms]  # type: ignore[misc]

    def spliced(self, start: int, end: int, parts: list[tuple[int, int, Callable[[], str]]]) -> str:
        """The text from ``start`` to ``end`` with its parts rendered."""
        out: list[str] = []
        at = start
        for begin, stop, rendered in sorted(parts, key=lambda p: p[0]):
            out += (self.text[at:begin], rendered())
            at = stop
        return "".join([*out, self.text[at:end]])

    def name(self, name: str) -> str:
        """A name: what is given for it, or for its first part, or what it is called now."""
        if name in self._given:
            return self._given[name]
        head, _, rest = name.partition(".")
        if rest and head in self._given:
            return f"{self._given[head]}.{rest}"
        return name if head in self._bound else self._names(name)

    def inside(self, bound: list[str], rendered: Callable[[], str]) -> str:
        """Render below binders: their names are theirs, whatever was given for the same names outside."""
        before = self._given
        self._given = {name: text for name, text in before.items() if name not in bound}
        if any(_mentions(text, name) for text in self._given.values() for name in bound):
            raise Unstatable("a variable would be caught by a binder")
        self._bound += bound
        try:
            return rendered()
        finally:
            self._given = before
            del self._bound[len(self._bound) - len(bound) :]

    def with_given(self, given: Mapping[str, str], term: Term) -> str:
        """A term with texts in the place of variables."""
        before = self._given
        self._given = {**before, **given}
        try:
            return self.render(term)
        finally:
            self._given = before

    def fresh(self, wanted: str) -> str:
        """A name that nothing in the text has, and that was not handed out before."""
        name = next(n for n in _candidates(wanted) if n not in self._taken)
        self._taken.add(name)
        return name


def _candidates(wanted: str) -> Iterator[str]:
    yield wanted
    number = 1
    while True:
        yield f"{wanted}{number}"
        number += 1


def _mentions(text: str, name: str) -> bool:
    return any(t.kind == "name" and t.text.partition(".")[0] == name for t in tokens(text))
