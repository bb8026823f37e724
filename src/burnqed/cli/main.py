"""`burnqed`: the entry point, and how errors reach a person."""

from __future__ import annotations

import sys

import typer

from burnqed.cli import calibrate, compare, config, data, embed, iterate, lean, models, prove, serve, train, verify
from burnqed.cli import eval as evaluate
from burnqed.core.errors import BurnqedError

app = typer.Typer(
    name="burnqed",
    help="Prove Lean 4 theorems: a policy proposes tactics, a value judges states, real Lean checks every step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("prove")(prove.prove)
app.command("verify")(verify.verify)
app.command("calibrate")(calibrate.calibrate)
app.command("eval")(evaluate.evaluation)
app.command("compare")(compare.compare)
app.command("config")(config.config)
app.add_typer(lean.app, name="lean")
app.add_typer(data.app, name="data")
app.command("embed")(embed.embed)
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(iterate.app, name="iterate")
app.add_typer(serve.app, name="serve")


def main() -> None:
    """Run the command line; a known trouble is one sentence on standard error and exit status 2."""
    try:
        app()
    except BurnqedError as error:
        print(f"burnqed: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("burnqed: stopped", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
