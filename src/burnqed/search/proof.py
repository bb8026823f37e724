"""The shortest proof that a graph holds, put together from what was found for the parts of split states."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping

from burnqed.search.graph import Edge, Graph, Node

Proof = Mapping[Node, Edge]
"""For each node of a proof the tactic that is used there."""

_Cost = tuple[int, int, int]


def shortest_proof(graph: Graph) -> Proof | None:
    """The proof of the root with the fewest suspended tactics, the least blame, the fewest tactics; None when there is none.

    Knuth's generalisation of Dijkstra's algorithm (1977): a node is done when its cost is the least of all that are
    not, so no proof can go in a circle. A suspended tactic may be used again, but in another proof; one without any
    is preferred to it.
    """
    best: dict[Node, _Cost] = {}
    chosen: dict[Node, Edge] = {}
    count = itertools.count()  # ties go to what was met first
    heap: list[tuple[_Cost, int, Node, Edge | None]] = [
        ((0, 0, 0), next(count), node, None) for node in graph.nodes if node.state.finished and node.solved
    ]
    while heap:
        cost, _, node, edge = heapq.heappop(heap)
        if node in best:
            continue
        best[node] = cost
        if edge is not None:
            chosen[node] = edge
        for above in node.incoming:
            through = (cost[0] + above.suspended, cost[1] + above.blame, cost[2] + 1)
            heapq.heappush(heap, (through, next(count), above.parent, above))
        for whole in node.wholes:
            if all(part in best for part, _ in whole.parts):
                suspended, blame, length = (sum(each) for each in zip(*(best[p] for p, _ in whole.parts), strict=True))
                heapq.heappush(heap, ((suspended, blame, length), next(count), whole, None))
    root = graph.nodes[0]
    return _below(root, chosen) if root in best else None


def _below(root: Node, chosen: Mapping[Node, Edge]) -> Proof:
    """Only what the proof of the root needs, in the order in which it is met."""
    needed: dict[Node, Edge] = {}
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if node.parts:
            nodes += [part for part, _ in reversed(node.parts)]
        elif not node.state.finished and node not in needed:
            needed[node] = chosen[node]
            nodes.append(chosen[node].child)
    return needed
