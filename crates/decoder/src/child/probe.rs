//! What a decoder must not be able to do, tried from inside.

use std::io;

use imaging::protocol::Attempt;

/// Tries everything, and leaves nothing behind where it succeeds.
pub(crate) fn attempts() -> Vec<Attempt> {
    // SAFETY: the strings end in a zero byte, the lengths are those of what the pointers are to, and what is opened is
    // not used. A child that should not be there ends before it returns.
    unsafe {
        let address = libc::sockaddr { sa_family: libc::AF_UNIX as u16, sa_data: [0; 14] };
        let mapped = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        let executable = attempt("map executable memory", if mapped == libc::MAP_FAILED { -1 } else { 0 });
        vec![
            executable,
            attempt("read a file", libc::open(c"/proc/self/status".as_ptr(), libc::O_RDONLY)),
            attempt("write a file", libc::open(c"/tmp/assay-probe".as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600)),
            attempt("make a network socket", libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
            attempt("make a local socket", libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
            attempt("connect", libc::connect(0, &raw const address, size_of_val(&address) as u32)),
            attempt(
                "run a program",
                libc::execve(c"/bin/true".as_ptr(), [std::ptr::null()].as_ptr(), [std::ptr::null()].as_ptr()),
            ),
            attempt(
                "start a process",
                match libc::fork() {
                    0 => libc::_exit(0),
                    child => child,
                },
            ),
            attempt("signal another process", libc::kill(1, 0)),
            attempt("trace another process", libc::ptrace(libc::PTRACE_SEIZE, 1, 0, 0) as i32),
            attempt("lift its limits", libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 })),
        ]
    }
}

/// From what a system call returned just now.
fn attempt(action: &str, returned: libc::c_int) -> Attempt {
    let error = io::Error::last_os_error();
    let refused =
        returned < 0 && matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EMFILE | libc::EAGAIN));
    let result = if returned < 0 { error.to_string() } else { "it worked".into() };
    Attempt { action: action.into(), refused, result }
}
