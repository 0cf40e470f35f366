//! RFC 9420 §12.4.3, §12.4.3.1: verifying a GroupInfo and the tree that belongs to it.
//!
//! The same for a client that joins by a Welcome, one that joins by an external commit, and an observer. What needs no
//! public-key operation comes first: a tree that is refused for its structure costs nobody a signature.

use hushwood_crypto::{CipherSuite, CryptoError, Random, sign_content_of};

use crate::credential::{Claim, CredentialCheck, Subject};
use crate::error::{Error, NotNow, Unsupported, Violation};
use crate::extension::ExtensionType;
use crate::extension::support::{ExtensionPlace, check_group_context, check_placement};
use crate::parallel::map_runs;
use crate::policy::{Policy, Timestamp};
use crate::tree::{GroupParameters, LeafChecks, LeafIndex, LeafNode, LeafPlace, RatchetTree};
use crate::version::ProtocolVersion;
use crate::welcome::GroupInfo;

/// What a GroupInfo is verified under.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) policy: &'a Policy,
    pub(crate) now: Timestamp,
}

/// A GroupInfo and its tree, verified against each other. That the group's keys are those of its
/// confirmation tag is for those to see who have them.
#[derive(Debug)]
pub(crate) struct VerifiedGroup {
    pub(crate) group_info: GroupInfo,
    pub(crate) tree: RatchetTree,
    pub(crate) parameters: GroupParameters,
    /// The credentials to judge: of every member and of every external sender.
    pub(crate) checks: Vec<CredentialCheck>,
}

/// A GroupInfo and its tree of which all is right that can be seen without verifying a signature. Whoever has more to
/// ask does it now: signatures are as many as there are members.
#[derive(Debug)]
pub(crate) struct UnsignedGroup(VerifiedGroup);

/// Verifies the tree of a GroupInfo, and the GroupInfo by a member of the tree.
pub(crate) fn verify(
    group_info: GroupInfo,
    ratchet_tree: Option<&[u8]>,
    circumstances: Circumstances<'_>,
    random: &mut dyn Random,
) -> Result<VerifiedGroup, Error> {
    UnsignedGroup::check(group_info, ratchet_tree, circumstances)?.verify_signatures(circumstances, random)
}

impl UnsignedGroup {
    /// Checks everything but the signatures.
    pub(crate) fn check(
        group_info: GroupInfo,
        ratchet_tree: Option<&[u8]>,
        circumstances: Circumstances<'_>,
    ) -> Result<Self, Error> {
        let Circumstances { suite, policy, now } = circumstances;
        let context = &group_info.group_context;
        // RFC 9420 §8.1, §12.4.3.1, C162, C331: version and suite are those of the KeyPackage.
        if context.version != ProtocolVersion::MLS10 {
            return Err(Unsupported::ProtocolVersion.into());
        }
        if context.cipher_suite != suite.id() {
            return Err(Violation::KeyPackageSuite.into());
        }
        // C256, C375: what stands in the context and beside it belongs there.
        check_group_context(&context.extensions, suite)?;
        check_placement(&group_info.extensions, ExtensionPlace::GroupInfo)?;
        let parameters = GroupParameters::new(context.version, context.cipher_suite, &context.extensions)?;

        // RFC 9420 §12.4.3.1, §12.4.3.3, C332: the tree, from wherever.
        let extension = group_info.extensions.get(ExtensionType::RATCHET_TREE);
        let data = extension.map(|extension| extension.extension_data.as_slice()).or(ratchet_tree);
        let data = data.ok_or(NotNow::TreeMissing)?;
        let mut leaves = Leaves::new(&context.group_id, &parameters, circumstances);
        let see = |index, leaf: &LeafNode| leaves.see(index, leaf);
        let tree = RatchetTree::from_extension_with(suite, data, policy, see)?;
        // C333, C374: however the tree was obtained, its hash is the one in the group context.
        if tree.tree_hash()?.as_bytes() != context.tree_hash {
            return Err(Violation::TreeHash.into());
        }
        // C324, C351: the signer is a member.
        if !tree.is_member(group_info.signer)? {
            return Err(Violation::GroupInfoSigner.into());
        }
        check_external_pub(&group_info, suite)?;

        // C101: every parent has a key of the suite. C148, C334: every parent is parent-hash valid.
        tree.verify_parent_keys()?;
        tree.verify_parent_hashes()?;
        // C335: every leaf is valid, with its own source.
        let checks = leaves.checked?;
        // C119, C120: the members support each other's credentials.
        parameters.check_members(&tree)?;
        // C127, C128, C413: no key is there twice.
        tree.check_unique_keys()?;
        let senders = (0_u32..).zip(context.extensions.external_senders()?);
        let senders = senders.map(|(index, sender)| CredentialCheck {
            subject: Subject::ExternalSender(index),
            old: None,
            new: Claim::from(sender),
            now,
        });
        let checks = checks.into_iter().chain(senders).collect();
        Ok(Self(VerifiedGroup { group_info, tree, parameters, checks }))
    }

