//! RFC 9420 §4, §7: the ratchet tree.

pub mod capabilities;
mod capability_counts;
mod evolution;
pub mod index;
mod key_index;
pub mod leaf_node;
pub mod leaf_node_creation;
pub mod leaf_node_validation;
pub mod node;
#[cfg(test)]
mod oracle;
mod parent_hash;
pub mod path_decryption;
pub mod path_generation;
pub mod path_merge;
pub mod path_secret;
pub mod private;
#[cfg(test)]
mod properties;
pub mod ratchet_tree;
pub mod records;
mod subtree;
mod tree_hash;
pub mod update_path;
mod validation;
#[cfg(test)]
mod world;

pub use capabilities::{GroupParameters, Supported};
pub use index::{LeafIndex, NodeIndex};
pub use leaf_node::{Capabilities, LeafNode, LeafNodeSource, Lifetime};
pub use leaf_node_creation::{LeafContent, UnsignedLeafNode};
pub use leaf_node_validation::{LeafChecks, LeafPlace};
pub use node::{Node, ParentNode};
pub use path_decryption::decrypt;
pub use path_generation::{NewLeaf, NewPath};
pub use path_merge::merge;
pub use path_secret::{KeyPair, PathSecret};
pub use private::{PrivateChanges, PrivateTree};
pub use ratchet_tree::{PathStep, RatchetTree};
pub use records::NodeRecord;
pub use update_path::{UpdatePath, UpdatePathNode};
