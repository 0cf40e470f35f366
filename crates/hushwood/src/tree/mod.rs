//! RFC 9420 §4, §7: the ratchet tree.

pub mod capabilities;
pub mod index;
pub mod leaf_node;
pub mod leaf_node_creation;
pub mod leaf_node_validation;
pub mod node;
pub mod update_path;

pub use capabilities::{GroupParameters, Supported};
pub use index::{LeafIndex, NodeIndex};
pub use leaf_node::{Capabilities, LeafNode, LeafNodeSource, Lifetime};
pub use leaf_node_creation::{LeafContent, UnsignedLeafNode};
pub use leaf_node_validation::{LeafChecks, LeafPlace};
pub use node::{Node, ParentNode};
pub use update_path::{UpdatePath, UpdatePathNode};
