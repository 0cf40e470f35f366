//! The example in the README is the one that is compiled and run.

#![allow(clippy::unwrap_used)]

#[path = "../examples/talk.rs"]
mod talk;

const EXAMPLE: &str = include_str!("../examples/talk.rs");
const README: &str = include_str!("../../../README.md");

#[test]
fn the_readme_shows_an_example_that_runs() {
    talk::main().unwrap();
    let (_, rest) = EXAMPLE.split_once("// README: begin\n").unwrap();
    let (shown, _) = rest.split_once("    // README: end").unwrap();
    let shown: String =
        shown.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    assert!(README.contains(&shown), "put this into the README:\n{shown}");
}
