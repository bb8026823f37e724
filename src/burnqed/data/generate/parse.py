"""From text such as ``2 * x + 1 ≤ y ∧ 3 ∣ s (n + 1)`` to the expressions of :mod:`burnqed.data.generate.terms`."""

from __future__ import annotations

import re

from burnqed.data.generate.terms import BINDING, RIGHT, Expr, Name, Node, Number

_TOKEN = re.compile(r"\s*(\d+|[A-Za-zα-ω_][\w.'₀-₉]*|[=≠<≤>≥∣+\-*/%^¬∧∨→↔∀(),])")
_INFIX = frozenset(BINDING) - {"neg", "apply", "∀", "¬"}


def parse(text: str) -> Expr:
    """The expression that a text stands for. Raises ValueError naming the place where it stops making sense."""
    reader = _Reader(text)
    found = reader.expression(0)
    if reader.at < len(reader.tokens):
        raise ValueError(f"{text!r}: cannot read on from {reader.tokens[reader.at]!r}")
    return found


class _Reader:
    """Precedence climbing over a list of tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.at = 0
        position, end = 0, len(text.rstrip())
        while position < end:
            m = _TOKEN.match(text, position)
            if m is None:
                raise ValueError(f"{text!r}: no token at {text[position:]!r}")
            self.tokens.append(m[1])
            position = m.end()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"{self.text!r}: {wanted or 'something'} expected, not {token!r}")
        self.at += 1
        return token

    def expression(self, at: int) -> Expr:
        left = self.prefix()
        while (op := self.peek()) in _INFIX and BINDING[op] >= at:
            self.take()
            left = Node(op, (left, self.expression(BINDING[op] + (0 if op in RIGHT else 1))))
        return left

    def prefix(self) -> Expr:
        if self.peek() == "¬":
            self.take()
            return Node("¬", (self.expression(BINDING["¬"]),))
        if self.peek() == "-":
            self.take()
            return Node("neg", (self.expression(BINDING["neg"]),))
        if self.peek() == "∀":
            self.take()
            bound = Name(self.take())
            self.take(",")
            return Node("∀", (bound, self.expression(0)))
        first = self.atom()
        args: list[Expr] = []
        while isinstance(first, Name) and (self.peek() == "(" or re.match(r"[\wα-ω]", self.peek())):
            args.append(self.atom())
        return Node("apply", (first, *args)) if args else first

    def atom(self) -> Expr:
        token = self.take()
        if token == "(":  # noqa: S105  # a bracket, no password
            inner = self.expression(0)
            self.take(")")
            return inner
        if token.isdigit():
            return Number(int(token))
        if re.match(r"[A-Za-zα-ω_]", token):
            return Name(token)
        raise ValueError(f"{self.text!r}: {token!r} cannot begin a term")
