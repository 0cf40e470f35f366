//! Proposals as the interface describes them.

use std::collections::HashMap;

use hushwood::codec::Decode;
use hushwood::credential::Credential;
use hushwood::crypto::{CipherSuite, CipherSuiteId, Random};
use hushwood::error::Error;
use hushwood::extension::{Extension, ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::group::{MemberView, NewProposal};
use hushwood::key_package::{KeyPackage, ValidKeyPackage, validate_many};
use hushwood::policy::Policy;
use hushwood::proposal::{Add, GroupContextExtensions, PreSharedKey, Proposal, ReInit, Remove};
use hushwood::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use hushwood::tree::LeafIndex;
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;

use crate::failure::Failure;
use crate::proto::{Extension as DescribedExtension, ProposalDescription};
use crate::settings::{now, random};

/// The group that a proposal is for, as far as it takes to make one.
pub(crate) struct Target<'a> {
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) group_id: &'a [u8],
    pub(crate) policy: &'a Policy,
    /// Its members, by identity.
    pub(crate) members: Members,
}

impl Target<'_> {
    /// What is described, as proposals in the same order.
    pub(crate) fn proposals(
        &self,
        described: Vec<ProposalDescription>,
    ) -> Result<Vec<NewProposal<'static>>, Failure> {
        // All KeyPackages together: their signatures are verified in batches.
        let adds = described.iter().filter(|description| description.proposal_type == b"add");
        let adds: Vec<&[u8]> = adds.map(|description| description.key_package.as_slice()).collect();
        let mut added = valid_key_packages(&adds, self.suite, self.policy)?.into_iter();
        let proposal = |description: ProposalDescription| {
            Ok(match description.proposal_type.as_slice() {
                b"add" => {
                    let key_package = added.next().ok_or(Failure::Request("a KeyPackage is missing"))?;
                    NewProposal::Add(Box::new(key_package))
                }
                b"remove" => NewProposal::Remove(self.members.leaf_of(&description.removed_id)?),
                b"externalPSK" => NewProposal::Psk(Psk::External { psk_id: description.psk_id }),
                b"resumptionPSK" => NewProposal::Psk(resumption(self.group_id, description.epoch_id)),
                b"groupContextExtensions" => {
                    NewProposal::GroupContextExtensions(extensions(description.extensions)?)
                }
                b"reinit" => NewProposal::ReInit(reinit(
                    description.group_id,
                    description.cipher_suite,
                    description.extensions,
                )?),
                _ => return Err(Failure::Request("no such type of proposal")),
            })
        };
        described.into_iter().map(proposal).collect()
    }

    /// What is described, as a proposal from outside of the group.
    pub(crate) fn external_proposal(&self, description: ProposalDescription) -> Result<Proposal, Failure> {
        let proposal = self.proposals(vec![description])?.pop();
        Ok(match proposal.ok_or(Failure::Request("a proposal is missing"))? {
            NewProposal::Add(valid) => {
                Proposal::Add(Box::new(Add { key_package: valid.key_package().clone() }))
            }
            NewProposal::Remove(removed) => Proposal::Remove(Remove { removed }),
            NewProposal::Psk(psk) => {
                // RFC 9420 §8.4: a fresh nonce, as long as the KDF's output.
                let random: &mut dyn Random = &mut random();
                let psk_nonce = random.bytes(self.suite.kdf().length())?;
                Proposal::Psk(Box::new(PreSharedKey { psk: PreSharedKeyId { psk, psk_nonce } }))
            }
            NewProposal::GroupContextExtensions(extensions) => {
                Proposal::GroupContextExtensions(GroupContextExtensions { extensions })
            }
            NewProposal::ReInit(reinit) => Proposal::ReInit(Box::new(reinit)),
            NewProposal::Update(_) | NewProposal::Custom { .. } => {
                return Err(Failure::Request("no such type of proposal"));
            }
        })
    }
}

