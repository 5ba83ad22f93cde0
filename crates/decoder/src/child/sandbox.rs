//! What a decoder gives up before it sees its first byte.
//!
//! In layers, so that a kernel that lacks one still has the others: no descriptors but the socket, limits, Landlock
//! (no files, no network, no signals), and seccomp, which leaves of the system only what decoding calls.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use imaging::protocol::Protections;

/// The newest of Landlock's interfaces that this was tried with.
const LANDLOCK: ABI = ABI::V7;

/// Gives everything up but descriptor 0 and `memory` bytes of address space.
pub(crate) fn enter(memory: u64) -> io::Result<Protections> {
    let mut missing = Vec::new();
    die_with_the_worker()?;
    // Where a container's memory runs out the kernel then takes a decoder, not the worker.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let landlock = match restrict_by_landlock() {
        Ok(abi) => abi,
        Err(error) => {
            missing.push(format!("Landlock: {error}"));
            None
        }
    };
    if landlock.is_none() && missing.is_empty() {
        missing.push("Landlock: this kernel has none, or has it off".into());
    }
    close_all_but_the_socket();
    limit(libc::RLIMIT_AS, memory)?;
    for resource in [libc::RLIMIT_CORE, libc::RLIMIT_FSIZE, libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC] {
        limit(resource, 0)?;
    }
    let seccomp = match filter().and_then(|filter| seccompiler::apply_filter(&filter).map_err(io::Error::other)) {
        Ok(()) => true,
        Err(error) => {
            missing.push(format!("seccomp: {error}"));
            false
        }
    };
    Ok(Protections { seccomp, landlock, memory, missing })
}

/// The worker may be killed at any moment. It alone decides when a decoder ends, so a Ctrl-C in its terminal, which
/// reaches every process there, must not.
fn die_with_the_worker() -> io::Result<()> {
    // SAFETY: no pointers. Where the worker died before this, the socket is at its end.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    Ok(())
}

/// The interface's version in force, or `None` where the kernel has no Landlock.
fn restrict_by_landlock() -> Result<Option<i32>, RulesetError> {
    // No rule follows, so nothing that is handled is allowed.
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, kernel_abi }) => {
            Some(kernel_abi.unwrap_or(effective_abi as i32).min(LANDLOCK as i32))
        }
        _ => None,
    })
}

fn close_all_but_the_socket() {
    // SAFETY: nothing in this process uses a descriptor above 0 from here on.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) != 0 {
            // A kernel before 5.9. The standard library opens every descriptor to be closed in a child, so few are left.
            for descriptor in 1..1024 {
                libc::close(descriptor);
            }
        }
    }
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let limits = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the pointer is to a value on this stack.
    match unsafe { libc::setrlimit(resource, &limits) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What decoding calls. Anything else fails with EPERM: a call that some libc makes in passing then costs no image.
fn filter() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let freely = [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ];
    rules.extend(freely.map(|call| (call, vec![])));
    let on_the_socket =
        [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_write, libc::SYS_writev];
    for call in on_the_socket {
        rules.insert(call, vec![when(0, SeccompCmpOp::Eq, 0)?]);
    }
    // Memory, but none that code could be put into.
    let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    rules.insert(libc::SYS_mmap, vec![when(2, executable.clone(), 0)?]);
    rules.insert(libc::SYS_mprotect, vec![when(2, executable, 0)?]);
    // An abort is a signal to oneself.
    rules.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, std::process::id().into())?]);

    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

/// A rule about one argument.
fn when(argument: u8, is: SeccompCmpOp, value: u64) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value).map_err(io::Error::other)?;
    SeccompRule::new(vec![condition]).map_err(io::Error::other)
}
