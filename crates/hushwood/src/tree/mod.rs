//! RFC 9420 §4, §7: the ratchet tree.
//!
//! The public half is a [`RatchetTree`], the private half of one member a [`PrivateTree`]. A commit changes
//! a clone of the public tree, which costs nothing to make; a [`NewPath`] carries fresh secrets to the
//! others, who [`merge`] and [`decrypt`] it.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use hushwood::credential::{Credential, CredentialType};
//! use hushwood::extension::Extensions;
//! use hushwood::tree::{
//!     Capabilities, KeyPair, LeafIndex, LeafNode, LeafNodeSource, Lifetime, NewLeaf, NewPath, PrivateTree,
//!     RatchetTree, merge,
//! };
//! use hushwood_crypto::{Signer, SoftwareSigner};
//! use hushwood_rustcrypto::{OsRandom, PROVIDER};
//!
//! let (suite, random) = (PROVIDER.suites[0], &mut OsRandom);
//! let leaf = |keys: &KeyPair, signer: &SoftwareSigner| LeafNode {
//!     encryption_key: keys.public.clone(),
//!     signature_key: signer.public_key().clone(),
//!     credential: Credential::basic("somebody"),
//!     capabilities: Capabilities { credentials: vec![CredentialType::BASIC], ..Default::default() },
//!     leaf_node_source: LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: u64::MAX }),
//!     extensions: Extensions::new(),
//!     signature: Vec::new(), // A KeyPackage's leaf is signed.
//! };
//! let (alice_keys, alice) = (KeyPair::generate(suite, random)?, SoftwareSigner::generate(suite, random)?);
//! let (bob_keys, bob) = (KeyPair::generate(suite, random)?, SoftwareSigner::generate(suite, random)?);
//! let mut tree = RatchetTree::new(suite, leaf(&alice_keys, &alice))?;
//! let bob_leaf = tree.add(leaf(&bob_keys, &bob))?;
//! let bob_private = PrivateTree::new(bob_leaf, bob_keys);
//!
//! // Alice refreshes her path; the group context binds the secrets to the new tree.
//! let (alice_leaf, nobody) = (LeafIndex::new(0), BTreeSet::new());
//! let mut next = tree.clone();
//! let new_leaf = NewLeaf::successor(&leaf(&alice_keys, &alice));
//! let path = NewPath::generate(&mut next, alice_leaf, new_leaf, (b"tea", &alice), random)?;
//! let update_path = path.encrypt(&next, b"provisional group context", &nobody, random)?;
//!
//! // Bob merges it and gets the same secret.
//! merge(&mut tree, alice_leaf, &update_path, &nobody)?;
//! assert_eq!(tree.tree_hash()?, next.tree_hash()?);
//! let context = (&b"provisional group context"[..], &nobody);
//! let (_, commit_secret) = bob_private.decrypt_path(&tree, alice_leaf, &update_path, context)?;
//! assert!(commit_secret.secret().ct_eq(path.commit_secret()?.secret()));
//! # Ok::<(), hushwood::error::Error>(())
//! ```

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
mod packed;
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
mod stored;
mod subtree;
mod tree_hash;
pub mod update_path;
mod validation;
#[cfg(test)]
pub(crate) mod world;

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
pub use stored::{KeyKind, TreeSource};
pub use update_path::{UpdatePath, UpdatePathNode};
