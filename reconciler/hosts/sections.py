"""What the local.sh of a host says, by the agent's own understanding of it.

It is understood here and not on each host: there it would take longer than all else that a look does, and most hosts of
a site have the same one.
"""

from __future__ import annotations

from functools import lru_cache

from reconciler.agent import local_sh
from reconciler.model.kinds.host import Section, SectionForm


@lru_cache(maxsize=64)
def understood(text: str | None, executable: bool, saved: bool) -> Section:
    """`text`: each character is one byte of the file; None: there is none. `saved`: see `Section`."""
    if text is None:
        return Section(SectionForm.NO_FILE, None, saved, runs=False)
    form, datastore = local_sh.understand(text)
    runs, why = local_sh.runs(text)
    if form != local_sh.MISSING and not executable:
        runs, why = False, "local.sh is not executable, so the host does not run it"
    return Section(
        form=SectionForm(form),
        datastore=None if datastore is None else local_sh.readable(datastore),
        saved=saved,
        runs=runs,
        why=local_sh.readable(why),
        hindrance=local_sh.readable(local_sh.hindrance(text)),
    )