/// The members of a group by the identity in their basic credentials.
pub(crate) struct Members(HashMap<Vec<u8>, LeafIndex>);

impl Members {
    /// Those of a group. Of two with the same identity, the one further to the left.
    pub(crate) fn of(members: impl Iterator<Item = Result<MemberView, Error>>) -> Result<Self, Failure> {
        let mut by_identity = HashMap::new();
        for member in members {
            let member = member?;
            if let Credential::Basic { identity } = member.leaf.credential {
                by_identity.entry(identity).or_insert(member.index);
            }
        }
        Ok(Self(by_identity))
    }

    /// None, for who does not need them.
    pub(crate) fn none() -> Self {
        Self(HashMap::new())
    }

    /// The leaf of the member with this identity.
    pub(crate) fn leaf_of(&self, identity: &[u8]) -> Result<LeafIndex, Failure> {
        self.0.get(identity).copied().ok_or(Failure::Request("no member has this identity"))
    }
}

/// A KeyPackage from an MLSMessage, validated.
pub(crate) fn valid_key_package(
    message: &[u8],
    suite: &'static dyn CipherSuite,
    policy: &Policy,
) -> Result<ValidKeyPackage, Failure> {
    let valid = valid_key_packages(&[message], suite, policy)?.pop();
    valid.ok_or(Failure::Request("a KeyPackage is missing"))
}

/// KeyPackages from MLSMessages, validated.
pub(crate) fn valid_key_packages(
    messages: &[impl AsRef<[u8]>],
    suite: &'static dyn CipherSuite,
    policy: &Policy,
) -> Result<Vec<ValidKeyPackage>, Failure> {
    let key_packages = messages.iter().map(|message| key_package(message.as_ref(), policy));
    let key_packages = key_packages.collect::<Result<Vec<_>, _>>()?;
    Ok(validate_many(key_packages, (suite, policy, now()), &mut random())?)
}

fn key_package(message: &[u8], policy: &Policy) -> Result<Unverified<KeyPackage>, Failure> {
    match MlsMessage::from_bytes_with(message, policy.decode)? {
        MlsMessage::KeyPackage(key_package) => Ok(*key_package),
        _ => Err(Failure::Request("a message is not a KeyPackage")),
    }
}

/// The resumption key of an epoch, for the application's use.
pub(crate) fn resumption(group_id: &[u8], epoch: u64) -> Psk {
    Psk::Resumption {
        usage: ResumptionPskUsage::Application,
        psk_group_id: group_id.to_vec(),
        psk_epoch: epoch,
    }
}

/// A ReInit to this version of the protocol.
pub(crate) fn reinit(
    group_id: Vec<u8>,
    cipher_suite: u32,
    described: Vec<DescribedExtension>,
) -> Result<ReInit, Failure> {
    let suite = u16::try_from(cipher_suite).map_err(|_| Failure::Request("a cipher suite has 16 bits"))?;
    Ok(ReInit {
        group_id,
        version: ProtocolVersion::MLS10,
        cipher_suite: CipherSuiteId(suite),
        extensions: extensions(described)?,
    })
}

/// Extensions, in their order.
pub(crate) fn extensions(described: Vec<DescribedExtension>) -> Result<Extensions, Failure> {
    let count = described.len();
    let extension = |described: DescribedExtension| {
        let number = u16::try_from(described.extension_type);
        let number = number.map_err(|_| Failure::Request("an extension type has 16 bits"))?;
        Ok(Extension { extension_type: ExtensionType(number), extension_data: described.extension_data })
    };
    let extensions: Extensions = described.into_iter().map(extension).collect::<Result<_, Failure>>()?;
    // RFC 9420 §13.4: at most one of each type; of two, one has taken the other's place.
    if extensions.iter().len() != count {
        return Err(Failure::Request("an extension type is there twice"));
    }
    Ok(extensions)
}
