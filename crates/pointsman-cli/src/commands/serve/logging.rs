//! Log records to stderr: lines of text on a terminal, lines of JSON elsewhere.

use std::io::IsTerminal;

use pointsman_server::config::{LogFormat, LogLevel, LogSection};
use tracing_subscriber::filter::LevelFilter;

use crate::args::LogForm;

/// Starts logging; the flag goes before the file.
pub(super) fn start(flag: Option<LogForm>, file: LogSection) {
    let level = match file.level.unwrap_or(LogLevel::Info) {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let json = match (flag, file.format) {
        (Some(form), _) => form == LogForm::Json,
        (None, Some(format)) => format == LogFormat::Json,
        (None, None) => !std::io::stderr().is_terminal(),
    };
    let records = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false);
    if json {
        records.json().flatten_event(true).init();
    } else {
        records.init();
    }
    // What a panic says may hold text of a request: where it was must do.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

/// The last record of a process that was told to end twice.
pub(super) fn cut_by_second_signal() {
    tracing::warn!("a second signal: everything still open was cut");
}
