//! Everything that can go wrong with a ledger.

use std::path::PathBuf;

/// What this crate reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened, or is no `SQLite` database.
    #[error("ledger `{}`: cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// `SQLite`'s word on it.
        source: rusqlite::Error,
    },
    /// There is no such file.
    #[error("ledger `{}`: no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A database of somebody else.
    #[error("ledger `{}`: a database, but none that a gateway wrote", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A ledger of a newer version.
    #[error("ledger `{}`: schema version expected at most {expected}, got {got}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The newest known here.
        expected: u32,
        /// The file's.
        got: u32,
    },
    /// A statement failed: the disk is full, or the file damaged.
    #[error("ledger: a statement failed")]
    Statement(#[from] rusqlite::Error),
    /// The thread behind the ledger has ended.
    #[error("ledger: closed")]
    Closed,
    /// Feedback on a decision that is not there, or is another tenant's.
    #[error("ledger: no decision `{id}`")]
    NoDecision {
        /// The decision.
        id: String,
    },
    /// An idempotency key that came before with other feedback.
    #[error("ledger: this idempotency key was used for other feedback")]
    KeyReused,
}
