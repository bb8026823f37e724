"""The forms in which a state is put to a model, and in which its answer is read.

One format serves training and serving: ``training_text`` is ``prompt`` followed by ``completion``, always. A text never
holds the beginning-of-text token; the tokenizer adds it if its own settings say so, at training and at serving alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from burnqed.core.errors import BadInput
from burnqed.core.state import Goal, ProofState
from burnqed.core.tactic import normalise

GOAL = "[GOAL]"
PROOFSTEP = "[PROOFSTEP]"


class PromptFormat(Protocol):
    """What every format can do."""

    @property
    def name(self) -> str:
        """Under which it is chosen, and stored in encoder cards and checkpoints."""
        ...

    @property
    def single_tokens(self) -> tuple[str, ...]:
        """Texts that must be one token each in the model's vocabulary."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a completion, besides the end-of-text token."""
        ...

    def prompt(self, state: ProofState) -> str:
        """The text after which the model writes."""
        ...

    def completion(self, answer: str) -> str:
        """The text that the model ought to write for a tactic (or a script); the end-of-text token follows it."""
        ...

    def read(self, written: str) -> str:
        """The tactic (or script) in what the model wrote; empty when there is none."""
        ...


def training_text(form: PromptFormat, state: ProofState, answer: str) -> tuple[str, str]:
    """Prompt and completion of one training row; they are tokenized apart, as in serving."""
    return form.prompt(state), form.completion(answer)


@dataclass(frozen=True)
class Markers:
    """``[GOAL]state[PROOFSTEP]tactic``, the markers as tokens of their own or as plain text."""

    as_tokens: bool

    @property
    def name(self) -> str:
        """``markers`` or ``marker-text``."""
        return "markers" if self.as_tokens else "marker-text"

    @property
    def single_tokens(self) -> tuple[str, ...]:
        """Both markers, unless they are plain text."""
        return (GOAL, PROOFSTEP) if self.as_tokens else ()

    @property
    def stop(self) -> tuple[str, ...]:
        """A model that goes on with the next row is stopped."""
        return () if self.as_tokens else (GOAL,)

    def prompt(self, state: ProofState) -> str:
        """All goals as Lean prints them, between the markers."""
        return f"{GOAL}{_without_markers(state.text)}{PROOFSTEP}"

    def completion(self, answer: str) -> str:
        """The tactic itself."""
        return normalise(answer)

    def read(self, written: str) -> str:
        """What stands before the next marker."""
        return normalise(written.split(GOAL)[0].split(PROOFSTEP)[0])


_FENCE = "```"
_CHAT = "<｜User｜>Complete the following Lean 4 code:\n\n```lean4\n{body}\n```<｜Assistant｜>```lean4\n{body}\n"


@dataclass(frozen=True)
class DeepSeekTactic:
    """DeepSeek-Prover-V2's chat form, asked for the next tactic: the state as a comment before ``example := by``."""

    name: str = "deepseek-tactic"
    single_tokens: tuple[str, ...] = ("<｜User｜>", "<｜Assistant｜>")
    stop: tuple[str, ...] = (_FENCE, "\n\n")

    def prompt(self, state: ProofState) -> str:
        """The assistant's turn is begun for it, so that it goes on with a tactic."""
        return _CHAT.format(body=f"/- tactic state:\n{_in_comment(state.text)}\n-/\nexample := by")

    def completion(self, answer: str) -> str:
        """The tactic, indented under ``by``, without empty lines (one of them ends an answer), and the closing fence."""
        lines = [line for line in _indented(answer).splitlines() if line]
        return "\n".join([*lines, _FENCE])

    def read(self, written: str) -> str:
        """What stands before the fence or an empty line, its indentation taken back."""
        return _dedented(re.split(r"```|\n[ \t]*\n", written.lstrip("\n"))[0])


@dataclass(frozen=True)
class DeepSeekProof:
    """DeepSeek-Prover-V2's chat form, asked for the whole proof of the first goal, which is written as an ``example``."""

    name: str = "deepseek-proof"
    single_tokens: tuple[str, ...] = ("<｜User｜>", "<｜Assistant｜>")
    stop: tuple[str, ...] = (_FENCE,)

    def prompt(self, state: ProofState) -> str:
        """The assistant's turn is begun for it, up to ``:= by``."""
        return _CHAT.format(body=as_example(state.goals[0]))

    def completion(self, answer: str) -> str:
        """The script, indented under ``by``, and the closing fence."""
        return f"{_indented(answer)}\n{_FENCE}"

    def read(self, written: str) -> str:
        """What stands before the fence, its indentation taken back."""
        return _dedented(written.split(_FENCE)[0])


@dataclass(frozen=True)
class PlainProof:
    """A bare ``example … := by`` for models that complete text, asked for the whole proof of the first goal."""

    name: str = "proof-text"
    single_tokens: tuple[str, ...] = ()
    stop: tuple[str, ...] = ("\nexample", "\ntheorem", "\nlemma", _FENCE)

    def prompt(self, state: ProofState) -> str:
        """The goal as an ``example``, up to ``:= by`` and the line's end."""
        return f"{as_example(state.goals[0])}\n"

    def completion(self, answer: str) -> str:
        """The script, indented under ``by``."""
        return f"{_indented(answer)}\n"

    def read(self, written: str) -> str:
        """What stands before the next declaration, its indentation taken back."""
        return _dedented(re.split(r"\n(?=example|theorem|lemma)|```", written)[0])


_ALL: tuple[PromptFormat, ...] = (Markers(True), Markers(False), DeepSeekTactic(), DeepSeekProof(), PlainProof())
FORMATS: dict[str, PromptFormat] = {form.name: form for form in _ALL}
WHOLE_PROOF = frozenset({"deepseek-proof", "proof-text"})


def prompt_format(name: str) -> PromptFormat:
    """The format of that name. Raises BadInput that lists the names there are."""
    try:
        return FORMATS[name]
    except KeyError:
        raise BadInput(f"there is no prompt format {name!r}; choose one of {', '.join(FORMATS)}") from None


def as_example(goal: Goal) -> str:
    """A goal as ``example (x : T) … : target := by``; hypotheses that cannot be named get a name in order."""
    binders: list[str] = []
    for number, v in enumerate(goal.variables):
        name = v.name if v.accessible else f"inst{number}"
        kind = f"{v.type} := {v.value}" if v.value is not None else v.type
        binders.append(f"({name} : {' '.join(kind.split())})")
    head = " ".join(["example", *binders])
    return f"{head} : {' '.join(goal.target.split())} := by"


def _without_markers(text: str) -> str:
    """A state whose text holds a marker (a string literal, say) must not look like two rows."""
    return text.replace(GOAL, "[ GOAL]").replace(PROOFSTEP, "[ PROOFSTEP]") if "[" in text else text


def _in_comment(text: str) -> str:
    return text.replace("-/", "- /").replace(_FENCE, "` ` `")


def _indented(answer: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in normalise(answer).splitlines())


def _dedented(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return normalise("\n".join(line[margin:] for line in lines))
