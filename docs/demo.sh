#!/bin/sh
# The walk-through on the embedded site, each command shown before it runs: `make demo`.
# Stops with an error at the first step whose exit code or answer is not the expected one.
# Everything happens in manifests/.vdvs-lab; the machine's own /etc and /vmfs are never touched.
set -eu
cd "$(dirname "$0")/.."

LAB=manifests/.vdvs-lab
EDIT='import glob, sqlite3
(path,) = glob.glob("manifests/.vdvs-lab/datastores/*/dockvols/vmdkops_config.db")
db = sqlite3.connect(path)
with db:
    assert db.execute("UPDATE privileges SET usage_quota = 0").rowcount == 1
db.close()'

say() { printf '\n# %s\n' "$*"; }
fail() { printf '\ndemo: %s\n' "$*" >&2; exit 1; }

# run CODE COMMAND...: show and run the command, which must exit with CODE. Its output is left in $output.
run() {
    expected=$1; shift
    printf '$ %s\n' "$*"
    code=0; output=$("$@" 2>&1) || code=$?
    [ -z "$output" ] || printf '%s\n' "$output"
    [ "$code" -eq "$expected" ] || fail "'$*' exited with $code instead of $expected"
}

shows() {
    case $output in *"$1"*) ;; *) fail "the answer does not show '$1'" ;; esac
}

shows_no() {
    case $output in *"$1"*) fail "the answer shows '$1'" ;; esac
}

[ ! -e "$LAB" ] || vdvs lab down --directory "$LAB" >/dev/null

say "From manifests to a running site: two hosts, a shared config DB, a vmgroup with limits and three VMs."
run 0 vdvs apply -f manifests/
shows created
run 0 vdvs get hosts
shows_no OPEN

say "Once more: nothing is left to do."
run 0 vdvs apply -f manifests/
shows unchanged
shows_no created; shows_no configured

say "A host reboots. ESXi forgets the link to the config DB; what we wrote into local.sh makes it again."
run 0 vdvs lab reboot esxiz10 --directory "$LAB"
run 0 vdvs get hosts
shows_no OPEN
run 0 vdvs apply -f manifests/

say "Somebody lifts the limit of 5GB by hand, in the config DB."
printf '$ sqlite3 %s "%s"\n' "$LAB/datastores/*/dockvols/vmdkops_config.db" "UPDATE privileges SET usage_quota = 0"
python -c "$EDIT" || fail "the config DB could not be edited"

say "It is found ..."
run 1 vdvs diff -f manifests/
shows volumeTotalSize

say "... and healed."
run 0 vdvs apply -f manifests/
shows volumeTotalSize
run 0 vdvs diff -f manifests/

printf '\nAll as it should be. The site stays in %s: look around, or remove it with\n' "$LAB"
printf '  .venv/bin/vdvs lab down --directory %s\n' "$LAB"
