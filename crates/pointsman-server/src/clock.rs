//! The clock of everything that waits or is timed: the runtime's, which a simulation lets pass as it likes.

use std::time::Instant;

/// This moment.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
