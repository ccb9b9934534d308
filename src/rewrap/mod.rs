//! Carrying a rotation through: every header of a volume under the newest version of its CMK.
//!
//! A *round* is a number of walks over the lower tree. Each looks at every header once, and has
//! those sealed again that are under an older version; a round is over with a walk that found
//! none. Only that last walk proves anything: what it counted is what the volume has.
//!
//! | file | is |
//! |---|---|
//! | `site` | what is walked: a volume that is mounted, or ([`Offline`]) one that is not |
//! | `walk` | the tree, from the root or from where a stopped round had come |
//! | `batch` | many headers on their way through the key service |
//! | `round` | walks until there is nothing left to do |
//! | `pace` | how fast |
//! | `state` | what is remembered in `.kmsfs/rewrap`, and what is counted |

mod batch;
mod offline;
mod pace;
mod round;
mod site;
mod state;
mod walk;

pub use offline::{Offline, OfflineError};
pub use pace::Pace;
pub use round::{Round, run};
pub use site::Site;
pub use state::{Count, Progress, State, Tally, Targets};

/// Why a round ended before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Somebody wanted it to.
    #[error("stopped")]
    Stopped,
    /// The key service does not answer, or refuses.
    #[error("{0}")]
    Keys(#[from] crate::volume::keys::KeyError),
    /// The lower root cannot be read.
    #[error("{0}")]
    Lower(#[from] crate::lower::LowerError),
}
