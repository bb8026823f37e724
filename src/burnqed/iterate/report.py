"""The report of an iteration, ``report.md`` and ``report.html``, from what is stored; and its entry in the log of all of them."""

from __future__ import annotations

import datetime
import re
import shutil
from collections import Counter
from html import escape
from pathlib import Path

import msgspec

from burnqed.core.errors import BurnqedError, RunError
from burnqed.evaluate.compare_report import write_comparison
from burnqed.evaluate.compare_targets import targets
from burnqed.evaluate.comparison import compare
from burnqed.evaluate.eval_report import write_reports
from burnqed.evaluate.verdict import verdicts
from burnqed.iterate.comparison import comparable
from burnqed.iterate.context import Context
from burnqed.iterate.driver import STEPS
from burnqed.iterate.evaluate_step import evaluations
from burnqed.iterate.manifest import FAILURES, Entry, Failure, IterationManifest, read_manifest, read_times
from burnqed.iterate.place import Place
from burnqed.iterate.search_step import runs
from burnqed.report.bars import bars
from burnqed.report.page import card, document, table, tile
from burnqed.run.folder import RunFolder
from burnqed.trajectory.files import whole_lines, write_text

HTML, MARKDOWN, README, LOG = "report.html", "report.md", "README.md", "LOG.md"
_STYLE = """
.short { white-space: nowrap; } .fact { white-space: normal; text-align: left; overflow-wrap: anywhere; }
.card li { font-size: 14px; }
"""
_COMPARISONS = "comparison"
_TITLE = "# What was learned, failures included\n"


class _Facts(msgspec.Struct, frozen=True):
    """What a report is made of."""

    name: str
    about: str
    steps: list[tuple[str, str, str]]
    failures: list[Failure]
    rounds: dict[str, Counter[str]]
    shares: list[tuple[str, str, str, str]]
    verdicts: list[tuple[str, list[str]]]
    pages: list[tuple[str, str]]


def write_iteration_report(context: Context) -> Path:
    """Write both files, the comparisons with the iteration before, a README if there is none, and the entry in the log.

    Returns the page.
    """
    place = context.place
    manifest = read_manifest(place.manifest, place.number)
    facts = _facts(context, manifest)
    write_text(place.folder / MARKDOWN, _markdown(facts))
    write_text(place.folder / HTML, _page(facts))
    if not (place.folder / README).exists():
        write_text(place.folder / README, _readme(context))
    if manifest.steps.keys() >= {step.name for step in STEPS}:
        _write_log(place, facts)
    return place.folder / HTML


def _facts(context: Context, manifest: IterationManifest) -> _Facts:
    place = context.place
    times = read_times(place.folder)
    steps = [
        (
            step.name,
            told(entry),
            f"{times[step.name]:,.1f} s" if step.name in times else "",  # not known where it was done elsewhere
        )
        for step in STEPS
        if (entry := manifest.steps.get(step.name)) is not None
    ]
    shares, said, pages = _measured(context)
    return _Facts(
        name=place.folder.name,
        about=context.recipe.about,
        steps=steps,
        failures=read_failures(place),
        rounds={run.name: _endings(run) for run in runs(place)},
        shares=shares,
        verdicts=said,
        pages=pages,
    )


def told(entry: Entry) -> str:
    """What came of a step in one line; the shares of evaluations have a table of their own."""
    figures = [f"{what} {_number(figure)}" for what, figure in entry.told.items() if not isinstance(figure, str)]
    notes = [f"{what}: {note}" for what, note in entry.told.items() if isinstance(note, str)]
    return "; ".join([", ".join(figures), *notes] if figures else notes) or "nothing to do"


def read_failures(place: Place) -> list[Failure]:
    """What went wrong in this iteration, in order; lines that cannot be read are left out."""
    found = []
    for line in whole_lines(place.folder / FAILURES):
        try:
            found.append(msgspec.json.decode(line, type=Failure))
        except msgspec.DecodeError:
            continue
    return found


def _endings(run: Path) -> Counter[str]:
    """How the searches of a run ended."""
    return Counter(
        "proved" if r.status == "proved" else r.ended or r.status for r in RunFolder(run).last_results().values()
    )


