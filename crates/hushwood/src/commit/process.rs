//! RFC 9420 §12.4.2: processing a commit.
//!
//! In two halves. The public one needs no secret and is all that an observer can do; the private one
//! derives the next epoch's keys and checks the confirmation tag.

use std::collections::BTreeSet;

use hushwood_codec::Encode;
use hushwood_crypto::Secret;

use crate::commit::advance::{Advanced, KeyInputs, NextEpoch, SignedCommit};
use crate::commit::answers::psk_secret;
use crate::commit::state::{EpochState, PublicState};
use crate::commit::{Commit, UpdatePath};
use crate::credential::{CredentialCheck, Subject};
use crate::error::{Error, NotNow, Violation};
use crate::framing::{AuthenticatedContent, Sender};
use crate::policy::{Policy, Timestamp};
use crate::proposal::{Applied, ProposalList};
use crate::schedule::{CommitSecret, GroupContext, InitSecret, Psk};
use crate::tree::{self, LeafChecks, LeafIndex, LeafPlace, PrivateTree, RatchetTree};

/// The public half of a commit: the new tree, with everything checked that needs no secret.
pub(crate) struct PublicTransition {
    pub(crate) tree: RatchetTree,
    pub(crate) applied: Applied,
    /// The committer's leaf in the new tree.
    pub(crate) committer: LeafIndex,
    pub(crate) provisional: GroupContext,
    pub(crate) provisional_bytes: Vec<u8>,
    /// The credential of the path's leaf, if it is new.
    pub(crate) checks: Vec<CredentialCheck>,
}

/// Bullets 6 to 9 of RFC 9420 §12.4.2, as far as they are public.
pub(crate) fn process_public(
    state: &PublicState,
    (sender, commit): (Sender, &Commit),
    list: &ProposalList,
    policy: &Policy,
    now: Timestamp,
) -> Result<PublicTransition, Error> {
    let mut tree = state.tree.clone();
    let applied = list.apply(&mut tree, &state.context)?;
    // RFC 9420 §12.4, C296, C297, C352: the path may be omitted only for a list that allows it.
    if commit.path.is_none() && list.path_required() {
        return Err(Violation::PathMissing.into());
    }
    let committer = match sender {
        Sender::Member(leaf) => leaf,
        Sender::NewMemberCommit | Sender::NewMemberProposal | Sender::External(_) => tree.next_free_leaf(),
    };
    let mut checks = Vec::new();
    if let Some(path) = &commit.path {
        let old = match sender {
            Sender::Member(leaf) => state.tree.leaf(leaf)?,
            Sender::NewMemberCommit | Sender::NewMemberProposal | Sender::External(_) => {
                list.removed().next().map(|leaf| state.tree.leaf(leaf)).transpose()?.flatten()
            }
        };
        checks.extend(credential_check(old, committer, path));
        check_path_leaf(state, (&tree, committer), path, &applied, (policy, now))?;
        let added = applied.added_leaves();
        // §7.5, §12.4.2: counts, keys, parent hash (C133, C134, C137, C150, C309 to C311).
        tree::merge(&mut tree, committer, path, &added)?;
    }
    let provisional = state.provisional_context(&tree, &applied.extensions)?;
    let provisional_bytes = provisional.to_bytes()?;
    Ok(PublicTransition { tree, applied, committer, provisional, provisional_bytes, checks })
}

/// Checks the leaf of a path as one of the new tree (RFC 9420 §12.4.2, §7.5, C142, C312).
fn check_path_leaf(
    state: &PublicState,
    (tree, committer): (&RatchetTree, LeafIndex),
    path: &UpdatePath,
    applied: &Applied,
    (policy, now): (&Policy, Timestamp),
) -> Result<(), Error> {
    let checks = LeafChecks { suite: state.suite, policy, now, sending: false };
    let place = LeafPlace::Commit(&state.context.group_id, committer);
    checks.alone(&path.leaf_node, place)?;
    checks.signature(&path.leaf_node, place)?;
    checks.in_group(&path.leaf_node, committer, tree, &applied.parameters)?;
    Ok(())
}

/// The question whether the application takes a path leaf's credential (C050, C052, C357).
fn credential_check(
    old: Option<&crate::tree::LeafNode>,
    committer: LeafIndex,
    path: &UpdatePath,
) -> Option<CredentialCheck> {
    let new = &path.leaf_node;
    let unchanged =
        |old: &crate::tree::LeafNode| old.credential == new.credential && old.signature_key == new.signature_key;
    if old.is_some_and(unchanged) {
        return None;
    }
    Some(CredentialCheck {
        subject: Subject::Committer(committer),
        old: old.map(|leaf| leaf.credential.clone()),
        new: new.credential.clone(),
        signature_key: new.signature_key.clone(),
    })
}

/// A processed commit: the next epoch and our private keys in its tree.
pub(crate) struct ProcessedCommit {
    pub(crate) next: NextEpoch,
    pub(crate) private: PrivateTree,
}

/// What the private half needs beside the state.
pub(crate) struct PrivateInputs<'a> {
    pub(crate) state: &'a EpochState,
    pub(crate) commit: &'a AuthenticatedContent,
    pub(crate) list: &'a ProposalList,
    /// Our private keys, with that of our own Update in place if the list covers one.
    pub(crate) private: PrivateTree,
}

/// Bullets 9 to 13 of RFC 9420 §12.4.2: secrets, key schedule, confirmation tag.
pub(crate) fn process_private<'k>(
    inputs: PrivateInputs<'_>,
    public: PublicTransition,
    find_psk: impl Fn(&Psk) -> Option<&'k Secret>,
) -> Result<ProcessedCommit, Error> {
    let PrivateInputs { state, commit, list, private } = inputs;
    let suite = state.public.suite;
    let body = commit.content.commit().ok_or(Error::Bug("a commit that is none was processed"))?;
    let psk = psk_secret(suite, &list.psks(), find_psk)?;
    let (private, commit_secret) = match &body.path {
        Some(path) => {
            let added = public.applied.added_leaves();
            private.decrypt_path(&public.tree, public.committer, path, (&public.provisional_bytes, &added))?
        }
        None => (private.retain(&public.tree)?, CommitSecret::zero(suite)),
    };
    // RFC 9420 §12.4.3.2, C360: an external commit brings its own init secret.
    let init = match list.external_init() {
        Some(external_init) => {
            InitSecret::external_receiver(suite, &state.secrets.external, external_init)?
        }
        None => state.secrets.init.duplicate(),
    };
    let signed = SignedCommit {
        wire_format: commit.wire_format,
        content: &commit.content,
        signature: &commit.auth.signature,
    };
    let keys = KeyInputs { init, commit: commit_secret, psk };
    let advanced = Advanced::derive(&state.public, public.tree, public.provisional, &signed, keys)?;
    // RFC 9420 §12.4.2, C313: the confirmation tag is the one of the epoch just derived.
    let tag = commit.auth.confirmation_tag.as_ref().ok_or(Violation::ConfirmationTag)?;
    advanced.verify(tag)?;
    let (next, _) = advanced.finish(tag.clone())?;
    Ok(ProcessedCommit { next, private })
}