    /// What the group has and requires.
    pub(crate) fn parameters(&self) -> &GroupParameters {
        &self.0.parameters
    }

    /// The GroupInfo.
    pub(crate) fn group_info(&self) -> &GroupInfo {
        &self.0.group_info
    }

    /// The tree.
    pub(crate) fn tree(&self) -> &RatchetTree {
        &self.0.tree
    }

    /// Verifies the signatures of the GroupInfo and of all leaves.
    pub(crate) fn verify_signatures(
        self,
        circumstances: Circumstances<'_>,
        random: &mut dyn Random,
    ) -> Result<VerifiedGroup, Error> {
        let Self(group) = self;
        verify_signature(&group.group_info, circumstances.suite, &group.tree)?;
        // C335, and C112, C115.
        let group_id = &group.group_info.group_context.group_id;
        verify_leaf_signatures(&group.tree, group_id, circumstances, random)?;
        Ok(group)
    }
}

/// RFC 9420 §12.4.3, C323, C324, C351: a member of the tree has signed the GroupInfo.
pub(crate) fn verify_signature(
    group_info: &GroupInfo,
    suite: &dyn CipherSuite,
    tree: &RatchetTree,
) -> Result<(), Error> {
    let (signature_key, _) = tree.identity(group_info.signer)?.ok_or(Violation::GroupInfoSigner)?;
    let tbs = sign_content_of("GroupInfoTBS", group_info.room(), |writer| group_info.encode_tbs(writer))?;
    match suite.signature().verify(&signature_key, &tbs, &group_info.signature) {
        Ok(()) => Ok(()),
        // RFC 9420 §5.1.1, C035, C036: the signer's key is one of the suite's scheme.
        Err(CryptoError::PublicKey) => Err(Violation::SignaturePublicKey.into()),
        Err(_) => Err(Violation::GroupInfoSignature.into()),
    }
}

/// RFC 9420 §5.1.1, §12.4.3.2, C032: the key for those who come from outside is one of the suite's KEM.
pub(crate) fn check_external_pub(group_info: &GroupInfo, suite: &dyn CipherSuite) -> Result<(), Error> {
    match group_info.extensions.external_pub()? {
        Some(external_pub) if suite.kem().check_public_key(&external_pub).is_err() => {
            Err(Violation::HpkePublicKey.into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Validates every leaf of a tree (RFC 9420 §7.3) but for its signature, while the tree is read.
struct Leaves<'a> {
    checks: LeafChecks<'a>,
    group_id: &'a [u8],
    parameters: &'a GroupParameters,
    /// The credentials to judge; or what the first leaf that is refused is refused for.
    checked: Result<Vec<CredentialCheck>, Error>,
}

impl<'a> Leaves<'a> {
    fn new(
        group_id: &'a [u8],
        parameters: &'a GroupParameters,
        Circumstances { suite, policy, now }: Circumstances<'a>,
    ) -> Self {
        let checks = LeafChecks { suite, policy, now, sending: false };
        Self { checks, group_id, parameters, checked: Ok(Vec::new()) }
    }

    fn see(&mut self, index: LeafIndex, leaf: &LeafNode) {
        let Ok(checked) = &mut self.checked else { return };
        let check = || {
            self.checks.alone(leaf, LeafPlace::Tree(self.group_id, index))?;
            self.parameters.check(&leaf.capabilities)?;
            let (subject, now) = (Subject::Member(index), self.checks.now);
            Ok(CredentialCheck { subject, old: None, new: leaf.claim(), now })
        };
        match check() {
            Ok(check) => checked.push(check),
            Err(refused) => self.checked = Err(refused),
        }
    }
}

/// Verifies the signatures of all leaves, in batches (RFC 9420 §7.3).
fn verify_leaf_signatures(
    tree: &RatchetTree,
    group_id: &[u8],
    Circumstances { suite, policy, now }: Circumstances<'_>,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let leaves = LeafChecks { suite, policy, now, sending: false };
    map_runs(&tree.packed_members()?, (FEW, TOGETHER), (suite, random), |run, random| {
        let run: Vec<_> = run.iter().map(|member| (member.index, &member.node)).collect();
        leaves.packed_signatures(group_id, &run, random)?;
        Ok(Vec::<()>::new())
    })?;
    Ok(())
}

/// How many leaves are verified together: enough to gain from it, few enough that they stay at hand.
const TOGETHER: usize = 1024;
/// For fewer leaves than this no thread is woken.
const FEW: usize = 32;

#[cfg(test)]
mod tests;
