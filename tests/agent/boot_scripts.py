"""Boot scripts of every common shape. `@original@`, `@older@` and `@ours@` stand for a section."""

from __future__ import annotations

from reconciler.agent.local_sh import TAG, section_text

ID = "5a7b0001-0a0b0c0d-9bc3-000c29c1501d"
ORIGINAL = f"""{TAG}
#
# This part belongs to the admin tool.
# The line that ends the script must stay behind it.
#

datastore={ID}

slink=/etc/vmware/vmdkops/auth-db
shared_db=/vmfs/volumes/$datastore/dockvols/vmdkops_config.db

if [ -d $(dirname $slink) ] && [ ! -e $slink  ]
then
    ln -s $shared_db $slink
fi

{TAG}
"""
OURS = section_text(ID)
OLDER = OURS.replace('# Only "#!" and comments may stand before it.', '# It must stand before "exit 0".').replace(
    "unset datastore slink shared_db\n", ""
)
SECTIONS = {"@original@\n": ORIGINAL, "@older@\n": OLDER, "@ours@\n": OURS}
_SH = "#!/bin/sh\n"

# Whatever these do, the link is there in the end once vdvs has written its section.
HARMLESS = {
    "empty": "",
    "only a newline": "\n",
    "only the interpreter": _SH,
    "only the interpreter, no newline": "#!/bin/sh",
    "as shipped with ESXi 6": _SH + "\n# local configuration options\n\n# Note: modify at your own risk!\n\nexit 0\n",
    "as shipped with ESXi 8": "#!/bin/sh ++group=host/vim/vmvisor/boot\n\n# local configuration options\n\nexit 0\n",
    "ash": "#!/bin/ash\necho a\n",
    "a blank before the interpreter": "#! /bin/sh\necho a\n",
    "blanks behind the interpreter": "#!/bin/sh  \necho a\n",
    "ends at an error": "#!/bin/sh -e\nfalse\n",
    "ends at an error, and at a name that is not set": "#!/bin/sh -eu\necho $nothing\n",
    "traced": "#!/bin/sh -x\necho a\n",
    "no interpreter": "echo a\nexit 0\n",
    "no interpreter, a comment first": "# local.sh\necho a\n",
    "no interpreter, a blank line first": "\necho a\n",
    "a byte order mark": "\u00ef\u00bb\u00bf#!/bin/sh\necho a\n",
    "no newline at the end": _SH + "echo a",
    "exit without newline": _SH + "exit 0",
    "exit first": _SH + "exit 0\necho a\n",
    "exit with a failure": _SH + "exit 3\n",
    "exit indented": _SH + "  exit 0\n",
    "exit in a list": _SH + "true && exit 0\necho a\n",
    "exit in braces": _SH + "{ exit 0; }\n",
    "exit in a subshell": _SH + "(exit 1)\necho a\n",
    "exit in a function": _SH + "stop() {\n    exit 0\n}\nstop\n",
    "exit in if": _SH + "if [ -e /tmp ]; then\n    exit 0\nfi\necho a\n",
    "exit in case": _SH + 'case "$1" in\n    "") exit 0 ;;\n    *) echo a ;;\nesac\n',
    "exit in a here-document": _SH + "cat <<EOF\nexit 0\nEOF\necho a\n",
    "return at the top": _SH + "return 0\necho a\n",
    "exec of a program": _SH + "exec true\necho a\n",
    "exec of what is not there": _SH + "exec /nothing\necho a\n",
    "output to a file": _SH + "exec >> /tmp/boot.log 2>&1\necho a\n",
    "output to a folder that is not there": _SH + "exec >> /vmfs/volumes/logs/boot.log 2>&1\necho a\n",
    "input from nowhere": _SH + "exec < /dev/null\necho a\n",
    "readonly": _SH + "readonly A=1\nA=2\necho a\n",
    "readonly with the names of the section": _SH + "readonly datastore=x slink=y shared_db=z\n",
    "the names of the section": _SH + "datastore=x\nslink=y\nshared_db=z\necho $datastore\n",
    "set -e": _SH + "set -e\nfalse\necho a\n",
    "set -u": _SH + "set -u\necho $nothing\necho a\n",
    "set -n": _SH + "set -n\necho a\n",
    "set -o noexec": _SH + "set -o noexec\necho a\n",
    "set --": _SH + "set -- a b\necho $2\n",
    "shift too far": _SH + "shift 5\necho a\n",
    "a special builtin that fails": _SH + ". /tmp/nothing\necho a\n",
    "eval": _SH + "eval 'exit 0'\necho a\n",
    "eval of half a command": _SH + "eval 'if true'\necho a\n",
    "an alias of ln": _SH + "alias ln=false mkdir=false\necho a\n",
    "a function called ln": _SH + "ln() { false; }\nmkdir() { false; }\n[() { false; }\necho a\n",
    "a PATH with nothing in it": _SH + "PATH=/nothing\necho a\n",
    "IFS": _SH + "IFS=/\necho $PATH >/dev/null\n",
    "umask": _SH + "umask 777\necho a\n",
    "cd": _SH + "cd /tmp\necho a\n",
    "a trap at the end": _SH + "trap 'echo bye' EXIT\necho a\n",
    "a trap that ends": _SH + "trap 'exit 1' INT TERM\nkill -TERM $$\nsleep 1\n",
    "killed": _SH + "kill -9 $$\n",
    "a loop": _SH + "for n in 1 2 3; do\n    echo $n\ndone\n",
    "a loop that never ends": _SH + "while true; do\n    sleep 1\ndone\n",
    "a program that never ends": _SH + "sleep 1000\n",
    "in the background": _SH + "sleep 0 &\necho a\nwait\n",
    "until": _SH + "until true; do echo a; done\n",
    "a pipe": _SH + "echo a | cat\n",
    "a line that goes on": _SH + "echo a \\\n    b\n",
    "goes on at the end": _SH + "echo a \\",
    "a comment that ends in a backslash": _SH + "# this is no end \\\necho a\n",
    "an unclosed quote": _SH + "echo 'a\necho b\n",
    "an unclosed double quote": _SH + 'echo "a\nexit 0\n',
    "an unclosed here-document": _SH + "cat <<EOF\na\n",
    "an unclosed if": _SH + "if true; then\n    echo a\n",
    "an unclosed substitution": _SH + "echo $(date\n",
    "fi too many": _SH + "fi\necho a\n",
    "parentheses": _SH + "echo a (1)\necho b\n",
    "of bash": _SH + 'arr=(a b)\n[[ -n "$arr" ]] && echo a\nfunction f { echo b; }\n',
    "a here-document with quotes": _SH + "cat <<'EOF'\n$HOME `date`\nEOF\n",
    "a here-document with tabs": _SH + "cat <<-EOF\n\ta\n\tEOF\necho b\n",
    "two here-documents": _SH + "cat <<A; cat <<B\na\nA\nb\nB\n",
    "arithmetic": _SH + "echo $((1 + 2))\n",
    "a division by zero": _SH + "echo $((1 / 0))\necho a\n",
    "a wrong expansion": _SH + "echo ${nothing:?is not set}\necho a\n",
    "a wrong substitution": _SH + "echo ${!}x ${%}\necho a\n",
    "a program that is not there": _SH + "/nothing\nnothing\necho a\n",
    "ESXi's programs": _SH + "esxcli system module load -m example\nvim-cmd hostsvc/firewall_enable\nexit 0\n",
    "comments everywhere": _SH + "# a\n\n  # b\n#\necho a # c\n",
    "comments with odd bytes": _SH + "# \u00ff\u0080\u0081\u0088\u001b\u000c\u000b\u0007 b\n#\u00e9\necho a\n",
    "a comment with a null byte": _SH + "# a\0b\n# c\necho a\n",
    "a null byte": _SH + "echo a\0b\n",
    "a null byte at the end": _SH + "echo a\n\0",
    "odd bytes": _SH + "echo \u00ff\u0081\u0082\u0083\u0088\n",
    "a comment with a carriage return": _SH + "# a\r\n# b\r\necho a\n",
    "a line with a carriage return only": _SH + "\r\necho a\n",
    "carriage returns behind the first line": _SH + "if true; then\r\n    echo a\r\nfi\r\n",
    "no interpreter, carriage returns": "echo a\r\nexit 0\r\n",
    "a tab first": _SH + "\techo a\n",
    "a long line": _SH + "echo " + "a" * 20000 + "\n",
    "long": _SH + "# a\n" * 5000 + "exit 0\n",
    "the tag indented": _SH + f"  {TAG}\necho a\n",
    "the tag quoted": _SH + f"echo '{TAG}'\n",
    "another folder of ESXi": _SH + "echo /etc/vmware/esx.conf /etc/vmware-tools\n",
    "the original's section": _SH + "echo a\n\n@original@\nexit 0\n",
    "the original's section first": _SH + "@original@\necho a\n",
    "the original's section behind exit": _SH + "exit 0\n@original@\n",
    "the original's section in if": _SH + "if true; then\n@original@\nfi\necho a\n",
    "the original's section in a function": _SH + "link() {\n@original@\n}\nlink\necho a\n",
    "the original's section in a here-document": _SH + "cat <<EOF\n@original@\nEOF\necho a\n",
    "the original's section two times": _SH + "@original@\necho a\n@original@\nexit 0\n",
    "the original's section, unclosed": _SH + "echo a\n" + ORIGINAL.rpartition(TAG)[0] + "echo b\nexit 0\n",
    "the original's section for a name with a blank": _SH + ORIGINAL.replace(ID, "my ds") + "exit 0\n",
    "the original's section for a copied name": _SH + ORIGINAL.replace(ID, "datastore1 (1)") + "echo a\nexit 0\n",
    "the original's section with carriage returns": _SH + ORIGINAL.replace("\n", "\r\n") + "exit 0\n",
    "the original's section with a line inside": _SH + ORIGINAL.replace("\nif", "\necho a\nif") + "exit 0\n",
    "an older section": _SH + "\n# local configuration options\n\necho a\n@older@\nexit 0\n",
    "an older section first": _SH + "@older@\nexit 0\n",
    "an older section behind exec": _SH + "exec true\n@older@\nexit 0\n",
    "an older section, unclosed": _SH + OLDER.rpartition(TAG)[0] + "echo a\nexit 0\n",
    "an older section, nothing else": OLDER,
    "an older and the original's": _SH + "@older@\necho a\n@original@\nexit 0\n",
    "ours first": _SH + "@ours@\nexit 0\n",
    "ours first, in CRLF": _SH + OURS.replace("\n", "\r\n") + "exit 0\n",
    "ours behind comments and blank lines": _SH + "\n# a\n\n  # b \\\n\t\n@ours@\necho a\n",
    "ours behind a comment with odd bytes": _SH + "# \u00ff\u0081\u0088\u001b\r\n@ours@\necho a\n",
    "ours behind a comment with a null byte": _SH + "# a\0b\n@ours@\necho a\n",
    "ours without interpreter": "@ours@\nexit 0\n",
    "ours last, no newline": _SH + OURS.rstrip("\n"),
    "ours behind a program that never ends": _SH + "sleep 1000\n@ours@\nexit 0\n",
    "ours behind a redirection that fails": _SH + ": > /nothing/a\n@ours@\nexit 0\n",
    "ours behind an error, ending at errors": "#!/bin/sh -e\nfalse\n@ours@\nexit 0\n",
    "ours behind a name that is not set": _SH + "set -u\necho $nothing\n@ours@\nexit 0\n",
    "ours behind exec": _SH + "exec >> /vmfs/volumes/logs/boot.log 2>&1\n@ours@\nexit 0\n",
    "ours behind eval": _SH + "eval 'exit 0'\n@ours@\nexit 0\n",
    "ours behind a function called echo": _SH + "echo() { exit; }\necho a\n@ours@\nexit 0\n",
    "ours behind an alias": _SH + "alias echo=exit\necho a\n@ours@\nexit 0\n",
    "ours behind an unclosed quote": _SH + "echo 'a\n@ours@\n",
    "ours behind half an if": _SH + "if [ -e /tmp ]; then\n    echo a\n@ours@\nfi\n",
    "ours behind a line that goes on": _SH + "echo a \\\n@ours@\n",
    "ours behind a list": _SH + "echo a; exit 0\n@ours@\n",
    "ours behind exit": _SH + "exit 0\n@ours@\n",
    "ours behind a readonly name": _SH + "readonly A=1\nA=2\n@ours@\nexit 0\n",
    "ours behind a carriage return": "#!/bin/sh -e\n\r\n@ours@\nexit 0\n",
    "ours in if": _SH + "if false; then\n@ours@\nfi\necho a\n",
    "ours in a loop": _SH + "for n in 1 2; do\n@ours@\ndone\n",
    "ours in a here-document": _SH + "cat <<EOF >/dev/null\n@ours@\nEOF\necho a\n",
    "ours in quotes": _SH + "echo 'a\n@ours@\n' >/dev/null\n",
    "ours two times": _SH + "@ours@\necho a\n@ours@\nexit 0\n",
    "ours for another datastore": _SH + OURS.replace(ID, "other") + "exit 0\n",
    "ours, and the original's behind it": _SH + "@ours@\necho a\n@original@\nexit 0\n",
    "ours, and a syntax error": _SH + "@ours@\nfi\n",
    "ours, and an unclosed quote": _SH + "@ours@\necho 'a\n",
    "ours, and what it calls so removed": _SH + '@ours@\nrm -f "$slink" $slink "${slink}"\nexit 0\n',
    "ours, and a lone tag": _SH + f"@ours@\n{TAG}\nexit 0\n",
}
# Ours, not first, but what stands before it surely goes on.
BEHIND = {
    "ours last": _SH + "echo a\n@ours@\n",
    "ours behind a plain command": _SH + ":\n@ours@\nexit 0\n",
    "ours behind ESXi's programs": _SH
    + "esxcli system module load -m example\nvim-cmd hostsvc/firewall_enable\nesxcfg-rescan vmhba0\n@ours@\n",
    "ours behind quoted words": _SH + "echo 'a; exit' \"b; exit\" \n\n# c\n@ours@\nexit 0\n",
    "ours behind a test": _SH + "if [ -e /tmp/none ]; then\n    echo a\nelse\n    false\nfi\n@ours@\nexit 0\n",
    "ours behind a wrong test": _SH + "if [ a b c d ]; then\n    echo a\nfi\n@ours@\nexit 0\n",
    "ours behind a plain command of ESXi 8": "#!/bin/sh ++group=host/vim/vmvisor/boot\nmkdir -p /tmp/a\n@ours@\n",
}
# Lines of others that name the link or its folder: they stay, and what comes of it cannot be told.
NAMING = {
    "removes the link": _SH + "rm -f /etc/vmware/vmdkops/auth-db\nexit 0\n",
    "removes the link, behind ours": _SH + "@ours@\nrm -f /etc/vmware/vmdkops/auth-db\nexit 0\n",
    "makes a folder in its place, before ours": _SH + "mkdir -p /etc/vmware/vmdkops/auth-db\n@ours@\nexit 0\n",
    "removes the folder": _SH + "rm -rf /etc/vmware/vmdkops\n",
    "removes the folder above": _SH + "rm -rf /etc/vmware/*\n",
    "goes into the folder above": _SH + "cd /etc/vmware\nrm -rf vmdkops\n",
    "renames the folder": _SH + "mv /etc/vmware/vmdkops /tmp/away\n",
    "removes what is called so": _SH + "D=/etc/vmware/vmdkops\nrm -f $D/auth-*\n",
    "removes it at the end": _SH + "trap 'rm -f /etc/vmware/vmdkops/auth-db' EXIT\n",
    "removes it in a function": _SH + "clean() {\n    rm -f /etc/vmware/vmdkops/auth-db\n}\nclean\n",
    "removes it in the background": _SH + "(rm -f /etc/vmware/vmdkops/auth-db) &\nwait\n",
    "links elsewhere": _SH + "ln -sfn /vmfs/volumes/other/dockvols/vmdkops_config.db /etc/vmware/vmdkops/auth-db\n",
    "makes the link by hand": _SH + "ln -s /vmfs/volumes/x /etc/vmware/vmdkops/auth-db\nexit 0\n",
    "makes a file of it": _SH + "rm -f /etc/vmware/vmdkops/auth-db\necho > /etc/vmware/vmdkops/auth-db\n",
    "looks only": _SH + "[ -e /etc/vmware/vmdkops/auth-db ] || echo a\n",
    "asks the original tool": _SH + "/usr/lib/vmware/vmdkops/bin/vmdkops_admin.py config rm --unlink --confirm\n",
    "an older section edited": _SH + OLDER.replace("ln -s", "echo ln -s") + "echo a\n",
    "a foreign line in the original's if": _SH
    + ORIGINAL.replace("\n    ln", "\n    echo /etc/vmware/vmdkops/auth-db\n    ln")
    + "exit 0\n",
}
# The first line: not one that the shell of ESXi is known to be started with.
HINDERED = {
    "carriage returns": "#!/bin/sh\r\necho a\r\n",
    "carriage returns, with ours": "#!/bin/sh\r\n@ours@\nexit 0\n",
    "carriage returns only in the first line, with options": "#!/bin/sh -e\r\n@ours@\nexit 0\n",
    "python": "#!/bin/python\nprint(1)\n",
    "python, with ours": "#!/bin/python\n@ours@\n",
    "bash": "#!/bin/bash\n@ours@\necho a\n",
    "env": "#!/usr/bin/env sh\n@ours@\necho a\n",
    "busybox without options": "#!/bin/busybox\n@ours@\n",
    "reads only": "#!/bin/sh -n\n@ours@\necho a\n",
    "reads its input": "#!/bin/sh -s\n@ours@\necho a\n",
    "a comment behind the interpreter": "#!/bin/sh # local\n@ours@\necho a\n",
    "a null byte in the first line": "#!/bin/sh\0\n@ours@\necho a\n",
    "an interpreter that does nothing": "#!/bin/true\n@ours@\necho a\n",
    "no path": "#!sh\n@ours@\necho a\n",
}


def texts() -> dict[str, str]:
    """Return every script as text in which each character is one byte of the file."""
    found = {}
    for name, text in {**HARMLESS, **BEHIND, **NAMING, **HINDERED}.items():
        for mark, section in SECTIONS.items():
            text = text.replace(mark, section)
        found[name] = text
    return found
