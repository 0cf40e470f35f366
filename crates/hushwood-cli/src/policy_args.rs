//! What a home chooses for itself in a group.

use clap::{Args, ValueEnum};
use hushwood::policy::{Padding, Policy};

/// Settings of one group on this home; other members may have others.
#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyArgs {
    /// Whether commits and proposals are encrypted; in the clear, a server can check them
    #[arg(long, value_enum)]
    handshakes: Option<Handshakes>,
    /// How much messages are padded: `padme`, `none`, or a multiple of so many bytes
    #[arg(long, value_parser = padding)]
    padding: Option<Padding>,
    /// Whether Welcomes and group infos hold the tree, or it is written apart
    #[arg(long, value_enum)]
    trees: Option<Tree>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Handshakes {
    /// Only members can read them
    Private,
    /// Signed, and readable by everybody
    Public,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tree {
    /// One file is enough to join
    Inside,
    /// A second file, NAME-E.tree, carries it
    Apart,
}

impl PolicyArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.handshakes.is_none() && self.padding.is_none() && self.trees.is_none()
    }

    pub(crate) fn apply(&self, policy: Policy) -> Policy {
        Policy {
            encrypt_handshakes: self
                .handshakes
                .map_or(policy.encrypt_handshakes, |choice| matches!(choice, Handshakes::Private)),
            padding: self.padding.unwrap_or(policy.padding),
            ratchet_tree_extension: self
                .trees
                .map_or(policy.ratchet_tree_extension, |choice| matches!(choice, Tree::Inside)),
            ..policy
        }
    }
}

/// The settings of a group, each with the word that sets it.
pub(crate) fn settings(policy: &Policy) -> [(&'static str, String); 3] {
    let handshakes = if policy.encrypt_handshakes { "private" } else { "public" };
    let trees = if policy.ratchet_tree_extension { "inside" } else { "apart" };
    let padding = match policy.padding {
        Padding::Padme => "padme".to_owned(),
        Padding::None => "none".to_owned(),
        Padding::Block(block) => block.to_string(),
    };
    [("handshakes", handshakes.to_owned()), ("padding", padding), ("trees", trees.to_owned())]
}

fn padding(text: &str) -> Result<Padding, String> {
    match (text, text.parse::<u32>()) {
        ("padme", _) => Ok(Padding::Padme),
        ("none", _) => Ok(Padding::None),
        (_, Ok(block @ 1..=1_048_576)) => Ok(Padding::Block(block)),
        _ => Err("`padme`, `none`, or a number of bytes from 1 to 1048576".to_owned()),
    }
}
