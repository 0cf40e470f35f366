//! RFC 9420 §4, §7: the ratchet tree.

pub mod index;
pub mod leaf_node;
pub mod node;
pub mod update_path;

pub use index::{LeafIndex, NodeIndex};
pub use leaf_node::{Capabilities, LeafNode, LeafNodeSource, Lifetime};
pub use node::{Node, ParentNode};
pub use update_path::{UpdatePath, UpdatePathNode};
