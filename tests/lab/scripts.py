"""Scripts that the lab's sh and the machine's must carry out alike. They touch only the folder they run in."""

SAME = r"""
echo a b  c
===
x='a b'; echo $x; echo "$x"; echo '$x' "\$x" \$x ${x}y
===
x=1 echo "<$x>"; echo "<$x>"
===
x=1 : ; echo $x
===
e=; x=1 $e; echo "<$x>"
===
if [ ! -e foo ]; then echo no; else echo yes; fi; echo $?
===
mkdir -p a/b/c && ln -s a/b l && [ -h l ] && echo link; [ -d l ] || echo nodir
===
! true; echo $?; ! false; echo $?
===
false || true && echo x; echo $?
===
if false
then
  echo a
elif true; then echo b
else echo c
fi
===
datastore=my ds
slink=s
ln -s /vmfs/volumes/$datastore/x $slink
[ -h s ] && echo $datastore done
===
echo before
datastore=datastore1 (1)
echo after
===
echo a; echo b; )
===
echo a
)
===
exit 3
)
===
exit
===
false
exit
===
echo a \
 b
===
# comment
echo a # comment
echo a#b
===
echo "a
b" 'c
d'
===
echo "unterminated
===
echo 'unterminated
===
echo `unterminated
===
echo ${unterminated
===
echo $(unterminated
===
echo ${x:-def} ${x-def} ${x:+no} "${x:-a b}"
===
x=/a/b/c.d; echo ${x%/*} ${x##*/} ${x#*/} "${x%%/*}" ${x%.d} ${x#/a} ${x%c*} ${x#*b} ${x##/*}
===
x="  a  b "; y=$x; echo "$y"; echo $x; echo z$x"y"
===
[ a = a -a b = b ] && echo 1; [ a = b -o b = b ] && echo 2; [ ! a = b ] && echo 3; [ ] || echo 4; [ -z "" ] && echo 5
===
[ -n $undefined ] && echo one word; [ -e ] && echo another; [ -h nothing -o ! -e nothing ] && echo ok
===
[ 1 -lt 2 ] && echo lt; [ 2 -le 1 ] || echo nle; [ -1 -eq -1 ] && echo eq
===
{ echo a; echo b; }
===
f() { echo x; }
echo y
===
mkdir a; mkdir a; echo $?; rm a; echo $?; rm -r a; echo $?; rm -f nothing; echo $?; rm nothing; echo $?
===
mkdir d; ln -s x d/l; ln -s x d; ln -sf y d/x; ln -s y d/x; echo $?; ln -sfn z d/x; ln -s d e; ln -s q e; ln -sfn q e
===
mkdir d; ln -s a b c d; ln -s a b nothing; echo $?
===
if true; then fi
===
if true
===
echo "$(echo hi"
===
true && ; echo x
===
;
===
&& echo a
===
echo a;; echo b
===
x=a
x=$x$x$x
echo $x
===
if ! [ -e x ] && ! [ -h x ]
then ln -s y x; fi
===
test -e x || echo no; test; echo $?
===
true && false || echo ok
===
if true; then if false; then echo a; else echo b; fi fi
===
if true; then echo a; } fi
===
x=foo; y="${x}bar$x'q'"; echo $y
===
echo fi then if; fi=1; echo $fi
===
while false; do echo a; done; echo z
===
for x in; do echo a; done; echo z
===
case x in a) echo 1;; (b|c) echo 2 ;; esac; echo b
===
while true; done
===
for 1 in a; do b; done
===
case x in a b) c;; esac
===
A=1
B=$A$A C=$B; echo $C
===
x='a  b'
y=$x
echo "$y"
===
exit abc
===
exit 300
===
echo -n a; echo b
===
"" ; echo $?
===
nosuchprogram; echo $?
===
x=; $x ; echo $?
===
a=1;b=2;echo $a$b
===
if true;then echo x;fi
===
{ echo a
}
echo $undefined"" end
===
! ! true
===
then
===
ln -s a; echo $?
===
[ "$x" != "" ] || echo empty
===
x=${y:-"a b"}; echo "$x"
===
echo "${x:-'q'}" ${x:-'q r'}
===
mkdir d; if [ -d $(dirname d/x) ] && [ ! -e d/x ]
then ln -s q d/x; fi
===
echo $(dirname /a/b/) $(basename "/a/c d/") "$(echo a b)" $(echo "x  y") $(dirname a) $(dirname /) "$(dirname "a b/c")"
===
x=$(echo hi); echo $x $(echo $(dirname a/b/c)) $(echo "a)b")
===
nosuchprogram <<EOF
if ( ; '
EOF
echo after
===
nosuchprogram > /dev/null 2>&1 < /dev/null; ln -s a b 2>/dev/null; echo $?; echo gone > /dev/null; echo $?
===
echo a >
===
f( { echo; }
===
x=1 f() { echo; }
===
if true; then exit 4; fi
echo never
===
echo $
echo "$" a$ $/ "a$"
===
echo "a}b" a}b } {
===
echo \\ "\\" '\' | nosuchprogram; echo after
""".strip("\n").split("\n===\n")
