"""`vdvs validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.errors import ManifestError


@click.command(short_help="Check manifests offline.")
@options.manifests_or_default
@options.site
@options.output("text", "json", "yaml", "github", "sarif", "junit")
@options.verbose
def validate(paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Check manifests offline. The errors of all files are shown at once, with file, line and what to write instead.

    At most 50 are shown of a file. What depends on a manifest that does not fit its schema is checked once it does.
    -o github writes annotations for a pull request, -o sarif and -o junit reports for a pipeline.

    \b
    Examples:
      vdvs validate -f manifests/
      kustomize build . | vdvs validate -f -
      vdvs validate -f manifests/ -o sarif > vdvs.sarif
    """
    import sys
    from collections import Counter

    from reconciler import loader
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit
    from reconciler.model.errors import InvalidManifestsError
    from reconciler.model.refs import RECONCILED, Kind
    from reconciler.render import data, results

    def show(errors: Sequence[ManifestError], files: int) -> None:
        if output == "text":
            click.echo(results.errors_text(errors, files), nl=False)
        elif output in ("json", "yaml"):
            emit(data.errors_data(errors, files), output)
        else:
            from reconciler import __version__
            from reconciler.render.ci.errors import REPORTS

            click.echo(REPORTS[output](errors, files, __version__), nl=False)

    try:
        loaded = loader.load(paths, site=site, stdin=sys.stdin.buffer if "-" in paths else None)
    except InvalidManifestsError as invalid:
        show(invalid.errors, invalid.files)
        return exits.INVALID
    if output == "text":
        declared = Counter(ref.kind for ref, _ in loaded.desired.digests)
        objects = {Kind.SITE: int(loaded.desired.site is not None), **{kind: declared[kind] for kind in RECONCILED}}
        click.echo(results.valid_text(loaded.files, objects), nl=False)
        for note in loaded.notes:
            report(note)
    else:
        show((), loaded.files)
    return exits.OK
