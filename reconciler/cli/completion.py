"""`vdvs completion`."""

from __future__ import annotations

import click

from reconciler.cli import exits, options

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_VDVS_COMPLETE"
"""What click itself looks for in the environment of a program called `vdvs`."""


@click.command(short_help="Print what makes a shell complete vdvs.")
@click.argument("shell", type=click.Choice(SHELLS))
@options.verbose
def completion(shell: str) -> int:
    """Print the script that makes a shell complete commands, options and kinds.

    \b
    Examples:
      source <(vdvs completion bash)
      source <(vdvs completion zsh)
      vdvs completion fish > ~/.config/fish/completions/vdvs.fish
    """
    click.echo(script(shell), nl=False)
    return exits.OK


def script(shell: str) -> str:
    """Return the script for a shell, to source, or to put where the shell looks for it."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"click cannot complete in {shell}")
    # Where zsh has found it, it is the body of a function, which click's does not know the second time it is called.
    found = made(click.Command("vdvs"), {}, "vdvs", VARIABLE).source()
    return found.replace("== loadautofunc ", "== (loadautofunc|shfunc) ")
