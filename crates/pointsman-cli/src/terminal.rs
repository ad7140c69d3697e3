//! Talk on stderr: progress bars on terminals, nothing elsewhere.

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

/// One line of talk.
#[expect(clippy::print_stderr, reason = "talk goes to stderr")]
pub(crate) fn say(line: impl std::fmt::Display) {
    eprintln!("{line}");
}

/// One piece of result on stdout. A reader that went away (`| head`) ends the program quietly.
pub(crate) fn print(text: impl std::fmt::Display) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").is_err() {
        std::process::exit(0);
    }
}
