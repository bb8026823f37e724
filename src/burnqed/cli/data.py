"""`burnqed data`: from public sets and Lean's own library to training rows. Each verb has a file of its own."""

from __future__ import annotations

import typer

from burnqed.cli.data_audit import audit
from burnqed.cli.data_clean import clean
from burnqed.cli.data_derive import derive
from burnqed.cli.data_fetch import fetch, sets
from burnqed.cli.data_generate import generate
from burnqed.cli.data_harvest import harvest
from burnqed.cli.data_labels import labels
from burnqed.cli.data_premises import premises
from burnqed.cli.data_restate import restate
from burnqed.cli.data_rows import pairs, rows
from burnqed.cli.data_stats import stats
from burnqed.cli.data_trace import trace

app = typer.Typer(
    help="From public sets and Lean's own library to clean training rows (docs/data.md).", no_args_is_help=True
)
app.command("sets")(sets)
app.command("fetch")(fetch)
app.command("audit")(audit)
app.command("clean")(clean)
app.command("restate")(restate)
app.command("harvest")(harvest)
app.command("derive")(derive)
app.command("premises")(premises)
app.command("trace")(trace)
app.command("generate")(generate)
app.command("rows")(rows)
app.command("pairs")(pairs)
app.command("labels")(labels)
app.command("stats")(stats)
