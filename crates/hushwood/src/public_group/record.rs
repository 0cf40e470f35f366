//! An observer's state as bytes. The format is our own; it begins with its version and keeps being
//! readable for ever.

use hushwood_codec::{DecodeLimits, Writer, wire_struct};
use hushwood_crypto::{CipherSuiteId, CryptoProvider, Secret};

use crate::commit::state::PublicState;
use crate::error::{Error, StoreReadError, Unsupported};
use crate::group::record::{EpochRecord, StatusRecord, public_record, read_value};
use crate::policy::Policy;
use crate::proposal::{CachedProposal, ProposalCache};
use crate::public_group::PublicGroup;
use crate::tree::RatchetTree;

wire_struct! {
    struct PublicGroupRecord {
        cipher_suite: CipherSuiteId,
        policy: Policy,
        status: StatusRecord,
        epoch: EpochRecord,
        /// `optional<Node> ratchet_tree<V>`.
        tree: Vec<u8>,
        proposals: Vec<CachedProposal>,
    }
}

impl PublicGroup {
    /// All of its state, to be kept. Whoever can change these bytes decides what the observer believes.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) beyond a gigabyte; [`Error::StoreRead`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut tree = Writer::new();
        self.public.tree.encode(&mut tree)?;
        let record = PublicGroupRecord {
            cipher_suite: self.suite().id(),
            policy: self.policy.clone(),
            status: StatusRecord::of(&self.status),
            epoch: EpochRecord {
                context: self.public.context.clone(),
                confirmation_tag: self.public.confirmation_tag.clone(),
                interim_transcript_hash: self.public.interim_transcript_hash.clone(),
            },
            tree: tree.finish()?,
            proposals: self.proposals.iter().cloned().collect(),
        };
        Ok(public_record(&record)?.expose().to_vec())
    }

    /// The state that [`to_bytes`](Self::to_bytes) gave. It is trusted: signatures are not verified again.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`], [`StoreReadError::Version`]; [`Unsupported::CipherSuite`] if the
    /// provider lacks its suite.
    pub fn from_bytes(bytes: &[u8], provider: &CryptoProvider) -> Result<Self, Error> {
        let record: PublicGroupRecord = read_value(&Secret::copy_of(bytes))?;
        let suite = provider.suite(record.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        // What was kept may be larger than what the policy takes from others today.
        let decode = DecodeLimits { max_bytes: usize::MAX, max_elements: usize::MAX, max_depth: 32 };
        let generous = Policy { max_members: u32::MAX, decode, ..record.policy.clone() };
        let tree = RatchetTree::from_extension(suite, &record.tree, &generous);
        let tree = tree.map_err(|_| StoreReadError::Corrupt)?;
        let EpochRecord { context, confirmation_tag, interim_transcript_hash } = record.epoch;
        if tree.tree_hash()?.as_bytes() != context.tree_hash {
            return Err(StoreReadError::Corrupt.into());
        }
        let public = PublicState::new(context, tree, confirmation_tag, interim_transcript_hash)?;
        let mut proposals = ProposalCache::new();
        for proposal in record.proposals {
            proposals.restore(proposal);
        }
        Ok(Self { public, policy: record.policy, status: record.status.into(), proposals })
    }
}
