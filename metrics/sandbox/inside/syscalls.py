"""Calls of the kernel that no program needs that computes an answer, refused by a filter (`man 2 seccomp`).

They are those that make new walls to hide behind, look into other processes, keep something in the kernel that
outlives a grade or counts towards no limit, or have been ways out of walls before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

NUMBERS = {  # of x86_64, of aarch64
    "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "kexec_file_load": (320, 294),
    "kexec_load": (246, 104), "keyctl": (250, 219), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "mq_open": (240, 180),
    "msgget": (68, 186), "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "request_key": (249, 218), "semget": (64, 190),
    "setns": (308, 268), "shmat": (30, 196), "shmget": (29, 194), "syslog": (103, 116), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282),
}  # fmt: skip
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
FAMILIES = (1, 2, 10)
"""Of sockets: of this machine, of IPv4 and of IPv6. Others reach past network namespaces, or little tested code."""
NEW_NAMESPACES = 0x7E020000
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
OTHER_ABI = 0x40000000
LOAD, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
SECCOMP, FILTER = 22, 2
_libc = ctypes.CDLL(None, use_errno=True)


def clone_number() -> int:
    """Return the number of `clone`.

    Raises:
        OSError: It is not known for this machine.
    """
    if platform.machine() not in MACHINES:
        raise OSError(errno.ENOSYS, f"{platform.machine()} is none of {', '.join(MACHINES)}")
    return CLONE[MACHINES[platform.machine()][0]]


def _filter() -> bytes | None:
    """Return the filter of this machine, `None` for one whose numbers are not known here."""
    column, architecture = MACHINES.get(platform.machine(), (0, 0))
    if not architecture:
        return None
    steps = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    steps += _refuse(AT_LEAST, OTHER_ABI, errno.EPERM)
    steps += _refuse(EQUAL, CLONE3[column], errno.ENOSYS)  # the library then uses clone, whose flags can be seen
    for numbers in NUMBERS.values():
        steps += _refuse(EQUAL, numbers[column], errno.EPERM)
    steps += [(EQUAL, 0, 3, CLONE[column]), (LOAD, 0, 0, FIRST_ARGUMENT), *_refuse(ANY_OF, NEW_NAMESPACES, errno.EPERM)]
    steps += [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 5, SOCKET[column]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    steps += [(EQUAL, len(FAMILIES) - n, 0, family) for n, family in enumerate(FAMILIES)]
    steps += [(RETURN, 0, 0, REFUSE | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _refuse(test: int, value: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(test, 0, 1, value), (RETURN, 0, 0, REFUSE | error)]


_FILTER = _filter()


def refuse() -> None:
    """Refuse them for this process and all that it will start; needs that it can gain no rights any more."""
    if _FILTER is None:
        return
    steps = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    program = ctypes.create_string_buffer(struct.pack("HP", len(_FILTER) // 8, ctypes.addressof(steps)))
    if _libc.prctl(SECCOMP, FILTER, program, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
