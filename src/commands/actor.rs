//! Who gives a command.

/// `user@host`, for what is written down with a name.
pub(super) fn actor() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    // SAFETY: getuid only reads the process's own number, and can't fail.
    let number = || format!("uid {}", unsafe { libc::getuid() });
    let user = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(number);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{user}@{}", if host.is_empty() { "localhost" } else { host })
}
