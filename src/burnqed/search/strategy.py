"""What a strategy is: a rule that says which states come next, and is told what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from burnqed.search.graph import Edge, Node


class Strategy(Protocol):
    """A rule over one graph. It sees what the engine has done, never Lean or a model.

    A turn of the engine is: :meth:`choose`; :meth:`answered` for the nodes that the policy had not seen; :meth:`grew`, once;
    :meth:`tried`. Given the same calls it chooses the same.
    """

    @property
    def splits(self) -> bool:
        """Whether states whose goals share no metavariable are split into parts."""
        ...

    def choose(self, wanted: int, *, room: int) -> list[Node]:
        """The nodes for the next turn, the best first; none when nothing is left.

        About ``wanted`` of them, at most ``room``, all different. At each the next slice of its candidates is tried.
        """
        ...

    def answered(self, node: Node) -> None:
        """The policy has given a node its candidates, none of which is tried yet."""
        ...

    def grew(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        """The graph has these new nodes, scored and ready to be searched, parents first; and these new edges."""
        ...

    def tried(self, nodes: Sequence[Node]) -> None:
        """The chosen nodes had their turn; those that are not :attr:`~Node.open` have nothing left to try."""
        ...
