"""What pyinfra and ansible take to run `true` on the same hosts. They observe nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from run import Command, Ratio, measure, progress

PROGRAMS = Path(__file__).parents[1] / ".peers" / "others" / "bin"
ON_HOSTS = ("chmod", "dd", "mkdir", "rm", "sleep", "true")  # what ansible calls there
WANTED = {
    "pyinfra: true": "at most 1.3 wanted",
    "ansible: true": "at most 0.2 wanted",
    "ansible: raw true": "the same without its module, which needs no Python there",
}


def commands(
    folder: Path, key: str, known_hosts: str, port: str, user: str, addresses: list[str]
) -> dict[str, Command]:
    """How each of them is told to do it."""
    options = f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes"
    hosts = {
        address: {
            "ansible_user": user, "ansible_port": int(port), "ansible_ssh_private_key_file": key,
            "ansible_ssh_common_args": options, "ansible_ssh_transfer_method": "piped",
            "ansible_python_interpreter": sys.executable, "ansible_remote_tmp": str(folder / "ansible" / address),
        }
        for address in addresses
    }  # fmt: skip
    for_ansible = folder / "ansible.json"
    for_ansible.write_text(json.dumps({"all": {"hosts": hosts}}))
    data = {"ssh_user": user, "ssh_port": int(port), "ssh_key": key, "ssh_known_hosts_file": known_hosts}
    for_pyinfra = folder / "others_inventory.py"
    for_pyinfra.write_text(f"hosts = ({addresses!r}, {data!r})\n")
    forks = str(len(addresses))
    ansible: list[str | Path] = [PROGRAMS / "ansible", "-i", for_ansible, "-f", forks, "all", "-a", "true"]
    return {
        "pyinfra: true": [PROGRAMS / "pyinfra", "-y", for_pyinfra, "exec", "--", "true"],
        "ansible: true": ansible,
        "ansible: raw true": [*ansible, "-m", "raw"],
    }


def ratios(folder: Path, bare: list[str], ours: Command, rounds: int) -> list[Ratio]:
    """Whole processes of ours against theirs."""
    found = []
    key, known_hosts, port, user, *addresses = bare
    for name, command in commands(folder, key, known_hosts, port, user, addresses).items():
        measure(command)  # the first writes bytecode
        pairs = []
        for number in range(rounds):
            progress(f"{name}, round {number + 1} of {rounds}")
            pairs.append((measure(ours), measure(command)))
        found.append(Ratio("vdvs diff", name, tuple(pairs), WANTED[name]))
    return found
