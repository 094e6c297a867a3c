"""`vdvs validate`."""

from __future__ import annotations

import click

from reconciler.cli import exits, options


@click.command(short_help="Check manifests offline.")
@options.manifests_or_default
@options.site
@options.output("text", "json", "yaml")
@options.verbose
def validate(paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Check manifests offline. The errors of all files are shown at once, with file, line and what to write instead.

    At most 50 are shown of a file. What depends on a manifest that does not fit its schema is checked once it does.

    \b
    Examples:
      vdvs validate -f manifests/
      kustomize build . | vdvs validate -f -
    """
    import sys
    from collections import Counter

    from reconciler import loader
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit
    from reconciler.model.errors import InvalidManifestsError
    from reconciler.model.refs import RECONCILED, Kind
    from reconciler.render import data, results

    try:
        loaded = loader.load(paths, site=site, stdin=sys.stdin.buffer if "-" in paths else None)
    except InvalidManifestsError as invalid:
        if output == "text":
            click.echo(results.errors_text(invalid.errors, invalid.files), nl=False)
        else:
            emit(data.errors_data(invalid.errors, invalid.files), output)
        return exits.INVALID
    if output == "text":
        declared = Counter(ref.kind for ref, _ in loaded.desired.digests)
        objects = {Kind.SITE: int(loaded.desired.site is not None), **{kind: declared[kind] for kind in RECONCILED}}
        click.echo(results.valid_text(loaded.files, objects), nl=False)
        for note in loaded.notes:
            report(note)
    else:
        emit(data.errors_data((), loaded.files), output)
    return exits.OK
