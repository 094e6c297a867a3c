"""The driver of a host and its service; and the removal of vDVS from a host.

Source: docs/domain.md#driver-and-service
"""

from __future__ import annotations

from reconciler.model.base import Risk
from reconciler.model.kinds.host import (
    HOST_SETTINGS,
    ChangeSetting,
    DBMode,
    DesiredDriver,
    InstallDriver,
    ObservedHost,
    ObservedSetting,
    RemoveDriver,
    RemoveSection,
    ReplaceDriver,
    ResolvedHost,
    RestartHostd,
    SectionForm,
    Service,
    StartService,
    UnlinkDB,
)
from reconciler.model.refs import VOLUMES
from reconciler.planning.host.findings import Findings
from reconciler.planning.host.maintenance import why_no_maintenance
from reconciler.planning.host.vcenter import why_no_driver
from reconciler.planning.rights.releases import Feature, has


def driver(host: ResolvedHost, seen: ObservedHost, found: Findings, risk: Risk) -> None:
    """Compare the driver: install a missing one, replace one of another version. `risk`: that of serving at all.

    Source: docs/domain.md#driver-and-service
    """
    wanted = host.spec.driver
    if wanted is None:
        return
    if seen.driver_error is not None:
        found.held.append(f"the driver's version could not be read: {seen.driver_error}")
    elif seen.driver is None:
        _install(host, wanted, seen, found, risk)
    elif wanted.version is not None and wanted.version != seen.driver:
        _replace(host, wanted, seen.driver, found)


def _install(host: ResolvedHost, wanted: DesiredDriver, seen: ObservedHost, found: Findings, risk: Risk) -> None:
    if wanted.source is None:
        found.held.append("the driver is not installed and spec.driver.source does not say what to install")
    elif (hindrance := _hindrance(host, wanted)) is not None:
        found.held.append(hindrance)
    else:
        if host.config_db is None and seen.db_mode is DBMode.NOT_CONFIGURED:
            found.notes.append("the driver will serve every VM without limit, because this host uses no config DB")
        action = InstallDriver(host.ref, risk, wanted.source, wanted.version, wanted.sha256)
        found.change("driver", "not installed", wanted.version or "installed", action)
        _note_unchecked(wanted, found)
        _hostd(host, wanted, found)


def _replace(host: ResolvedHost, wanted: DesiredDriver, installed: str, found: Findings) -> None:
    if wanted.source is None:
        declared = f"driver {installed} is installed, {wanted.version} is declared"
        found.held.append(f"{declared}, and spec.driver.source does not say what to install")
    elif (hindrance := _hindrance(host, wanted)) is not None:
        found.held.append(hindrance)
    else:
        action = ReplaceDriver(host.ref, Risk.DISRUPTS, installed, wanted.source, wanted.version, wanted.sha256)
        found.change("driver", installed, wanted.version, action)
        _note_unchecked(wanted, found)
        _hostd(host, wanted, found)
        found.notes.append("Docker requests on this host fail while the driver is replaced; containers keep running")


def _hostd(host: ResolvedHost, wanted: DesiredDriver, found: Findings) -> None:
    """hostd reads the commands that a VIB adds to esxcli when it starts (see "Releases" in docs/domain.md).

    Source: docs/domain.md#driver-and-service
    """
    if wanted.restart_hostd:
        found.actions.append(RestartHostd(host.ref, Risk.DISRUPTS))
        found.notes.append("hostd is restarted: vCenter loses this host for a moment; VMs and containers keep running")
    elif wanted.version is None or has(wanted.version, Feature.ESXCLI) is not False:
        found.notes.append(
            "`esxcli storage guestvol` is known once hostd is restarted (spec.driver.restartHostd does it)"
        )


def _hindrance(host: ResolvedHost, wanted: DesiredDriver) -> str | None:
    return _too_old(host, wanted) or _unchecked(host, wanted) or why_no_driver(host.entry) or why_no_maintenance(host)


def _unchecked(host: ResolvedHost, wanted: DesiredDriver) -> str | None:
    """Return why the source must not be installed without its digest, or None.

    Source: docs/domain.md#driver-and-service
    """
    if wanted.sha256 is not None or wanted.source is None:
        return None
    if "://" in wanted.source:
        return (
            "spec.driver.sha256 is missing, and is required for a URL: whoever answers there decides what is installed"
        )
    if host.source_open_to:
        others = f"{host.source_open_to[0]}{' and others' if len(host.source_open_to) > 1 else ''}"
        return (
            f"spec.driver.sha256 is missing, and is required here: {others}, undeclared, can write where its source is"
        )
    return None


