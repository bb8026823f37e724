"""Lean terms as trees, by Lean's and Mathlib's precedences, as far as statements of problems need them.

What this small grammar does not know becomes a term of kind ``raw``: its tokens in order. Nothing here decides what a text
means; Lean does. It is for rewriting, comparing and searching texts whose Lean version or library is not at hand.
"""

from __future__ import annotations

from burnqed.data.lean_tokens import Token, tokens
from burnqed.data.lean_tree import QUANTIFIERS, RELATIONS, Binder, Term, TermKind

_SUMS = frozenset({"∑", "∏", "∑'", "∏'"})
_WORDS = frozenset(
    {"in", "then", "else", "with", "from", "do", "by", "if", "let", "have", "show", "match", "where", "end"}
)
_CLOSERS = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⦃": "⦄"}
_BRACKETS = {"⌊": ("⌋", "⌋₊"), "⌈": ("⌉", "⌉₊"), "|": ("|",), "‖": ("‖",)}
_SPELLINGS = {"->": "→", "<->": "↔", "<=": "≤", ">=": "≥", "λ": "fun", "Π": "∀"}


def _table() -> dict[str, tuple[int, int]]:
    """Operator → (its precedence, the least that its right side must have)."""
    out = dict.fromkeys(RELATIONS, (50, 51))
    out |= {"→": (25, 25), "↔": (20, 21), "∨": (30, 30), "∧": (35, 35), "&&": (35, 36), "||": (30, 31), "×": (35, 35)}
    out |= {"+": (65, 66), "-": (65, 66), "++": (65, 66), "∪": (65, 66), "::": (67, 67), "*": (70, 71), "/": (70, 71)}
    out |= {"%": (70, 71), "∩": (70, 71), "\\": (70, 71), "•": (73, 73), "^": (75, 75), "∘": (90, 90), "<|": (10, 10)}
    out |= {
        "''": (80, 81),
        "⁻¹'": (80, 81),
        "⊔": (68, 69),
        "⊓": (69, 70),
        "∆": (72, 73),
        "<<<": (75, 76),
        ">>>": (75, 76),
    }
    return out | {"|>": (10, 11), "^^^": (58, 59), "&&&": (60, 61), "|||": (55, 56), "▸": (75, 75)}


_INFIX = _table()
_PREFIX = {"¬": 40, "-": 75, "√": 100, "!": 41}
_POSTFIX = frozenset({"⁻¹", "!"})


DEEPEST = 150
"""A term nested deeper stays raw. The claims of miniF2F's valid problems have a depth of 12 at most."""


class _Stuck(Exception):
    """The small grammar does not know this; the caller makes a raw term of it."""


def term(text: str) -> Term:
    """The term that a text is."""
    return term_of(tokens(text))


def term_of(piece: list[Token]) -> Term:
    """The term that some tokens are; raw when the grammar does not know it, or does not read all of it."""
    parser = _Parser(piece)
    try:
        found = parser.term(0)
        if parser.at == len(piece) and not _too_deep(found):
            return found
    except (_Stuck, RecursionError):
        pass
    return raw(piece)


def _too_deep(term: Term) -> bool:
    """Whether a term is nested deeper than recursion over it should go."""
    level = [term]
    for _ in range(DEEPEST):
        level = [part for t in level for part in _parts(t)]
        if not level:
            return False
    return True


def _parts(term: Term) -> list[Term]:
    bounds = [t for b in term.binders for t in (b.type, b.bound[1] if b.bound else None) if t is not None]
    return [*term.args, *bounds]


def raw(piece: list[Token]) -> Term:
    """Tokens that nobody understood, in order."""
    leaves = tuple(_leaf(t) for t in piece)
    return Term("raw", "", leaves, piece[0].start if piece else 0, piece[-1].end if piece else 0)


def binder_of(piece: list[Token]) -> Binder:
    """The binder group that begins with a bracket and ends with its closer."""
    bracket, inner = piece[0].text, piece[1:-1]
    start, end = piece[0].start, piece[-1].end
    colon = next((i for i, t in enumerate(inner) if t.text == ":"), None)
    names = inner[:colon] if colon is not None else inner
    if all(t.kind == "name" for t in names) and (colon is not None or bracket != "["):
        kind = None
        if colon is not None:
            default = _depth_zero(inner, ":=", colon)
            kind = term_of(inner[colon + 1 : default])
        return Binder(tuple(t.text for t in names), kind, start, end, bracket)
    return Binder((), term_of(inner), start, end, bracket)


