"""The access map as it is declared: before its first apply, too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from reconciler.model.inventory import Datastore
from reconciler.model.refs import Location
from reconciler.planning.configdb.old_schema import lifted
from reconciler.planning.rights.decision import Lookup
from reconciler.planning.vmgroup.pairing import state_after
from reconciler.planning.vmgroup.state import VMGroupState, observed_states
from reconciler.render.page.access import AccessMap, Column


class DeclaredAccess(AccessMap):
    """The rights of all declared vmgroups once their manifests are applied; of what these leave alone, as it is now.
    The hosts are those that are to use each config DB, as far as they or the inventory say what they mount."""

    declared = True

    def _column(self, datastore: Datastore, mounting: list[str]) -> Column:
        resolved = self.look.joined.assessment.resolved
        addresses = {host.ref.name: host.address for host in resolved.hosts}
        there = {*mounting, *datastore.hosts}
        enforcing: dict[Location, frozenset[Lookup]] = {}
        for db in resolved.config_dbs:
            hosts = [name for name in db.hosts if name in there or addresses.get(name) in there]
            if hosts:
                every = frozenset(Lookup)
                enforcing[db.location] = frozenset().union(*(self._lookups.get(name, every) for name in hosts))
        return Column(datastore, enforcing, (), 0)

    @cached_property
    def _states(self) -> Mapping[Location, Mapping[str, VMGroupState]]:
        assessment = self.look.joined.assessment
        places = {db.ref: db.location for db in assessment.resolved.config_dbs}
        there = {
            place: {state.uuid: state for state in observed_states(lifted(db)).values()}
            for place, db in assessment.observed.config_dbs.items()
        }
        found: dict[Location, dict[str, VMGroupState]] = {place: {} for place in places.values()}
        for group in self.look.joined.vmgroups.values():
            if group.resolved is not None and (place := places.get(group.resolved.config_db)) is not None:
                before = there.get(place, {}).get(group.tenant.id) if group.tenant is not None else None
                after = state_after(group.resolved, before, before.uuid if before else "")
                found[place][group.change.ref.name] = after
        return found
