//! From errors to what a person reads and a script tests: a sentence, its causes, a hint, an exit status.

use std::process::ExitCode;

use crate::terminal::{advice, bad, say};

/// The input cannot be used, or the command line asks for something impossible: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unusable {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// An [`Unusable`] without a hint.
pub(crate) fn unusable(message: impl Into<String>) -> anyhow::Error {
    Unusable { message: message.into(), hint: None }.into()
}

/// Prints an error with its causes and its hint, and gives the exit status: 2 for unusable input, 1 otherwise.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    say(format_args!("{} {error}", bad("error:")));
    for cause in error.chain().skip(1) {
        say(format_args!("  because: {cause}"));
    }
    let (status, hint) = classify(error);
    if let Some(hint) = hint {
        say(format_args!("{} {hint}", advice("hint:")));
    }
    ExitCode::from(status)
}

fn classify(error: &anyhow::Error) -> (u8, Option<String>) {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<Unusable>() {
            return (2, error.hint.clone());
        }
        if let Some(error) = cause.downcast_ref::<pointsman_evals::Error>() {
            return (2, error.hint());
        }
        if let Some(error) = cause.downcast_ref::<pointsman_bench::Error>() {
            return (2, error.hint().map(str::to_owned));
        }
        if let Some(error) = cause.downcast_ref::<pointsman_training::Error>() {
            use pointsman_training::Error::{Artifact, Clustering, Metrics, Singular, Tensor};
            // These are defects of ours; everything else is for the caller to mend.
            let defect = matches!(error, Artifact(_) | Clustering(_) | Metrics(_) | Singular { .. } | Tensor { .. });
            return (if defect { 1 } else { 2 }, error.hint().map(str::to_owned));
        }
        if let Some(error) = cause.downcast_ref::<pointsman_server::Error>() {
            return (2, error.hint().map(str::to_owned));
        }
        if cause.downcast_ref::<pointsman_ledger::Error>().is_some() {
            return (2, None);
        }
        if let Some(error) = cause.downcast_ref::<pointsman::Error>() {
            return (2, error.hint().map(str::to_owned));
        }
    }
    (1, None)
}
