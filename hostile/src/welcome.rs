//! RFC 9420 §12.4.3: GroupInfos and Welcomes of a member that may write anything into them.

use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::key_package::KeyPackage;
use hushwood::schedule::PreSharedKeyId;
use hushwood::unverified::Unverified;
use hushwood::welcome::{EncryptedGroupSecrets, GroupInfo, Welcome};
use hushwood_crypto::HashReference;
use test_support::random::SeededRandom;

use crate::at::{At, PathNode, Secrets, Tamper};
use crate::literal::crypto::{encrypt, reference, seal, sign, written};
use crate::literal::framing::{bytes, context_bytes};
use crate::literal::schedule::{Epoch, intermediate_secret, psk_secret, welcome_keys};
use crate::literal::tree::leaves_below;
use crate::member::{Made, Member, index};

/// What stands behind an epoch: what a Welcome into it has to say.
pub struct Behind<'m> {
    /// `joiner_secret`.
    pub joiner: &'m [u8],
    /// The pre-shared keys.
    pub psks: &'m [PreSharedKeyId],
    /// The committer's path.
    pub path: &'m [PathNode],
    /// Who was added, and where.
    pub added: &'m [(usize, KeyPackage)],
}

impl Made {
    /// What a Welcome to it has to say.
    pub fn behind(&self) -> Behind<'_> {
        Behind { joiner: &self.joiner, psks: &self.psks, path: &self.path, added: &self.added }
    }
}

impl Member {
    /// A GroupInfo of the epoch before tag and signature, with tree and external key.
    fn bare_group_info(&self, external: bool, tamper: Tamper<'_>) -> GroupInfo {
        let mut extensions = Extensions::new();
        let mut tree = self.tree.extension();
        tamper(At::TreeBytes(&mut tree));
        extensions.set(ExtensionType::RATCHET_TREE, tree);
        if external {
            let key = written(|w| _ = w.value(&self.external_pub));
            extensions.set(ExtensionType::EXTERNAL_PUB, key);
        }
        let mut info = GroupInfo {
            group_context: self.context.clone(),
            extensions,
            confirmation_tag: self.confirmation_tag.clone(),
            signer: index(self.leaf),
            signature: Vec::new(),
        };
        tamper(At::GroupInfo(&mut info));
        info
    }

    fn sign_group_info(&self, info: &mut GroupInfo, tamper: Tamper<'_>) {
        tamper(At::GroupInfoTagged(info));
        let mut signer = self.client.signer.clone();
        tamper(At::Signer(&mut signer));
        let tbs = written(|w| {
            w.value(&info.group_context).value(&info.extensions);
            w.opaque(&info.confirmation_tag).value(&info.signer);
        });
        info.signature = sign(self.client.suite, &signer, "GroupInfoTBS", &tbs);
        tamper(At::GroupInfoSigned(info));
    }

    /// A GroupInfo of the epoch, for those who join from outside.
    pub fn group_info(&self, tamper: Tamper<'_>) -> Vec<u8> {
        let mut info = self.bare_group_info(true, tamper);
        self.sign_group_info(&mut info, tamper);
        let mut message = bytes(&MlsMessage::GroupInfo(Box::new(Unverified::new(info))));
        tamper(At::Message(&mut message));
        message
    }

    /// A Welcome for those whom the commit before this epoch has added.
    ///
    /// Keys and tag are computed from what was changed: a context that is wrong is confirmed as it is.
    pub fn welcome(&self, behind: &Behind<'_>, random: &mut SeededRandom, tamper: Tamper<'_>) -> Vec<u8> {
        let suite = self.client.suite;
        let mut info = self.bare_group_info(false, tamper);
        let mut all = Vec::new();
        for (place, key_package) in behind.added {
            let common = behind.path.iter().find(|node| leaves_below(node.node).contains(place));
            let mut secrets = Secrets {
                joiner: behind.joiner.to_vec(),
                path: common.map(|node| node.secret.clone()),
                psks: behind.psks.to_vec(),
            };
            tamper(At::Secrets(&mut secrets));
            all.push((key_package, secrets));
        }
        let first = all.first().map(|(_, secrets)| secrets.clone());
        let first = first.unwrap_or(Secrets { joiner: behind.joiner.to_vec(), path: None, psks: vec![] });
        let psks = first.psks.iter().map(|id| {
            let key = match &id.psk {
                hushwood::schedule::Psk::External { psk_id } => self.client.psks.get(psk_id).cloned(),
                hushwood::schedule::Psk::Resumption { psk_epoch, .. } => {
                    self.resumption.get(psk_epoch).cloned()
                }
            };
            (id.clone(), key.unwrap_or_else(|| vec![7; 32]))
        });
        let psk = psk_secret(suite, &psks.collect::<Vec<_>>());
        let intermediate = intermediate_secret(suite, &first.joiner, &psk);
        let epoch = Epoch::after(suite, &intermediate, &context_bytes(&info.group_context));
        info.confirmation_tag = epoch.tag(suite, &info.group_context.confirmed_transcript_hash);
        self.sign_group_info(&mut info, tamper);
        let mut encoded = bytes(&info);
        tamper(At::GroupInfoBytes(&mut encoded));
        let (key, nonce) = welcome_keys(suite, &intermediate);
        let encrypted_group_info = seal(suite, (&key, &nonce), b"", &encoded);
        let entries = all.into_iter().map(|(key_package, Secrets { joiner, path, psks })| {
            let mut secrets = written(|w| {
                w.opaque(&joiner).value(&path).value(&psks);
            });
            tamper(At::SecretsBytes(&mut secrets));
            let to = (&key_package.init_key, "Welcome", &encrypted_group_info[..]);
            let encrypted_group_secrets = encrypt(suite, to, &secrets, random);
            let name = reference(suite, "MLS 1.0 KeyPackage Reference", &bytes(key_package));
            let mut entry =
                EncryptedGroupSecrets { new_member: HashReference(name), encrypted_group_secrets };
            tamper(At::Entry(&mut entry));
            entry
        });
        let secrets = entries.collect();
        let mut welcome = Welcome { cipher_suite: suite.id(), secrets, encrypted_group_info };
        tamper(At::Welcome(&mut welcome));
        let mut message = bytes(&MlsMessage::Welcome(welcome));
        tamper(At::Message(&mut message));
        message
    }
}
