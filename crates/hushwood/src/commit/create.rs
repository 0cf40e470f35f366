//! RFC 9420 §12.4.1: creating a commit.

use std::collections::BTreeSet;

use hushwood_codec::Encode;
use hushwood_crypto::{Random, Signer};

use crate::commit::advance::{Advanced, JoinSecrets, KeyInputs, NextEpoch, SignedCommit};
use crate::commit::state::PublicState;
use crate::commit::{Commit, ProposalOrRef};
use crate::error::{ApiMisuse, Error};
use crate::framing::{Authenticated, Content, FramedContent, Sender, Signed, WireFormat};
use crate::proposal::{Applied, ProposalList};
use crate::schedule::{CommitSecret, InitSecret, PskSecret};
use crate::tree::{LeafIndex, NewLeaf, NewPath};

/// A commit to be made.
pub(crate) struct CommitInputs<'a> {
    pub(crate) state: &'a PublicState,
    /// A member, or a new member that commits from outside.
    pub(crate) sender: Sender,
    /// The proposals, checked (RFC 9420 §12.2).
    pub(crate) list: &'a ProposalList,
    /// The same proposals as the commit names them.
    pub(crate) proposals: Vec<ProposalOrRef>,
    /// The committer's new leaf; none for a commit without path.
    pub(crate) leaf: Option<NewLeaf>,
    pub(crate) init: InitSecret,
    pub(crate) psk: PskSecret,
    pub(crate) wire_format: WireFormat,
    pub(crate) authenticated_data: Vec<u8>,
}

/// The keys a commit is signed with. They differ where it changes the committer's signature key: the
/// message is signed with the old one, the new leaf with the new one (C319, trap 23).
#[derive(Clone, Copy)]
pub(crate) struct CommitSigners<'a> {
    pub(crate) message: &'a dyn Signer,
    pub(crate) leaf: &'a dyn Signer,
}

/// A commit, and the epoch it begins.
pub(crate) struct CreatedCommit {
    pub(crate) message: Authenticated,
    pub(crate) next: NextEpoch,
    pub(crate) join: JoinSecrets,
    pub(crate) applied: Applied,
    pub(crate) committer: LeafIndex,
    pub(crate) path: Option<NewPath>,
}

/// Makes a commit of a list that has been checked.
pub(crate) fn create(
    inputs: CommitInputs<'_>,
    signers: CommitSigners<'_>,
    random: &mut dyn Random,
) -> Result<CreatedCommit, Error> {
    let state = inputs.state;
    let suite = state.suite;
    // RFC 9420 §12.4, C296, C297: by default the path is populated.
    if inputs.leaf.is_none() && inputs.list.path_required() {
        return Err(ApiMisuse::PathRequired.into());
    }

    // Create the new tree and context by applying the proposals (§12.3).
    let mut tree = state.tree.clone();
    let applied = inputs.list.apply(&mut tree, &state.context)?;
    let committer = match inputs.sender {
        Sender::Member(leaf) => leaf,
        // C361: the leftmost blank leaf of the tree after the proposals.
        Sender::NewMemberCommit | Sender::NewMemberProposal | Sender::External(_) => tree.next_free_leaf(),
    };

    // Populate the path: update the direct path, then encrypt under the provisional context (§7.5).
    let group_id = &state.context.group_id;
    let path = inputs
        .leaf
        .map(|leaf| NewPath::generate(&mut tree, committer, leaf, (group_id, signers.leaf), random))
        .transpose()?;
    let provisional = state.provisional_context(&tree, &applied.extensions)?;
    let added: BTreeSet<LeafIndex> = applied.added.iter().map(|added| added.leaf).collect();
    let provisional_bytes = provisional.to_bytes()?;
    let update_path = path
        .as_ref()
        .map(|path| path.encrypt(&tree, &provisional_bytes, &added, random))
        .transpose()?;
    let commit_secret = match &path {
        Some(path) => path.commit_secret()?,
        // C300: the all-zero secret without a path.
        None => CommitSecret::zero(suite),
    };

    // Sign with the old context, derive with the new one (C299).
    let content = FramedContent {
        group_id: group_id.clone(),
        epoch: state.context.epoch,
        sender: inputs.sender,
        authenticated_data: inputs.authenticated_data,
        content: Content::Commit(Box::new(Commit { proposals: inputs.proposals, path: update_path })),
    };
    let signed = Signed::sign(signers.message, inputs.wire_format, content, &state.context_bytes)?;
    let keys = KeyInputs { init: inputs.init, commit: commit_secret, psk: inputs.psk };
    let transcript = SignedCommit {
        wire_format: signed.wire_format(),
        content: signed.content(),
        signature: signed.signature(),
    };
    let advanced = Advanced::derive(state, tree, provisional, &transcript, keys)?;
    let confirmation_tag = advanced.confirmation_tag();
    let message = signed.complete(Some(confirmation_tag.clone()))?;
    let (next, join) = advanced.finish(confirmation_tag)?;
    Ok(CreatedCommit { message, next, join, applied, committer, path })
}
