//! The ratchet tree a second time: RFC 9420 §4, §7.7 to §7.9 and §12.4.3.1 word by word, with nothing remembered, nothing
//! clever and none of the library's own positions. What the library does with a tree is compared with it.
//!
//! [`array`](mod@array) is Appendix C, [`Tree`] is the tree and what is done to it, [`faults`] is what a client that joins
//! has to look at. [`judge`] has the library say the same. Where the trees come from: [`shapes`] has all up to eight
//! leaves, [`growth`] grows them as groups grow or puts them together by chance, [`forging`] gives any shape the parent
//! hashes that it would have, [`mutation`] spoils one thing.

pub mod array;
pub mod campaign;
pub mod dice;
pub mod forging;
pub mod growth;
mod joining;
pub mod judge;
pub mod mutation;
pub mod shapes;
mod tree;

pub use joining::{Fault, faults};
pub use tree::{Leaf, Node, Parent, Tree, from_extension, to_extension};

#[cfg(test)]
mod tests;
