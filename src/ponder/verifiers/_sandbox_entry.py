"""The first thing that runs inside a sandbox: gives up rights, sets the limits, then becomes the program.

Run as `python -S -c <this text>` by `sandbox`. It keeps to built-in modules, since an interpreter without `site` has
not loaded `os`, and loading it takes a tenth of the whole run. Arguments: the descriptor of the program's text, the
descriptor to report on, the user to become (-1: stay), the limits (bytes of memory, CPU seconds, processes, bytes of
a file), and folders of packages.
"""

import posix
import resource
import sys

_OPEN_FILES = 256


def main() -> None:
    """Set everything up and run the program as `__main__`."""
    program, report, user, memory, cpu, processes, file_bytes = map(int, sys.argv[1:8])
    if user >= 0:
        posix.setgroups([])
        posix.setresgid(user, user, user)
        posix.setresuid(user, user, user)  # a change from root to another user drops every capability
    posix.write(report, b"up")  # from here on, whatever goes wrong is the program's own affair
    posix.close(report)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_AS, memory),
    ):
        _lower(limit, most, most)
    _lower(resource.RLIMIT_CPU, cpu, cpu + 1)  # SIGXCPU first, which tells why it died
    text = b""
    while chunk := posix.read(program, 2**24):
        text += chunk
    posix.close(program)
    sys.path.extend(sys.argv[8:])
    sys.argv = ["program.py"]
    entry, own = sys.modules["__main__"], type(sys)("__main__")  # `entry` stays referenced: it holds this function
    sys.modules["__main__"] = own
    exec(text, own.__dict__)  # not by way of `compile`, which would first make a type of every kind of syntax node
    del entry


def _lower(limit: int, soft: int, hard: int) -> None:
    """Set a limit, or leave it where it is lower already."""
    most = resource.getrlimit(limit)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(limit, (soft, hard))


if __name__ == "__main__":
    main()
