//! RFC 9420 §8, §12.4.1, §12.4.2: from one epoch's state to the next one's, the same for committer and
//! receiver.

use hushwood_codec::Encode;

use crate::commit::state::PublicState;
use crate::error::Error;
use crate::framing::{FramedContent, WireFormat};
use crate::schedule::{
    CommitSecret, EncryptionSecret, EpochSecrets, GroupContext, InitSecret, JoinerSecret, PskSecret,
    WelcomeSecret, confirmed_transcript_hash, interim_transcript_hash,
};
use crate::tree::RatchetTree;

/// The secrets that go into an epoch (RFC 9420 §8).
pub(crate) struct KeyInputs {
    pub(crate) init: InitSecret,
    pub(crate) commit: CommitSecret,
    pub(crate) psk: PskSecret,
}

/// The commit that ends the old epoch, as the transcript takes it.
pub(crate) struct SignedCommit<'a> {
    pub(crate) wire_format: WireFormat,
    pub(crate) content: &'a FramedContent,
    pub(crate) signature: &'a [u8],
}

/// An epoch whose keys are derived and whose confirmation tag has yet to be made or checked.
pub(crate) struct Advanced {
    context: GroupContext,
    tree: RatchetTree,
    pub(crate) secrets: EpochSecrets,
    encryption: EncryptionSecret,
    joiner: JoinerSecret,
    welcome: WelcomeSecret,
}

/// The next epoch, apart from our place in its tree.
pub(crate) struct NextEpoch {
    pub(crate) public: PublicState,
    pub(crate) secrets: EpochSecrets,
    /// Goes into the secret tree, which consumes it.
    pub(crate) encryption: EncryptionSecret,
}

/// What only a committer needs: the secrets of those who join.
pub(crate) struct JoinSecrets {
    pub(crate) joiner: JoinerSecret,
    pub(crate) welcome: WelcomeSecret,
}

impl Advanced {
    /// Updates the confirmed transcript hash and derives the keys of the new epoch. `provisional` is the
    /// new context with the old hash.
    pub(crate) fn derive(
        old: &PublicState,
        tree: RatchetTree,
        provisional: GroupContext,
        commit: &SignedCommit<'_>,
        inputs: KeyInputs,
    ) -> Result<Self, Error> {
        let suite = old.suite;
        let confirmed_transcript_hash = confirmed_transcript_hash(
            suite,
            &old.interim_transcript_hash,
            commit.wire_format,
            commit.content,
            commit.signature,
        )?;
        let context = GroupContext { confirmed_transcript_hash, ..provisional };
        let context_bytes = context.to_bytes()?;
        let joiner = JoinerSecret::derive(suite, inputs.init, inputs.commit, &context_bytes)?;
        let intermediate = joiner.with_psk(suite, inputs.psk);
        let welcome = intermediate.welcome(suite)?;
        let (secrets, encryption) = intermediate.epoch(suite, &context_bytes)?.derive(suite)?;
        Ok(Self { context, tree, secrets, encryption, joiner, welcome })
    }

    /// The tag that confirms this epoch.
    pub(crate) fn confirmation_tag(&self) -> Vec<u8> {
        self.secrets.confirmation.tag(self.tree.suite(), &self.context.confirmed_transcript_hash)
    }

    /// Checks the tag that came with the commit (C313).
    pub(crate) fn verify(&self, confirmation_tag: &[u8]) -> Result<(), Error> {
        let hash = &self.context.confirmed_transcript_hash;
        self.secrets.confirmation.verify(self.tree.suite(), hash, confirmation_tag)
    }

    /// The epoch with its tag, and what a committer sends to those who join.
    pub(crate) fn finish(self, confirmation_tag: Vec<u8>) -> Result<(NextEpoch, JoinSecrets), Error> {
        let interim = interim_transcript_hash(
            self.tree.suite(),
            &self.context.confirmed_transcript_hash,
            &confirmation_tag,
        )?;
        let public = PublicState::new(self.context, self.tree, confirmation_tag, interim)?;
        let next = NextEpoch { public, secrets: self.secrets, encryption: self.encryption };
        Ok((next, JoinSecrets { joiner: self.joiner, welcome: self.welcome }))
    }
}

/// The public state after a commit, for those who can't derive its keys: observers, and the member it
/// removes. The confirmation tag is taken as it came.
pub(crate) fn advance_public(
    old: &PublicState,
    tree: RatchetTree,
    provisional: GroupContext,
    commit: &SignedCommit<'_>,
    confirmation_tag: Vec<u8>,
) -> Result<PublicState, Error> {
    let interim = &old.interim_transcript_hash;
    let confirmed_transcript_hash =
        confirmed_transcript_hash(old.suite, interim, commit.wire_format, commit.content, commit.signature)?;
    let interim = interim_transcript_hash(old.suite, &confirmed_transcript_hash, &confirmation_tag)?;
    let context = GroupContext { confirmed_transcript_hash, ..provisional };
    PublicState::new(context, tree, confirmation_tag, interim)
}