def _note_unchecked(wanted: DesiredDriver, found: Findings) -> None:
    if wanted.sha256 is None and wanted.source is not None and wanted.source.startswith(VOLUMES):
        found.notes.append(
            "spec.driver.sha256 is not given: whoever can write that datastore decides what is installed"
        )


def _too_old(host: ResolvedHost, wanted: DesiredDriver) -> str | None:
    """Return why the driver is too old for the config DB of the host, or None. Source: docs/domain.md#releases"""
    if host.config_db is None or wanted.version is None or has(wanted.version, Feature.SCHEMA_1_2) is not False:
        return None
    return f"driver {wanted.version} is older than vDVS 0.14, so it does not understand {host.config_db}"


def service(host: ResolvedHost, seen: ObservedHost, found: Findings, risk: Risk) -> None:
    """Compare the service, vmdk-opsd. After its driver is replaced it runs again if it did before.

    Source: docs/domain.md#driver-and-service
    """
    replacing = any(isinstance(action, ReplaceDriver) for action in found.actions)
    if replacing and seen.service is Service.RUNNING:
        found.actions.append(StartService(host.ref, Risk.SAFE))
    if host.spec.service_running is not True or seen.service is Service.RUNNING:
        return
    if seen.service is Service.UNKNOWN:
        found.held.append("the state of vmdk-opsd could not be read")
    elif seen.service is Service.STOPPED or replacing or _installs(found):
        found.change("service", seen.service.value, "running", StartService(host.ref, risk))
    elif host.spec.driver is None:
        found.held.append("vmdk-opsd cannot run: the driver is not installed; declare spec.driver")
    elif not found.held:
        found.held.append("vmdk-opsd cannot run: its init script is missing")


def _installs(found: Findings) -> bool:
    return any(isinstance(action, InstallDriver) for action in found.actions)


def settings(host: ResolvedHost, seen: ObservedHost, found: Findings) -> None:
    """Compare the settings of the host. The service reads them when it starts, so one that runs is restarted.

    Source: docs/domain.md#driver-and-service
    """
    for setting in HOST_SETTINGS:
        wanted, now = host.spec.settings.get(setting.name), seen.settings.get(setting.name, ObservedSetting())
        if wanted is None:
            continue
        if now.error is not None:
            found.held.append(f"its {setting.noun} could not be read: {now.error}")
        elif (now.value or setting.default) != wanted:
            risk = Risk.DISRUPTS if seen.service is Service.RUNNING else Risk.SAFE
            action = ChangeSetting(host.ref, risk, setting.name, wanted, now.value)
            found.change(setting.name, now.value or f"{setting.default} (default)", wanted, action)
            if risk is Risk.DISRUPTS:
                until = "Docker requests on this host fail until it is up again"
                found.notes.append(f"vmdk-opsd is restarted for the {setting.noun}: {until}")


def leave(host: ResolvedHost, seen: ObservedHost, attached: tuple[str, ...], found: Findings) -> None:
    """Remove vDVS from a host: the driver first, because without its config DB it would serve every VM.

    `attached`: the VMs on this host that have vDVS disks attached.

    Source: docs/domain.md#driver-and-service
    """
    if seen.driver_error is not None:
        found.held.append(f"the driver's version could not be read: {seen.driver_error}")
        return
    if seen.db_mode is DBMode.SINGLE_NODE:
        way_out = "keep what is worth it (`vdvs export`), then remove /etc/vmware/vmdkops/auth-db on the host"
        found.held.append(f"it has a config DB of its own (SingleNode), which goes with vDVS; {way_out}")
        return
    if seen.driver is not None and attached:
        them = ", ".join(attached)
        found.held.append(f"vDVS disks are attached to {them} on this host; without the driver they cannot be detached")
        return
    if seen.driver is not None and (hindrance := why_no_maintenance(host)) is not None:
        found.held.append(hindrance)
        return
    if seen.driver is not None:
        found.change("driver", seen.driver, "not installed", RemoveDriver(host.ref, Risk.DISRUPTS, seen.driver))
    elif seen.service is Service.RUNNING:
        found.held.append("vmdk-opsd runs, though the driver is not installed; stop it")
        return
    if seen.link is not None:
        found.change("configDB", seen.db_mode.value, "none", UnlinkDB(host.ref, Risk.SAFE, seen.link))
    if seen.section.form not in (SectionForm.MISSING, SectionForm.NO_FILE) or not seen.section.saved:
        found.change("persistence", "local.sh section", "none", RemoveSection(host.ref, Risk.SAFE))
