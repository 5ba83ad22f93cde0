"""One server as a process of ours: started detached, known by a pid file, asked whether it answers, stopped.

A pid alone proves nothing, since the kernel gives it to somebody else later: the pid file also holds the time at
which the process started, and only a process with both counts as ours.
"""

import contextlib
import dataclasses
import os
import pathlib
import pwd
import resource
import signal
import socket
import subprocess
import time

OPEN_FILES = 65536


class Trouble(Exception):
    """What went wrong and how to fix it, for the person at the terminal."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """The unprivileged user that the servers run as."""

    name: str
    uid: int
    gid: int

    def identity(self) -> dict:
        """What subprocess needs to become this user; nothing where that's who we are."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def take(self, path: pathlib.Path, mode: int) -> None:
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def owner() -> Owner:
    """Whoever calls; for root the system user `assay`, made on first need: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        who = pwd.getpwuid(os.geteuid())
        return Owner(who.pw_name, who.pw_uid, who.pw_gid)
    with contextlib.suppress(KeyError):
        who = pwd.getpwnam("assay")
        return Owner(who.pw_name, who.pw_uid, who.pw_gid)
    made = subprocess.run(
        ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
         "--shell", "/usr/sbin/nologin", "assay"], capture_output=True, text=True)
    # Two runs at once may both come here: what counts is that the user is there.
    try:
        who = pwd.getpwnam("assay")
    except KeyError:
        raise Trouble(f"the system user `assay` can't be made: {made.stderr.strip()}") from None
    return Owner(who.pw_name, who.pw_uid, who.pw_gid)


def stat_of(pid: int) -> tuple[int, str] | None:
    """Parent's pid and start time of a running process; None where there is none.

    A zombie is none, since nobody may ever reap it, unless threads of it still run and hold its ports.
    """
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = text[text.rindex(")") + 2:].split()
        if fields[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) < 2:
            return None
    except OSError:
        return None
    return int(fields[1]), fields[19]


def running(program: pathlib.Path) -> list[int]:
    """Every process of this program that we may look at."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/exe") == str(program) and stat_of(int(entry)):
                found.append(int(entry))
    return found


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes that a process holds now, or at most has held with `VmHWM`; 0 where there is none."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)


def family(root: int) -> list[int]:
    """A process and all below it, whatever sessions and groups they made for themselves."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(int(entry))):
            children.setdefault(stat[0], []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def wait_until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Process:
    """A detached process that a later run of this program finds again."""

    def __init__(self, pid_file: pathlib.Path):
        self.pid_file = pid_file

    def pid(self) -> int | None:
        """Its pid while it is alive and ours."""
        try:
            pid, started = self.pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        stat = stat_of(int(pid))
        return int(pid) if stat and stat[1] == started else None

    def start(self, argv: list[str], env: dict[str, str], folder: pathlib.Path, log: pathlib.Path, who: Owner) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < OPEN_FILES:
            limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        with open(log, "ab") as output:
            child = subprocess.Popen(
                argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, umask=0o022, **who.identity())
        stat = stat_of(child.pid)
        self.pid_file.write_text(f"{child.pid} {stat[1] if stat else 0}\n")

    def end(self, how: signal.Signals, seconds: float) -> bool:
        """Sends the signal and waits until the process and all below it are gone. False if they are not."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return True
        members = family(pid)
        targets = members if how == signal.SIGKILL else [pid]
        for member in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, how)
        if not wait_until(lambda: not any(map(stat_of, members)), seconds):
            return False
        self.pid_file.unlink(missing_ok=True)
        return True


class Server:
    """What RabbitMQ, PostgreSQL and SeaweedFS have in common. `data` is the server's own folder."""

    name = ""
    title = ""
    stop_signal = signal.SIGTERM
    # A database killed a moment ago may find its old shared memory still in use: it gets another try.
    tries = 1
    seconds_to_start = 90.0
    seconds_to_stop = 30.0

    def __init__(self, data: pathlib.Path, who: Owner):
        self.data = data
        self.who = who
        self.process = Process(data / "pid")
        self.log = data / "log.txt"

    # What each of them says for itself.

    def ports(self) -> dict[str, int]:
        raise NotImplementedError

    def prepare(self) -> None:
        """Writes the configuration and, the first time, the data folder."""
        raise NotImplementedError

    def launch(self) -> None:
        raise NotImplementedError

    def ask(self) -> None:
        """Asks something only a working server answers; raises OSError otherwise."""
        raise NotImplementedError

    # What follows from it.

    def answers(self) -> bool:
        try:
            self.ask()
            return True
        except (OSError, EOFError, ValueError):
            return False

    def healthy(self) -> bool:
        return self.process.pid() is not None and self.answers()

    def claim_ports(self) -> None:
        """Refuses to start onto somebody else's ports; a server that just ended gets a moment to let go of its own."""
        if self.process.pid() is not None:
            return
        for purpose, port in self.ports().items():
            if not wait_until(lambda: free(port), 3.0):
                raise Trouble(f"port {port}, meant for {purpose}, is taken by {holder(port)}; choose others with "
                              "--base-port PORT or ASSAY_LOCAL_BASE_PORT (20 ports from there on are used)")

    def start(self) -> None:
        """Healthy when it returns, started or found so."""
        if self.process.pid() is None:
            self.data.mkdir(parents=True, exist_ok=True)
            self.who.take(self.data, 0o755)
            self.prepare()
            for attempt in range(1, self.tries + 1):
                self.launch()
                if self._came_up() or attempt == self.tries:
                    break
                time.sleep(0.5)
        elif not wait_until(self.answers, self.seconds_to_start):
            raise Trouble(f"{self.title} runs (pid {self.process.pid()}) but doesn't answer; see {self.log}, then `kill {self.name}`")
        if not self.healthy():
            state = "doesn't answer" if self.process.pid() else "ended at once"
            raise Trouble(f"{self.title} {state}; the end of {self.log} says:\n{self._last_words()}")

    def stop(self) -> None:
        if not self.process.end(self.stop_signal, self.seconds_to_stop):
            self.kill()

    def kill(self) -> None:
        if not self.process.end(signal.SIGKILL, 10.0):
            raise Trouble(f"{self.title} (pid {self.process.pid()}) can't be killed: is it another user's?")

    def _came_up(self) -> bool:
        wait_until(lambda: self.process.pid() is None or self.answers(), self.seconds_to_start)
        return self.healthy()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    {line}" for line in lines[-12:]) or "    (nothing)"


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """Who listens on a port, as far as we may see."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if any(os.readlink(entry.path) in inodes for entry in os.scandir(f"/proc/{pid}/fd")):
                return f"pid {pid} ({pathlib.Path(f'/proc/{pid}/comm').read_text().strip()})"
    return "another program"
