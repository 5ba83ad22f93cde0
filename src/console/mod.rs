//! What `assay console` does beside serving pages: it collects verdicts to be reviewed, counts votes, sends what follows from them,
//! and takes appeals from their queue. Several consoles may do so at once; whatever process dies, the next one goes on.

mod appeals;
mod gauges;
mod jobs;
mod outbox;

pub use appeals::AppealHandler;
pub use gauges::Condition;
pub use jobs::Jobs;
pub use outbox::Outbox;
