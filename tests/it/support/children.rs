//! Decoders as the kernel shows them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The process of a decoder.
#[derive(Clone, Copy)]
pub struct Child {
    id: u32,
}

impl Child {
    pub fn with_id(id: u32) -> Child {
        Child { id }
    }

    /// All decoders that this process has started.
    pub fn all_of(parent: u32) -> Vec<Child> {
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = ids.map(Child::with_id);
        children.filter(|child| child.fields().is_some_and(|fields| fields[1] == parent.to_string())).collect()
    }

    pub fn path(self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.id.to_string()).join(name)
    }

    /// `/proc/…/stat` from its third field on: state, parent, …; `None` once it is gone.
    fn fields(self) -> Option<Vec<String>> {
        let stat = std::fs::read_to_string(self.path("stat")).ok()?;
        Some(stat.rsplit_once(") ")?.1.split(' ').map(String::from).collect())
    }

    fn state(self) -> Option<String> {
        self.fields().map(|fields| fields[0].clone())
    }

    /// Clock ticks of processor time.
    fn ticks(self) -> u64 {
        self.fields().map_or(0, |fields| fields[11].parse().unwrap())
    }

    /// `VmRSS`, `VmHWM` and so on, in bytes; 0 once it is gone.
    pub fn memory(self, field: &str) -> u64 {
        let status = std::fs::read_to_string(self.path("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.strip_suffix(" kB"));
        line.map_or(0, |kilobytes| kilobytes.trim().parse::<u64>().unwrap() << 10)
    }

    pub fn is_gone(self) -> bool {
        self.state().is_none_or(|state| state == "Z")
    }

    pub fn wait_until_gone(self) {
        until(|| self.is_gone());
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.signal(libc::SIGKILL);
        self.wait_until_gone();
    }

    /// `kill -STOP`: it is there, and does nothing.
    pub fn stop(self) {
        self.signal(libc::SIGSTOP);
        until(|| self.state().is_some_and(|state| state == "T"));
    }

    /// Waits until it has worked for some hundredths of a second.
    pub fn wait_until_busy(self) {
        let before = self.ticks();
        until(|| self.ticks() > before + 2);
    }

    fn signal(self, signal: i32) {
        // SAFETY: no pointers.
        assert_eq!(unsafe { libc::kill(self.id as i32, signal) }, 0, "it is gone");
    }
}

fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::yield_now();
    }
}
