"""Every exception that burnqed raises on purpose.

::

    BurnqedError                 has one sentence for a person: what, where, what to do
    ├── BadInput                 the user's theorem, file, option or menu is at fault (exit status 2)
    ├── InstallError             Lean could not be fetched, checked, unpacked or stored
    ├── FetchError               a public data set could not be fetched
    ├── LeanError
    │   ├── StatementRejected    Lean does not accept the statement; carries Lean's own messages
    │   ├── WorkerLost           the Lean process died, hung or talked nonsense; the pool replaces it
    │   └── ProtocolError        a reply that no version of the protocol allows
    ├── ModelError               a policy or a value cannot do its work
    │   ├── ServerUnavailable    a model server is down, too slow, or answers nonsense, after all retries
    │   └── ModelMismatch        model, tokenizer, prompt format or encoder card is another one than it must be (exit status 2)
    ├── CanaryProved             Lean proved something false; the run stops, whatever else it says
    └── RunError                 a run folder cannot be read or written

A tactic that Lean refuses is not an exception but a value, see :mod:`burnqed.core.outcome`.
"""

from __future__ import annotations


class BurnqedError(Exception):
    """Base of all; ``str()`` of it is one clear sentence."""


class BadInput(BurnqedError):
    """What the user gave cannot be used as it is."""


class InstallError(BurnqedError):
    """The embedded Lean could not be made ready."""


class FetchError(BurnqedError):
    """A public data set could not be fetched: its host is out of reach, refuses, or has something else."""


class LeanError(BurnqedError):
    """Something about a Lean process."""


class StatementRejected(LeanError, BadInput):
    """Lean does not accept a statement: a parse error, an unknown identifier, a type or universe error."""


class WorkerLost(LeanError):
    """A Lean process died, was killed after its time limit, or broke the protocol."""


class ProtocolError(LeanError):
    """A reply that cannot be understood, from a process that is otherwise alive."""


class ModelError(BurnqedError):
    """A policy or a value cannot do its work: a damaged model, an out-of-memory that halving did not cure."""


class ServerUnavailable(ModelError):
    """A model server is down, too slow or answers what cannot be understood, and retries did not help."""


class ModelMismatch(ModelError, BadInput):
    """A model, tokenizer, prompt format or encoder is not the one that it has to be."""


class CanaryProved(BurnqedError):
    """A statement that is false was accepted as proved. Not a LeanError: no result of such a run may stand."""


class RunError(BurnqedError):
    """A run folder cannot be read or written."""
