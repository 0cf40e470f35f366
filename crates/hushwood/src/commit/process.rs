//! RFC 9420 §12.4.2: processing a commit.
//!
//! In two halves. The public one needs no secret and is all that an observer can do; the private one
//! derives the next epoch's keys and checks the confirmation tag.

use std::collections::BTreeSet;

use hushwood_codec::Encode;
use hushwood_crypto::{Random, Secret};

use crate::commit::Commit;
use crate::commit::advance::{Advanced, KeyInputs, NextEpoch, SignedCommit};
use crate::commit::answers::psk_secret;
use crate::commit::state::{MemberState, PublicState};
use crate::credential::CredentialCheck;
use crate::error::{Error, Violation};
use crate::framing::{Authenticated, Content};
use crate::proposal::{Applied, ProposalChecks, ProposalList};
use crate::schedule::{CommitSecret, GroupContext, InitSecret, Psk};
use crate::tree::{self, LeafIndex, PrivateTree};

/// The public half of a commit: the new tree, with everything checked that needs no secret.
#[derive(Debug)]
pub(crate) struct PublicTransition {
    /// What the proposals did; its tree has the path merged.
    pub(crate) applied: Applied,
    /// The committer's leaf in the new tree; none for an external commit is impossible.
    pub(crate) committer: LeafIndex,
    /// The context of the new epoch, with the old confirmed transcript hash.
    pub(crate) provisional: GroupContext,
    pub(crate) provisional_bytes: Vec<u8>,
    /// The credentials to judge.
    pub(crate) checks: Vec<CredentialCheck>,
}

/// Bullets 6 to 9 of RFC 9420 §12.4.2, as far as they are public. `list` was made by
/// [`ProposalList::check_unsigned`]: the signatures that the commit brings come last, so that one whose structure is
/// wrong costs no more than the signature of its message.
pub(crate) fn process_public(
    state: &PublicState,
    commit: &Commit,
    list: &ProposalList,
    checks: &ProposalChecks<'_>,
    random: &mut dyn Random,
) -> Result<PublicTransition, Error> {
    // RFC 9420 §8.1, C163: no epoch comes after the last one, so nobody may commit in it.
    if state.context.epoch == u64::MAX {
        return Err(Violation::EpochOverflow.into());
    }
    let mut applied = list.apply(checks)?;
    // RFC 9420 §12.4, C296, C297, C352: the path may be omitted only for a list that allows it.
    if commit.path.is_none() && list.path_required(checks.policy) {
        return Err(Violation::PathMissing.into());
    }
    let mut credentials = std::mem::take(&mut applied.credential_checks);
    let mut path_leaf = None;
    let committer = match &commit.path {
        Some(path) => {
            let leaf = list.check_path_leaf_unsigned(&path.leaf_node, &applied, checks)?;
            // §7.5, §12.4.2: counts, keys, parent hash (C133, C134, C137, C150, C310, C311).
            let added = applied.added.iter().copied().collect();
            tree::merge(&mut applied.tree, leaf.leaf_index, path, &added)?;
            let committer = leaf.leaf_index;
            path_leaf = Some((leaf, &path.leaf_node));
            committer
        }
        None => match list.committer() {
            crate::framing::Sender::Member(leaf) => leaf,
            // C352: an external commit has a path.
            _ => return Err(Violation::PathMissing.into()),
        },
    };
    applied.check_tree(checks)?;
    if let Some((leaf, node)) = path_leaf {
        leaf.verify_signature(node, checks)?;
        credentials.extend(leaf.credential_check);
    }
    list.verify_signatures(checks, random)?;
    let provisional = state.provisional_context(&applied.tree, &applied.extensions)?;
    let provisional_bytes = provisional.to_bytes()?;
    Ok(PublicTransition { applied, committer, provisional, provisional_bytes, checks: credentials })
}

/// What the private half needs.
pub(crate) struct PrivateInputs<'a> {
    pub(crate) state: &'a PublicState,
    pub(crate) member: &'a MemberState,
    pub(crate) commit: &'a Authenticated,
    pub(crate) list: &'a ProposalList,
    pub(crate) public: &'a PublicTransition,
    /// Our private keys, with that of our own Update in place if the list covers one.
    pub(crate) private: PrivateTree,
}

/// Bullets 9 to 13 of RFC 9420 §12.4.2: secrets, key schedule, confirmation tag.
pub(crate) fn process_private<'k>(
    inputs: PrivateInputs<'_>,
    find_psk: impl Fn(&Psk) -> Option<&'k Secret>,
) -> Result<(NextEpoch, PrivateTree), Error> {
    let PrivateInputs { state, member, commit, list, public, private } = inputs;
    let suite = state.suite;
    let Content::Commit(body) = &commit.content().content else {
        return Err(Error::Bug("a message that is no commit was processed as one"));
    };
    let psk = psk_secret(suite, list.psks(), find_psk)?;
    let added: BTreeSet<LeafIndex> = public.applied.added.iter().copied().collect();
    let tree = &public.applied.tree;
    let (private, commit_secret) = match &body.path {
        Some(path) => {
            private.decrypt_path(tree, public.committer, path, (&public.provisional_bytes, &added))?
        }
        None => (private.retain(tree)?, CommitSecret::zero(suite)),
    };
    // RFC 9420 §12.4.3.2, C360: an external commit brings its own init secret.
    let init = match list.external_init() {
        Some(proposal) => InitSecret::external_receiver(suite, &member.secrets.external, proposal)?,
        None => member.secrets.init.duplicate(),
    };
    let signed = signed_commit(commit);
    let keys = KeyInputs { init, commit: commit_secret, psk };
    let advanced = Advanced::derive(state, tree.clone(), public.provisional.clone(), &signed, keys)?;
    // RFC 9420 §12.4.2, C313: the confirmation tag is the one of the epoch just derived.
    let tag = commit.auth().confirmation_tag.as_ref().ok_or(Violation::ConfirmationTag)?;
    advanced.verify(tag)?;
    let (next, _) = advanced.finish(tag.clone())?;
    Ok((next, private))
}

/// A commit as the transcript takes it.
pub(crate) fn signed_commit(commit: &Authenticated) -> SignedCommit<'_> {
    SignedCommit {
        wire_format: commit.wire_format(),
        content: commit.content(),
        signature: &commit.auth().signature,
    }
}