def _depth_zero(piece: list[Token], symbol: str, begin: int) -> int:
    """Where the symbol stands outside all brackets; the end if nowhere."""
    depth = 0
    for i in range(begin, len(piece)):
        if piece[i].text in _CLOSERS:
            depth += 1
        elif piece[i].text in _CLOSERS.values():
            depth -= 1
        elif depth == 0 and piece[i].text == symbol:
            return i
    return len(piece)


def _leaf(token: Token) -> Term:
    kind: TermKind = "number" if token.kind == "number" else "string" if token.kind == "string" else "name"
    return Term(kind, token.text, (), token.start, token.end)


class _Parser:
    """Precedence climbing over tokens."""

    def __init__(self, piece: list[Token]) -> None:
        self.piece = piece
        self.at = 0

    def peek(self) -> str:
        """The next token's text; empty at the end."""
        return self.piece[self.at].text if self.at < len(self.piece) else ""

    def take(self, *texts: str) -> Token:
        """The next token, which must be one of these if any is given."""
        if self.at >= len(self.piece) or (texts and self.piece[self.at].text not in texts):
            raise _Stuck
        self.at += 1
        return self.piece[self.at - 1]

    def term(self, least: int) -> Term:
        """A term whose operators bind at least so strongly."""
        left = self.prefix()
        while (op := _SPELLINGS.get(self.peek(), self.peek())) in _INFIX:
            strength, right_strength = _INFIX[op]
            if strength < least:
                break
            self.at += 1
            right = self.term(right_strength)
            if op == "≡" and self.peek() == "[":
                left = self.modulo(left, right)
            elif op == "→" and left.kind == "paren" and left.args[0].kind == "typed":
                left = _dependent(left, right)
            else:
                left = Term("infix", op, (left, right), left.start, right.end)
        return left

    def modulo(self, left: Term, right: Term) -> Term:
        """``a ≡ b [MOD n]``."""
        self.take("[")
        word = self.take("MOD", "ZMOD", "PMOD", "SMOD").text
        modulus = self.term(0)
        end = self.take("]").end
        return Term("modulo", word, (left, right, modulus), left.start, end)

    def prefix(self) -> Term:
        token = self.piece[self.at] if self.at < len(self.piece) else self.take()
        if token.kind == "symbol" or token.text == "fun":
            head = _SPELLINGS.get(token.text, token.text)
            if head in QUANTIFIERS:
                return self.quantifier(head)
            if head in _PREFIX:
                self.at += 1
                inner = self.term(_PREFIX[head])
                return Term("prefix", head, (inner,), token.start, inner.end)
        function = self.atom()
        args: list[Term] = []
        while self.argument_follows():
            args.append(self.quantifier("fun") if self.peek() in ("fun", "λ") else self.atom())
        if not args:
            return function
        return Term("apply", "", (function, *args), function.start, args[-1].end)

    def argument_follows(self) -> bool:
        """Whether the next token begins an argument of an application."""
        if self.at >= len(self.piece):
            return False
        token = self.piece[self.at]
        if token.kind in ("name", "number", "string"):
            return token.text not in _WORDS
        if token.text == "[":
            following = self.piece[self.at + 1].text if self.at + 1 < len(self.piece) else ""
            return following not in ("MOD", "ZMOD", "PMOD", "SMOD")
        return token.text in ("(", "⟨", "{", "↑", "⌊", "⌈", "·", "λ", "@", "∅", "⊤", "⊥")

    def atom(self) -> Term:
        """An atom with its fields, indices and postfix signs."""
        found = self.bare_atom()
        while self.at < len(self.piece):
            token = self.piece[self.at]
            if token.kind == "field":
                self.at += 1
                found = Term("field", token.text[1:], (found,), found.start, token.end)
            elif token.text == "[" and token.start == found.end and found.kind in ("name", "paren", "field"):
                self.at += 1
                inner = self.term(0)
                found = Term("index", "", (found, inner), found.start, self.take("]").end)
            elif token.text in _POSTFIX and token.kind == "symbol":
                self.at += 1
                found = Term("postfix", token.text, (found,), found.start, token.end)
            else:
                break
        return found

    def bare_atom(self) -> Term:
        token = self.take()
        if token.kind in ("name", "number", "string"):
            if token.text in _WORDS:
                self.at -= 1
                raise _Stuck
            return _leaf(token)
        if token.text in ("↑", "@"):
            inner = self.atom()
            return Term("prefix", token.text, (inner,), token.start, inner.end)
        if token.text == "(":
            return self.parenthesis(token)
        if token.text == "⟨":
            return self.row("anonymous", token, "⟩")
        if token.text == "[":
            return self.row("list", token, "]")
        if token.text == "{":
            return self.braces(token)
        if token.text in _BRACKETS:
            inner = self.term(0)
            close = self.take(*_BRACKETS[token.text])
            return Term("brackets", token.text + close.text, (inner,), token.start, close.end)
        if token.text in ("·", "∅", "⊤", "⊥", "_"):
            return _leaf(token)
        raise _Stuck

    def parenthesis(self, opened: Token) -> Term:
        if self.peek() == ")":
            return Term("tuple", "", (), opened.start, self.take().end)
        if self.peek() == "by":
            return self.opaque(opened)
        inner = self.term(0)
        if self.peek() == ":":
            self.at += 1
            kind = self.term(0)
            close = self.take(")")
            typed = Term("typed", ":", (inner, kind), inner.start, kind.end)
            return Term("paren", "", (typed,), opened.start, close.end)
        if self.peek() == ",":
            self.at += 1
            return self.row("tuple", opened, ")", inner)
        return Term("paren", "", (inner,), opened.start, self.take(")").end)

    def opaque(self, opened: Token) -> Term:
        """``(by …)``: a proof inside a statement, kept as it is."""
        depth = 1
        begin = self.at
        while depth:
            text = self.take().text
            depth += (text in _CLOSERS) - (text in _CLOSERS.values())
        inner = tuple(_leaf(t) for t in self.piece[begin : self.at - 1])
        return Term("opaque", "by", inner, opened.start, self.piece[self.at - 1].end)

    def row(self, kind: TermKind, opened: Token, closer: str, *first: Term) -> Term:
        """Terms with commas between them, up to the closer."""
        items = list(first)
        while self.peek() != closer:
            items.append(self.term(0))
            if self.peek() != closer:
                self.take(",")
        return Term(kind, "", tuple(items), opened.start, self.take().end)

    def braces(self, opened: Token) -> Term:
        """A set by its elements, or by what they fulfil."""
        begin = self.at
        if self.at < len(self.piece) and self.piece[self.at].kind == "name":
            try:
                binder = self.plain_binder()
                if self.peek() in ("|", "//"):
                    head = self.take().text
                    body = self.term(0)
                    end = self.take("}").end
                    return Term("comprehension", head, (body,), opened.start, end, (binder,))
            except _Stuck:
                pass
            self.at = begin
        return self.row("set", opened, "}")

    def quantifier(self, head: str) -> Term:
        opened = self.take()
        binders: list[Binder] = []
        while self.peek() not in (",", "=>", "↦"):
            binders.append(self.bracketed_binder() if self.peek() in ("(", "{", "[", "⦃") else self.plain_binder())
            if head in _SUMS and self.peek() == "in":
                self.at += 1
                binders[-1] = _in_set(binders[-1], self.term(0))
        self.take()
        body = self.term(67 if head in _SUMS else 0)
        return Term("quantifier", head, (body,), opened.start, body.end, tuple(binders))

    def bracketed_binder(self) -> Binder:
        begin = self.at
        depth = 0
        while True:
            text = self.take().text
            depth += (text in _CLOSERS) - (text in _CLOSERS.values())
            if depth == 0:
                return binder_of(self.piece[begin : self.at])

    def plain_binder(self) -> Binder:
        """``x y : T``, ``x > 0``, ``x ∈ S`` or names alone."""
        start = self.piece[self.at].start if self.at < len(self.piece) else 0
        names: list[str] = []
        while self.at < len(self.piece) and self.piece[self.at].kind == "name" and self.peek() not in _WORDS:
            names.append(self.take().text)
        if not names:
            raise _Stuck
        kind: Term | None = None
        bound: tuple[str, Term] | None = None
        if self.peek() == ":":
            self.at += 1
            kind = self.term(0)
        elif (op := _SPELLINGS.get(self.peek(), self.peek())) in RELATIONS:
            self.at += 1
            bound = (op, self.term(51))
        return Binder(tuple(names), kind, start, self.piece[self.at - 1].end, "", bound)


def _in_set(binder: Binder, where: Term) -> Binder:
    return Binder(binder.names, binder.type, binder.start, where.end, binder.bracket, ("∈", where))


def _dependent(left: Term, right: Term) -> Term:
    """``(x : T) → P``."""
    subject, kind = left.args[0].args
    words = (subject,) if subject.kind == "name" else subject.args if subject.kind == "apply" else ()
    if not words or any(w.kind != "name" for w in words):
        raise _Stuck
    binder = Binder(tuple(w.head for w in words), kind, left.start, left.end, "(")
    return Term("quantifier", "∀", (right,), left.start, right.end, (binder,))
