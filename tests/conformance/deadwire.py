"""Connections that die without a word, as behind a link that went down or a peer that lost power.

cut() makes the wire dead: nothing that the other side sends arrives any more, not even at our
kernel, which so acknowledges nothing; and who cuts must not send either. vanish() is the end of our
socket without FIN or RST, so that the other side's next packet meets one: a peer that has started
anew. Both need CAP_NET_ADMIN in the network namespace, the former not everywhere; an ordinary user
has it in a namespace of his own, see enter(). Sources: socket(7), SO_ATTACH_FILTER (a filter that
lets nothing through, also on a socket that listens, and inherited by what that accepts); tcp(7) and
the kernel's tcp_disconnect(), TCP_REPAIR; user_namespaces(7); netdevice(7).
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct

SO_ATTACH_FILTER, SO_DETACH_FILTER, TCP_REPAIR = 26, 27, 19
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
NOT_ALLOWED = "needs CAP_NET_ADMIN"


def enter():
    """An ordinary user goes into a user and a network namespace of his own, if he may; what he
    starts has no more rights there than before. For a process with one thread, once."""
    if os.getuid() == 0 or can_die():
        return
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                       ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def cut(sock):
    drop = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("@HP", 1, ctypes.addressof(drop)))


def mend(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EBADF):  # not cut, or closed meanwhile
            raise


def vanish(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # what is due, or it is sent again
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()


def can_die():
    """Whether connections can be made to die here."""
    with socket.socket() as probe:
        try:
            cut(probe)
            probe.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            return False
    return True


def lacking(case):
    """Why the case can't be played here, None if it can."""
    words = [step.word for step in case.steps]
    words += [detail.word for step in case.steps for detail in step.details]
    return NOT_ALLOWED if {"cut", "vanish"} & {*words} and not can_die() else None
