//! What the README shows is what runs.

#![allow(clippy::unwrap_used)]

const EXAMPLE: &str = include_str!("../examples/tea.rs");
const README: &str = include_str!("../../../README.md");

#[test]
fn the_readme_shows_the_middle_of_the_example() {
    let (_, rest) = EXAMPLE.split_once("// README: begin\n").unwrap();
    let (middle, _) = rest.split_once("    // README: end\n").unwrap();
    let lines = middle.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    let shown = lines.collect::<Vec<_>>().join("\n");
    assert!(README.contains(&format!("```rust\n{shown}\n```\n")), "{shown}");
}
