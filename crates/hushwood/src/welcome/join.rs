//! RFC 9420 §12.4.3.1: joining via Welcome message.

use std::fmt;

use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuite, Random, Secret, decrypt_with_label};

use crate::commit::answers::psk_secret;
use crate::commit::state::{MemberState, PublicState};
use crate::credential::CredentialCheck;
use crate::error::{Error, NotNow, Violation};
use crate::key_package::KeyPackagePrivate;
use crate::policy::{Policy, Timestamp};
use crate::schedule::{
    EncryptionSecret, JoinerSecret, MAX_PSKS, PreSharedKeyId, Psk, ResumptionPskUsage,
    interim_transcript_hash,
};
use crate::tree::{KeyPair, LeafIndex, LeafNodeSource, PathSecret, PrivateTree, Supported};
use crate::welcome::types::GroupSecrets;
use crate::welcome::verification::{Circumstances, UnsignedGroup, VerifiedGroup};
use crate::welcome::{GroupInfo, Welcome};

/// A Welcome whose entry for us has been decrypted. What it asks for is known: pre-shared keys.
pub(crate) struct OpenedSecrets {
    pub(crate) suite: &'static dyn CipherSuite,
    secrets: GroupSecrets,
    encrypted_group_info: Vec<u8>,
    key_package: KeyPackagePrivate,
}

/// The group that a Welcome invites to, verified.
#[derive(Debug)]
pub(crate) struct JoinedGroup {
    pub(crate) public: PublicState,
    pub(crate) member: MemberState,
    pub(crate) encryption: EncryptionSecret,
    pub(crate) own_leaf: LeafIndex,
    pub(crate) signer: LeafIndex,
    /// The credentials to judge.
    pub(crate) checks: Vec<CredentialCheck>,
    /// The group it grew out of, by the usage of its resumption PSK.
    pub(crate) parent: Option<Parent>,
}

/// The group that a new one replaces or is split off from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parent {
    /// How the new group relates to it: reinit or branch.
    pub usage: ResumptionPskUsage,
    /// Its id.
    pub group_id: Vec<u8>,
    /// The epoch whose resumption PSK was used.
    pub epoch: u64,
}

impl OpenedSecrets {
    /// Decrypts our entry. `key_package` is the one that `find` found by the references in the Welcome.
    ///
    /// # Errors
    /// [`NotNow::NoKeyPackage`]; [`Violation::WelcomeDoesNotOpen`], [`Violation::KeyPackageSuite`],
    /// [`Violation::PskUsage`], [`Violation::PskNonce`], [`Violation::PskTooMany`].
    pub(crate) fn open(
        welcome: Welcome,
        (suite, policy): (&'static dyn CipherSuite, &Policy),
        find: impl Fn(&hushwood_crypto::HashReference) -> Result<Option<KeyPackagePrivate>, Error>,
    ) -> Result<Self, Error> {
        // C325: an entry for one of our KeyPackages.
        let mut found = None;
        for entry in welcome.secrets {
            if let Some(key_package) = find(&entry.new_member)? {
                found = Some((entry, key_package));
                break;
            }
        }
        let (entry, key_package) = found.ok_or(NotNow::NoKeyPackage)?;
        // C326: the KeyPackage is for the suite of the Welcome.
        if key_package.key_package().cipher_suite != welcome.cipher_suite {
            return Err(Violation::KeyPackageSuite.into());
        }
        // C327: label "Welcome", with the encrypted GroupInfo as context.
        let context = &welcome.encrypted_group_info;
        let ciphertext = &entry.encrypted_group_secrets;
        let plaintext = decrypt_with_label(suite, key_package.init_key(), "Welcome", context, ciphertext)
            .map_err(|_| Violation::WelcomeDoesNotOpen)?;
        // C014: bytes behind the structure are refused.
        let secrets = GroupSecrets::from_bytes(plaintext.expose())?;
        check_psks((suite, policy), &secrets.psks)?;
        Ok(Self { suite, secrets, encrypted_group_info: welcome.encrypted_group_info, key_package })
    }

    /// The pre-shared keys that it takes to go on.
    pub(crate) fn psks(&self) -> impl ExactSizeIterator<Item = &Psk> {
        self.secrets.psks.iter().map(|id| &id.psk)
    }

    /// The KeyPackage it was for.
    pub(crate) fn key_package(&self) -> &KeyPackagePrivate {
        &self.key_package
    }

    /// The group that this one claims to have grown out of.
    pub(crate) fn parent(&self) -> Option<Parent> {
        self.secrets.psks.iter().find_map(|id| match &id.psk {
            Psk::Resumption { usage: ResumptionPskUsage::Application, .. } | Psk::External { .. } => None,
            Psk::Resumption { usage, psk_group_id, psk_epoch } => {
                Some(Parent { usage: *usage, group_id: psk_group_id.clone(), epoch: *psk_epoch })
            }
        })
    }

    /// Decrypts the GroupInfo, without verifying anything.
    ///
    /// # Errors
    /// [`NotNow::PskMissing`]; [`Violation::WelcomeDoesNotOpen`]; [`Error::Decode`].
    pub(crate) fn group_info<'k>(
        &self,
        find_psk: impl Fn(&Psk) -> Option<&'k Secret>,
        policy: &Policy,
    ) -> Result<GroupInfo, Error> {
        let psk = psk_secret(self.suite, self.secrets.psks.iter(), find_psk)?;
        let joiner = JoinerSecret::new(self.secrets.joiner_secret.duplicate());
        let key = joiner.with_psk(self.suite, psk).welcome(self.suite)?;
        let opened = key.open(self.suite, &self.encrypted_group_info)?;
        Ok(GroupInfo::from_bytes_with(opened.expose(), policy.decode)?)
    }

