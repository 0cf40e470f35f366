//! RFC 9420 §12.4.1: creating a commit.

use std::collections::BTreeSet;

use hushwood_codec::Encode;
use hushwood_crypto::{Random, Signer};

use crate::commit::Commit;
use crate::commit::advance::{Advanced, JoinSecrets, KeyInputs, NextEpoch, SignedCommit};
use crate::commit::state::PublicState;
use crate::error::Error;
use crate::framing::{Authenticated, Content, FramedContent, Sender, Signed, WireFormat};
use crate::proposal::{Applied, ProposalChecks, ProposalList};
use crate::schedule::{CommitSecret, InitSecret, PskSecret};
use crate::tree::{LeafIndex, NewLeaf, NewPath};

/// A commit to be made.
pub(crate) struct CommitInputs<'a> {
    pub(crate) state: &'a PublicState,
    /// The proposals, checked (RFC 9420 §12.2), and who commits them.
    pub(crate) list: &'a ProposalList,
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
    checks: &ProposalChecks<'_>,
    random: &mut dyn Random,
) -> Result<CreatedCommit, Error> {
    let CommitInputs { state, list, .. } = inputs;
    let suite = state.suite;
    let sender = list.committer();
    // RFC 9420 §12.4, C296, C297: by default the path is populated.
    if inputs.leaf.is_none() && list.path_required(checks.policy) {
        return Err(Error::Bug("a commit that needs a path was made without"));
    }

    // Create the new tree and context by applying the proposals (§12.3).
    let mut applied = list.apply(checks)?;
    let committer = match sender {
        Sender::Member(leaf) => leaf,
        // C361: the leftmost blank leaf of the tree after the proposals.
        Sender::NewMemberCommit | Sender::NewMemberProposal | Sender::External(_) => {
            applied.tree.next_free_leaf()?
        }
    };

    // Populate the path: update the direct path, then encrypt under the provisional context (§7.5).
    let group_id = &state.context.group_id;
    let tree = &mut applied.tree;
    let path = inputs
        .leaf
        .map(|leaf| NewPath::generate(tree, committer, leaf, (group_id, signers.leaf), random))
        .transpose()?;
    // We refuse ourselves what others would refuse (C260), with the signature just made taken as good.
    if path.is_some()
        && let Some(leaf) = applied.tree.leaf(committer)?
    {
        list.check_path_leaf(&leaf, &applied, checks)?;
    }
    applied.check_tree(checks)?;
    let provisional = state.provisional_context(&applied.tree, &applied.extensions)?;
    let provisional_bytes = provisional.to_bytes()?;
    let added: BTreeSet<LeafIndex> = applied.added.iter().copied().collect();
    let encrypt = |path: &NewPath| path.encrypt(&applied.tree, &provisional_bytes, &added, random);
    let update_path = path.as_ref().map(encrypt).transpose()?;
    let commit_secret = match &path {
        Some(path) => path.commit_secret()?,
        // C300: the all-zero secret without a path.
        None => CommitSecret::zero(suite),
    };

    // Sign with the old context, derive with the new one (C299).
    let proposals = list.iter().map(|committed| committed.to_commit()).collect();
    let content = FramedContent {
        group_id: group_id.clone(),
        epoch: state.context.epoch,
        sender,
        authenticated_data: inputs.authenticated_data,
        content: Content::Commit(Box::new(Commit { proposals, path: update_path })),
    };
    let signed = Signed::sign(signers.message, inputs.wire_format, content, &state.context_bytes)?;
    let keys = KeyInputs { init: inputs.init, commit: commit_secret, psk: inputs.psk };
    let transcript = SignedCommit {
        wire_format: signed.wire_format(),
        content: signed.content(),
        signature: signed.signature(),
    };
    let advanced = Advanced::derive(state, applied.tree.clone(), provisional, &transcript, keys)?;
    let confirmation_tag = advanced.confirmation_tag();
    let message = signed.complete(Some(confirmation_tag.clone()))?;
    let (next, join) = advanced.finish(confirmation_tag)?;
    Ok(CreatedCommit { message, next, join, applied, committer, path })
}
