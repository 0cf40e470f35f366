//! RFC 9420 §7.5, §7.6: decrypting the path secrets of an update path.
//!
//! The private half of receiving a path, after [`merge`](super::merge).

use std::collections::BTreeSet;

use hushwood_crypto::decrypt_with_label;

use crate::error::{ApiMisuse, Error, NotNow, Violation};
use crate::schedule::CommitSecret;
use crate::tree::path_generation::PATH_LABEL;
use crate::tree::path_secret::{PathSecret, open_error};
use crate::tree::private::{PrivateChanges, PrivateTree};
use crate::tree::{LeafIndex, RatchetTree, UpdatePath};

/// Decrypts the path secret that is for us and derives the keys above: the new private keys, and the
/// `commit_secret`. `tree` has the path merged, `group_context` is the provisional one, encoded, and `added`
/// are the members that the commit adds.
///
/// # Errors
/// [`Violation::PathSecret`] if no path secret decrypts, [`Violation::PathKeyMismatch`] if it gives other
/// keys than the path has; [`NotNow::OwnMessage`] for our own path; [`ApiMisuse::LeafAbsent`] if we are no
/// member of `tree`.
pub fn decrypt(
    tree: &RatchetTree,
    private: &PrivateTree,
    sender: LeafIndex,
    path: &UpdatePath,
    (group_context, added): (&[u8], &BTreeSet<LeafIndex>),
) -> Result<(PrivateChanges, CommitSecret), Error> {
    let suite = tree.suite();
    if sender == private.leaf() {
        return Err(NotNow::OwnMessage.into());
    }
    // §7.5, step 1: a node of the path for which we are below the child that is not updated.
    let steps = tree.filtered_direct_path(sender)?;
    let position = steps.iter().position(|step| step.copath_child.is_above(private.leaf()));
    let steps = position.and_then(|position| steps.get(position..)).unwrap_or_default();
    let node = position.and_then(|position| path.nodes.get(position));
    let (Some(step), Some(node)) = (steps.first(), node) else { return Err(ApiMisuse::LeafAbsent.into()) };

    // Step 2: a node in the resolution for which we have a private key.
    let mut ours = None;
    for (place, recipient) in tree.resolution_without(step.copath_child, added)?.into_iter().enumerate() {
        if let Some(key) = private.key(tree, recipient)? {
            ours = node.encrypted_path_secret.get(place).map(|ciphertext| (key, ciphertext));
            break;
        }
    }
    // Step 3: decrypt. C139: what can't be decrypted makes the commit invalid.
    let (key, ciphertext) = ours.ok_or(Violation::PathSecret)?;
    let secret = decrypt_with_label(suite, key, PATH_LABEL, group_context, ciphertext).map_err(open_error)?;
    let mut path_secret = PathSecret::received(suite, secret)?;

    // Steps 4 to 7: derive the path secrets and key pairs above, and compare them with what was sent.
    let mut nodes = Vec::with_capacity(steps.len());
    for step in steps {
        let keys = path_secret.key_pair(suite)?;
        // RFC 9420 §7.5, C138: the derived public key is the one in the path, for each node.
        if tree.encryption_key(step.node)? != Some(&keys.public) {
            return Err(Violation::PathKeyMismatch.into());
        }
        nodes.push((step.node, keys));
        path_secret = path_secret.next(suite)?;
    }
    Ok((PrivateChanges { leaf_keys: None, nodes }, path_secret.into_commit_secret()))
}

impl PrivateTree {
    /// [`decrypt`], with the keys that are out of date erased (C141): our keys after the commit.
    ///
    /// # Errors
    /// As [`decrypt`]. Whoever needs the old keys then must have a [`duplicate`](Self::duplicate).
    pub fn decrypt_path(
        self,
        tree: &RatchetTree,
        sender: LeafIndex,
        path: &UpdatePath,
        context: (&[u8], &BTreeSet<LeafIndex>),
    ) -> Result<(Self, CommitSecret), Error> {
        let (changes, commit_secret) = decrypt(tree, &self, sender, path, context)?;
        Ok((self.apply(changes, tree)?, commit_secret))
    }
}
