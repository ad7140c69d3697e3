//! What people read: the help of every command, and `show` of the fixture.
//!
//! After a deliberate change: `INSTA_UPDATE=always cargo test -p pointsman-cli --test e2e printed`, and read the
//! difference.

use crate::workbench::Workbench;

#[test]
fn help_of_every_command() {
    let bench = Workbench::new();
    let short = bench.run(&["-h"]).done().stdout;
    insta::assert_snapshot!("help", short);
    let commands: Vec<&str> = short
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let run = bench.run(&[command, "--help"]).done();
        assert_eq!(run.stderr, "");
        insta::assert_snapshot!(format!("help_{command}"), run.stdout);
    }
}

#[test]
fn version() {
    let run = Workbench::new().run(&["--version"]).done();
    assert_eq!(run.stdout, concat!("pointsman ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn no_arguments_show_the_help_as_wrong_usage() {
    let run = Workbench::new().run(&[]);
    assert_eq!(run.status, Some(2));
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("Usage: pointsman"), "{}", run.stderr);
}

#[test]
fn the_fixture_shown() {
    let run = Workbench::with_router().run(&["show", "router.safetensors"]).done();
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!("show", run.stdout);
}
