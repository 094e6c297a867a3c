"""`vdvs validate`."""

from __future__ import annotations

import click

from reconciler.cli import exits, options


@click.command(short_help="Check manifests offline.")
@options.manifests
@options.site
@options.output("text", "json", "yaml")
@options.verbose
def validate(paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Check manifests offline. Every error is shown, with file, line and what to write instead.

    \b
    Examples:
      vdvs validate -f manifests/
      kustomize build . | vdvs validate -f -
    """
    import sys

    from reconciler import loader
    from reconciler.cli.output import emit
    from reconciler.model.errors import InvalidManifestsError
    from reconciler.model.refs import Kind
    from reconciler.render import data, results

    try:
        loaded = loader.load(paths, site=site, stdin=sys.stdin.buffer if "-" in paths else None)
    except InvalidManifestsError as invalid:
        if output == "text":
            click.echo(results.errors_text(invalid.errors, invalid.files), nl=False)
        else:
            emit(data.errors_data(invalid.errors, invalid.files), output)
        return exits.INVALID
    desired = loaded.desired
    objects = {
        Kind.SITE: int(desired.site is not None),
        Kind.CONFIG_DB: len(desired.config_dbs),
        Kind.HOST: len(desired.hosts),
        Kind.VMGROUP: len(desired.vmgroups),
        Kind.STORAGE_POLICY: len(desired.storage_policies),
        Kind.VOLUME: len(desired.volumes),
    }
    if output == "text":
        click.echo(results.valid_text(loaded.files, objects), nl=False)
    else:
        emit(data.errors_data((), loaded.files), output)
    return exits.OK