def _measured(
    context: Context,
) -> tuple[list[tuple[str, str, str, str]], list[tuple[str, list[str]]], list[tuple[str, str]]]:
    """Shares proved, verdicts in words, and the pages that tell more."""
    place = context.place
    shares: list[tuple[str, str, str, str]] = []
    pages: list[tuple[str, str]] = []
    for folder in evaluations(place):
        found, summary = write_reports(folder)
        pages.append(
            (f"evaluation {folder.parent.name}, {folder.name}", f"{folder.relative_to(place.folder)}/report.html")
        )
        for arm, one in summary.arms.items():
            n = len(found.spec.benchmark.theorems)
            shares.append(
                (folder.parent.name, folder.name, arm, f"{one.share:.1%} of {n} ({one.low:.1%} to {one.high:.1%})")
            )
    said: list[tuple[str, list[str]]] = []
    shutil.rmtree(place.folder / _COMPARISONS, ignore_errors=True)  # of evaluations that may be superseded
    for benchmark, named in comparable(place).items():
        try:
            comparison = compare(named)
        except BurnqedError as error:
            said.append((f"{benchmark}: cannot be compared with the iteration before", [str(error)]))
            continue
        out = place.folder / _COMPARISONS / benchmark
        write_comparison(out, comparison, named, targets(comparison), title=f"{', '.join(named)}: {benchmark}")
        pages.append((f"comparison on {benchmark}", f"{_COMPARISONS}/{benchmark}/compare.html"))
        said += [(f"{benchmark}: {v.question}", [answer.text for answer in v.answers]) for v in verdicts(comparison)]
    for title, path in (
        ("training", "train/report.html"),
        ("head on frozen embeddings", "head_training/run/report.html"),
        *(
            (f"calibration, {p.parent.name}", f"calibration/{p.parent.name}/calibration.html")
            for p in sorted(place.calibration.glob("*/calibration.html"))
        ),
    ):
        if (place.folder / path).exists():
            pages.append((title, path))
    return shares, said, pages