    /// Decrypts the GroupInfo and verifies all there is to verify.
    ///
    /// # Errors
    /// [`NotNow::PskMissing`], [`NotNow::TreeMissing`]; the [`Violation`] that makes the Welcome invalid;
    /// [`Error::Unsupported`] if the group needs what we lack.
    pub(crate) fn join<'k>(
        self,
        find_psk: impl Fn(&Psk) -> Option<&'k Secret>,
        ratchet_tree: Option<&[u8]>,
        (policy, now): (&Policy, Timestamp),
        random: &mut dyn Random,
    ) -> Result<JoinedGroup, Error> {
        let suite = self.suite;
        let parent = self.parent();
        let GroupSecrets { joiner_secret, path_secret, psks } = self.secrets;
        // C328: every pre-shared key must be at hand.
        let psk = psk_secret(suite, psks.iter(), find_psk)?;
        let joiner = JoinerSecret::new(joiner_secret);
        let intermediate = joiner.with_psk(suite, psk);
        // C330: the GroupInfo decrypts under the welcome key.
        let opened = intermediate.welcome(suite)?.open(suite, &self.encrypted_group_info)?;
        let group_info = GroupInfo::from_bytes_with(opened.expose(), policy.decode)?;

        let circumstances = Circumstances { suite, policy, now };
        let unsigned = UnsignedGroup::check(group_info, ratchet_tree, circumstances)?;
        // C321, C347, C385: we support what the group has and requires.
        let own = self.key_package.key_package().leaf_node.clone();
        Supported::of(&own.capabilities).check_group(unsigned.parameters())?;
        // C339: a leaf that is that of our KeyPackage.
        let tree = unsigned.tree();
        let own_leaf = tree.signature_key_at(&own.signature_key)?.ok_or(Violation::LeafNotInTree)?;
        if tree.leaf(own_leaf)?.as_ref() != Some(&own)
            || !matches!(own.leaf_node_source, LeafNodeSource::KeyPackage(_))
        {
            return Err(Violation::LeafNotInTree.into());
        }
        check_first_epoch(parent.as_ref(), unsigned.group_info().group_context.epoch)?;
        let VerifiedGroup { group_info, tree, checks, .. } =
            unsigned.verify_signatures(circumstances, random)?;

        // C303, C340, C341: the keys above us.
        let leaf_keys =
            KeyPair { public: own.encryption_key, private: self.key_package.into_encryption_key() };
        let path_secret = path_secret.map(|secret| PathSecret::received(suite, secret)).transpose()?;
        let private = PrivateTree::join(&tree, (own_leaf, leaf_keys), group_info.signer, path_secret)?;

        let context = group_info.group_context;
        let (secrets, encryption) = intermediate.epoch(suite, &context.to_bytes()?)?.derive(suite)?;
        // C342: the confirmation tag.
        let tag = group_info.confirmation_tag;
        secrets.confirmation.verify(suite, &context.confirmed_transcript_hash, &tag)?;
        // C167: joiners compute the interim hash from it.
        let interim = interim_transcript_hash(suite, &context.confirmed_transcript_hash, &tag)?;
        let public = PublicState::new(context, tree, tag, interim)?;
        let member = MemberState { private, secrets };
        let signer = group_info.signer;
        Ok(JoinedGroup { public, member, encryption, own_leaf, signer, checks, parent })
    }
}

/// RFC 9420 §8.4, §12.4.3.1: what can be said of the pre-shared keys before they are looked up.
fn check_psks(
    (suite, policy): (&dyn CipherSuite, &Policy),
    psks: &[PreSharedKeyId],
) -> Result<(), Violation> {
    // RFC 9420 §8.4, C173: no more than a uint16 counts.
    if psks.len() > MAX_PSKS {
        return Err(Violation::PskTooMany);
    }
    // RFC 9420 §8.4, C171: nonces are as long as the KDF's output. Q: That binds who makes the commit, and of the
    // Welcome nothing says that it is invalid; is it? A: Unless the policy takes it. mls-rs goes by the hash of the
    // group that is reinitialised.
    let length = suite.kdf().length();
    if policy.check_welcome_psk_nonces && psks.iter().any(|id| id.psk_nonce.len() != length) {
        return Err(Violation::PskNonce);
    }
    // C329: at most one resumption PSK with usage reinit or branch.
    let of_parent = |id: &&PreSharedKeyId| {
        matches!(
            id.psk,
            Psk::Resumption { usage: ResumptionPskUsage::Reinit | ResumptionPskUsage::Branch, .. }
        )
    };
    if psks.iter().filter(of_parent).count() > 1 {
        return Err(Violation::PskUsage);
    }
    Ok(())
}

/// C227, C232, C343: a group that grew out of another one is joined in its first epoch.
fn check_first_epoch(parent: Option<&Parent>, epoch: u64) -> Result<(), Violation> {
    match parent {
        Some(parent) if epoch != 1 => Err(match parent.usage {
            ResumptionPskUsage::Branch => Violation::BranchParameters,
            ResumptionPskUsage::Reinit | ResumptionPskUsage::Application => Violation::ReInitLinkage,
        }),
        _ => Ok(()),
    }
}

impl fmt::Debug for OpenedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedSecrets").field("psks", &self.secrets.psks.len()).finish_non_exhaustive()
    }
}
