//! Where words meet a terminal: data and text on stdout, talk and progress bars on stderr.
//!
//! Styles are written into the text and taken out again where they do not belong: outside terminals, and where
//! `NO_COLOR` is set. Bars show on terminals only.

use std::fmt::Display;
use std::io::Write;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar with a title; it shows only where stderr is a terminal.
pub(crate) fn bar(title: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:>12} [{bar:30}] {percent:>3} %  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(title);
    bar
}

/// Headings and what the eye should find first.
const STRONG: Style = Style::new().bold();
/// What went wrong.
const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do about it.
const ADVICE: Style = AnsiColor::Cyan.on_default();

/// `text` in bold.
pub(crate) fn strong(text: impl Display) -> String {
    format!("{STRONG}{text}{STRONG:#}")
}

/// `text` as a failure.
pub(crate) fn bad(text: impl Display) -> String {
    format!("{BAD}{text}{BAD:#}")
}

/// `text` as advice.
pub(crate) fn advice(text: impl Display) -> String {
    format!("{ADVICE}{text}{ADVICE:#}")
}

/// One line of talk.
pub(crate) fn say(line: impl Display) {
    // Nothing is left to say where stderr is closed.
    let _ = writeln!(AutoStream::auto(std::io::stderr().lock()), "{line}");
}

/// One piece of data on stdout, byte for byte.
pub(crate) fn print(data: impl Display) {
    write(std::io::stdout().lock(), data);
}

/// One piece of text for people on stdout.
pub(crate) fn show(text: impl Display) {
    write(AutoStream::auto(std::io::stdout().lock()), text);
}

/// A reader that went away (`| head`) ends the program quietly.
fn write(mut stdout: impl Write, text: impl Display) {
    if writeln!(stdout, "{text}").is_err() {
        std::process::exit(0);
    }
}
