#!/bin/bash
# test_fresh.sh SOURCE: the README's two commands in a fresh minimal Debian 12.
# The commands are read from README.md. The tree is made by mmdebstrap, the sources are copied in,
# and each command runs in it as root and, the first one, as an ordinary user too; in mount and
# process namespaces of their own, so that nothing can be left.
set -euo pipefail
source=$1
if [ "$(id -u)" != 0 ]; then
    echo "skip: needs root"
    exit 77
fi

mapfile -t commands < <(sed -n '/^```/,/^```/p' "$source/README.md" | grep '^packaging/')
if [ ${#commands[@]} -lt 2 ] || [ "${commands[0]}" != packaging/quickstart ] ||
    [ "${commands[1]}" != packaging/check ]; then
    echo "README.md doesn't give packaging/quickstart and packaging/check as its commands"
    exit 1
fi

dir=$(mktemp -d /tmp/nairid-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$dir"' EXIT
tree=$dir/tree
echo "== a minimal tree"
timeout 300 mmdebstrap --quiet --variant=minbase --include=ca-certificates,adduser bookworm \
    "$dir/tree.tar"
mkdir "$tree"
tar -C "$tree" -xf "$dir/tree.tar"
rm "$dir/tree.tar"

# Only what a clone would have.
mkdir "$tree/src"
if [ -e "$source/.git" ]; then
    git -C "$source" -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
        (cd "$source" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh) |
        tar -C "$source" --null -T - -cf - | tar -C "$tree/src" -xf -
else
    tar -C "$source" --exclude=./build -cf - . | tar -C "$tree/src" -xf -
fi

cat >"$dir/enter" <<'ENTER'
#!/bin/bash
# enter TREE USER COMMAND: runs it in the tree; all of the mounts end with the namespace.
set -euo pipefail
tree=$1 user=$2 command=$3
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs -o mode=1777 tmp "$tree/tmp"
for file in resolv.conf hosts; do cp "/etc/$file" "$tree/etc/$file"; done
# Not chroot: in a chroot the kernel gives no user namespaces.
mkdir "$tree/.outside"
cd "$tree"
pivot_root . .outside
umount -l /.outside
rmdir /.outside
run=(env -i HOME=/root LANG=C.UTF-8 CI=true
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"})
if [ "$user" != root ]; then
    run=(setpriv --reuid="$user" --regid="$user" --init-groups "${run[@]}" "HOME=/home/$user")
fi
cd /src
exec "${run[@]}" bash -c "exec $command" </dev/null
ENTER
chmod +x "$dir/enter"

# in_tree LIMIT USER COMMAND
in_tree() {
    local began=$SECONDS code=0
    timeout --kill-after=10 "$1" unshare --mount --pid --fork --mount-proc --kill-child \
        "$dir/enter" "$tree" "$2" "$3" >"$dir/log" 2>&1 || code=$?
    took=$((SECONDS - began))
    echo "== $2: $3: exit $code after $took s"
    tail -n 25 "$dir/log"
    return $code
}
fail() {
    echo "test_fresh: $1"
    exit 1
}

# Nothing is installed yet: an ordinary user is told what to type.
chroot "$tree" useradd --create-home stranger
if in_tree 60 stranger "${commands[0]}"; then fail "it built without a compiler"; fi
grep -q 'apt-get install' "$dir/log" || fail "no apt line for a user without sudo"

in_tree 180 root "${commands[0]}" || fail "${commands[0]} failed on a bare machine"
bare=$took
grep -q '^reply:   hello from ' "$dir/log" || fail "no reply was printed"
in_tree 60 root "${commands[0]}" || fail "${commands[0]} failed the second time"
again=$took
[ "$again" -le 30 ] || fail "the second quickstart took $again s"
rm -rf "$tree/src/build"
chroot "$tree" chown -R stranger:stranger /src
in_tree 180 stranger "${commands[0]}" || fail "${commands[0]} failed for an ordinary user"
grep -q '^reply:   hello from ' "$dir/log" || fail "no reply was printed for an ordinary user"
rm -rf "$tree/src/build"
in_tree 1500 root "${commands[1]}" || fail "${commands[1]} failed"
echo "report: fresh machine: quickstart $bare s, again $again s; check $took s:" \
    "$(grep -E '^[0-9]+ passed' "$dir/log" | tail -n 1)"