def _markdown(facts: _Facts) -> str:
    lines = [f"# {facts.name}", ""]
    lines += [facts.about, ""] if facts.about else []
    lines += ["| step | what came of it | time |", "|---|---|---|"]
    lines += [f"| {name} | {_cell(told)} | {time} |" for name, told, time in facts.steps]
    if facts.rounds:
        lines += ["", "## Searches", ""]
        lines += [
            f"- {run}: {', '.join(f'{n} {how}' for how, n in c.most_common())}" for run, c in facts.rounds.items()
        ]
    if facts.shares:
        lines += ["", "## Proved", "", "| benchmark | head | value | share |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in facts.shares]
    for question, answers in facts.verdicts:
        lines += ["", f"**{question}**", "", *(f"- {answer}" for answer in answers)]
    if facts.failures:
        lines += ["", "## What went wrong on the way", ""]
        lines += [f"- {f.when}, {f.step}: {f.error}" for f in facts.failures]
    if facts.pages:
        lines += ["", "## More", ""] + [f"- [{title}]({path})" for title, path in facts.pages]
    return "\n".join(lines) + "\n"


def _page(facts: _Facts) -> str:
    body = [f"<p>{escape(facts.about)}</p>"] if facts.about else []
    proved = sum(c["proved"] for run, c in facts.rounds.items() if not run.endswith("_negated"))
    body.append(
        f'<div class="tiles">{tile(f"{len(facts.steps)} of {len(STEPS)}", "steps done")}'
        f"{tile(f'{sum(map(Counter.total, facts.rounds.values())):,}', 'searches')}{tile(f'{proved:,}', 'found a proof')}"
        f"{tile(str(len(facts.failures)), 'failures on the way')}</div>"
    )
    rows = "".join(
        f'<tr><td class="short">{escape(name)}</td><td class="fact">{escape(told)}</td><td class="short">{escape(time)}</td></tr>'
        for name, told, time in facts.steps
    )
    heads = '<tr><th class="short">step</th><th class="fact">what came of it</th><th class="short">time</th></tr>'
    body.append(card("Steps", f'<div class="wide"><table>{heads}{rows}</table></div>'))
    if facts.shares:
        body.append(card("Proved", table(("benchmark", "head", "value", "share, 95 % interval"), facts.shares)))
    body += [card(q, f"<ul>{''.join(f'<li>{escape(a)}</li>' for a in answers)}</ul>") for q, answers in facts.verdicts]
    charts = [card(f"Searches: {run}", bars(dict(c))) for run, c in facts.rounds.items() if c]
    body.append(f'<div class="grid">{"".join(charts)}</div>')
    if facts.failures:
        failed = [(f.when, f.step, f.error) for f in facts.failures]
        body.append(card("What went wrong on the way", table(("when", "step", "what"), failed)))
    links = "".join(f'<li><a href="{escape(path)}">{escape(title)}</a></li>' for title, path in facts.pages)
    body.append(f"<h2>More</h2><ul>{links}</ul>" if links else "")
    return document(facts.name, "".join(body), style=_STYLE)


def _readme(context: Context) -> str:
    """What the folder is, for somebody who finds it. Written once; it is the reader's from then on."""
    place, recipe = context.place, context.recipe
    about = recipe.about or "An iteration of expert iteration."
    return f"""# {place.folder.name}

{about}

    burnqed iterate run {place.folder}       # does what is not done; goes on where it was stopped
    burnqed iterate status {place.folder}    # which steps are done, and what changed since

- `recipe.toml`: what it does; a change of it redoes what depends on the change
- `manifest.json`: what went into each step and what came out, by hash; two runs of this recipe have the same one
- `report.md`, `report.html`: what came of it
- `search/`, `proofs/`, `labels/`, `rows/`: trajectories, shortest proofs, labels and pairs, rows to fine-tune on
- `train/`, `model/`, `joint_head/`, `head_training/`, `head/`: the trainings, and what `burnqed prove` takes
- `calibration/`, `evaluation/`: validation searches, and evaluations for `burnqed compare`
"""


def _write_log(place: Place, facts: _Facts) -> None:
    """Put the iteration's entry into the log, in place of the one it had; everything else in the log stays as it is."""
    path = place.folder.parent / LOG
    begin, end = f"<!-- {facts.name} -->", f"<!-- /{facts.name} -->"
    lines = [begin, f"## {facts.name}, {datetime.date.today().isoformat()}", ""]
    lines += [f"{facts.about}", ""] if facts.about else []
    lines += [f"- {name}: {told}" for name, told, _ in facts.steps]
    lines += [f"- {' · '.join(row)}" for row in facts.shares]
    # The first answer to a question is about the systems as they are; the others stand in the report.
    lines += [f"- {answers[0]}" for _, answers in facts.verdicts if answers]
    lines += [f"- **went wrong**, {f.step}: {f.error}" for f in facts.failures]
    text = _read_log(path)
    ends = "\r\n" if "\r\n" in text else "\n"
    entry = ends.join([*lines, end])
    at = text.find(begin)
    until = text.find(end, at) if at >= 0 else -1
    if until >= 0:
        known = text[at : until + len(end)]
        if known.split(ends)[2:] != entry.split(ends)[2:]:  # all but the marker and the date
            text = text[:at] + entry + text[until + len(end) :]
    else:
        # Newest first: before the first entry of any kind, after the title and what stands below it.
        first = re.search(r"^(?:## |<!-- )", text, re.MULTILINE)
        at = first.start() if first else len(text)
        apart = next((more for more in ("", ends) if f"{text[:at]}{more}".endswith(2 * ends)), 2 * ends)
        text = f"{text[:at]}{apart}{entry}{ends}{ends if text[at:] else ''}{text[at:]}"
    write_text(path, text)


def _read_log(path: Path) -> str:
    """The log as it is, its line ends too; its title where there is none yet. Raises RunError for what is no text."""
    if not path.exists():
        return _TITLE
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read as UTF-8 text, so nothing was written into it: {error}") from error


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _number(figure: float | int | str) -> str:
    return f"{figure:,}" if isinstance(figure, int) else f"{figure:.4g}" if isinstance(figure, float) else figure
