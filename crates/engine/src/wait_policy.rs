//! How the threads of the CPU engine wait for each other.
//!
//! By default OpenMP's threads spin before they sleep, and take time from other processes on their cores. Passive waiting
//! is as fast on cores of one's own (within 3 %) and took 0.75 of the time beside two busy processes on two cores
//! (docs/adr/0011). libgomp reads its settings from the environment when it is loaded, which is before `main`:
//! the only way to set them is to start the program again.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "OMP_WAIT_POLICY";
const PASSIVE: &str = "PASSIVE";

/// Starts the program again, in this process, with passive waiting, unless the environment says how to wait. Call it before
/// there are threads or anything else that would be lost.
pub fn apply() {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    // Returns only if it failed; then the threads spin, which costs time and nothing else.
    let _ = Command::new(program).args(std::env::args_os().skip(1)).env(VARIABLE, PASSIVE).exec();
}
