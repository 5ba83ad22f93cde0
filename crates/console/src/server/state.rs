//! What every answer is made with.

use tokio::sync::Semaphore;

use access::{Gate, Mode};
use pictures::Pictures;
use review::Postgres;

use super::address::Names;
use super::settings::Settings;
use crate::pages::Pages;

/// Requests that are answered at a time; others wait for one of them to end, and what each may hold in memory is bounded.
const AT_ONCE: usize = 64;

/// What the console stands on.
pub struct Server {
    pub reviews: Postgres,
    pub gate: Gate,
    pub pictures: Pictures,
    /// Names that are proposed for the field of the generator.
    pub generators: Vec<String>,
    pub settings: Settings,
}

pub(super) struct Console {
    pub(super) server: Server,
    pub(super) pages: Pages,
    pub(super) names: Names,
    pub(super) places: Semaphore,
}

impl Console {
    pub(super) fn new(server: Server, names: Names) -> Console {
        Console { server, pages: Pages::new(), names, places: Semaphore::new(AT_ONCE) }
    }

    /// Whether whoever reaches it may do everything.
    pub(super) fn is_trial(&self) -> bool {
        matches!(self.server.gate.mode(), Mode::Trial { .. })
    }
}
