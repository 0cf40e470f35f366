//! A member who means harm, in a group without cryptography: it has the keys of its epoch, and those of everybody else.

use hushwood::extension::ExtensionType;
use hushwood::framing::{
    Content, FramedContent, MlsMessage, PrivateMessage, PublicMessage, SealingKeys, Sender, Signed,
    WireFormat,
};
use hushwood::key_package::KeyPackage;
use hushwood::policy::{Padding, Policy};
use hushwood::schedule::{EncryptionSecret, EpochSecrets, JoinerSecret, PskSecret};
use hushwood::secret_tree::SecretTree;
use hushwood::tree::{LeafIndex, Node, RatchetTree};
use hushwood::welcome::{GroupInfo, GroupSecrets, Welcome};
use hushwood_codec::{Decode, Encode, Writer};
use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{
    HpkePrivateKey, Secret, SignaturePrivateKey, SignaturePublicKey, SoftwareSigner, decrypt_with_label,
    sign_with_label,
};

use crate::fake_crypto::SUITE;
use crate::random::SeededRandom;

/// What one needs to know of an epoch to say anything in it in the name of anybody.
pub struct Insider {
    /// The epoch's GroupInfo, with its tree.
    pub group_info: GroupInfo,
    /// The Welcome it came from.
    pub welcome: Welcome,
    group_secrets: Vec<u8>,
    joiner_secret: Vec<u8>,
    context: Vec<u8>,
    epoch: EpochSecrets,
    encryption: Vec<u8>,
    tree: RatchetTree,
}

/// A key of which only the public half is known: in this suite it is the private one.
#[must_use]
pub fn signer(public: &SignaturePublicKey) -> SoftwareSigner {
    SoftwareSigner::new(SUITE, SignaturePrivateKey(Secret::copy_of(&public.0))).unwrap()
}

fn decoded(key_package: &[u8]) -> KeyPackage {
    let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(key_package).unwrap() else {
        panic!("not a KeyPackage");
    };
    key_package.inspect().clone()
}

impl Insider {
    /// Whoever sees a Welcome, and the KeyPackage that its first entry is for.
    #[must_use]
    pub fn new(welcome: &[u8], key_package: &[u8]) -> Self {
        let MlsMessage::Welcome(welcome) = MlsMessage::from_bytes(welcome).unwrap() else {
            panic!("not a Welcome");
        };
        let key = HpkePrivateKey(Secret::copy_of(&decoded(key_package).init_key.0));
        let sealed = &welcome.secrets[0].encrypted_group_secrets;
        let opened =
            decrypt_with_label(SUITE, &key, "Welcome", &welcome.encrypted_group_info, sealed).unwrap();
        let secrets = GroupSecrets::from_bytes(opened.expose()).unwrap();
        let joiner_secret = secrets.joiner_secret.expose().to_vec();
        let intermediate = JoinerSecret::new(secrets.joiner_secret).with_psk(SUITE, PskSecret::zero(SUITE));
        let info = intermediate.welcome(SUITE).unwrap().open(SUITE, &welcome.encrypted_group_info).unwrap();
        let group_info = GroupInfo::from_bytes(info.expose()).unwrap();
        let context = group_info.group_context.to_bytes().unwrap();
        let (epoch, encryption) = intermediate.epoch(SUITE, &context).unwrap().derive(SUITE).unwrap();
        let tree = tree_of(&group_info);
        Self {
            group_info,
            group_secrets: opened.expose().to_vec(),
            joiner_secret,
            context,
            epoch,
            encryption: encryption.secret().expose().to_vec(),
            tree,
            welcome,
        }
    }

    /// The secrets that its Welcome has for whoever joins.
    #[must_use]
    pub fn group_secrets(&self) -> GroupSecrets {
        GroupSecrets::from_bytes(&self.group_secrets).unwrap()
    }

    /// A member's key.
    #[must_use]
    pub fn signer_of(&self, leaf: LeafIndex) -> SoftwareSigner {
        signer(&self.tree.leaf(leaf).unwrap().expect("a member").signature_key)
    }

    fn framed(&self, sender: Sender, content: Content) -> FramedContent {
        FramedContent {
            group_id: self.group_info.group_context.group_id.clone(),
            epoch: self.group_info.group_context.epoch,
            sender,
            authenticated_data: Vec::new(),
            content,
        }
    }

    /// A public message of a member, rightly signed and tagged, but for the confirmation tag.
    #[must_use]
    pub fn public(&self, leaf: LeafIndex, content: Content) -> Vec<u8> {
        self.public_signed_by(&self.signer_of(leaf), leaf, content)
    }

    /// The same signed with some key.
    #[must_use]
    pub fn public_signed_by(&self, signer: &SoftwareSigner, leaf: LeafIndex, content: Content) -> Vec<u8> {
        let tag = matches!(content, Content::Commit(_)).then(|| vec![7; 32]);
        let framed = self.framed(Sender::Member(leaf), content);
        let signed = Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, framed, &self.context).unwrap();
        let signed = signed.complete(tag).unwrap();
        let message = PublicMessage::protect(SUITE, signed, &self.epoch.membership, &self.context).unwrap();
        MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap()
    }

    /// A public message of somebody who joins by it.
    #[must_use]
    pub fn external_commit(&self, signer: &SoftwareSigner, content: Content) -> Vec<u8> {
        let framed = self.framed(Sender::NewMemberCommit, content);
        let signed = Signed::sign(signer, WireFormat::PUBLIC_MESSAGE, framed, &self.context).unwrap();
        let message = PublicMessage::from_outside(signed.complete(Some(vec![7; 32])).unwrap()).unwrap();
        MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap()
    }

    /// The secret tree of the epoch, of which nothing has been used.
    #[must_use]
    pub fn secret_tree(&self) -> SecretTree {
        let root = EncryptionSecret::new(Secret::copy_of(&self.encryption));
        SecretTree::new(SUITE, self.tree.leaf_count(), root).unwrap()
    }

    /// A private message of a member, under a key that is that of the generation if it can be had in one step.
    #[must_use]
    pub fn private(&self, leaf: LeafIndex, content: Content, generation: u32) -> Vec<u8> {
        self.private_signed_by(&self.signer_of(leaf), leaf, content, generation)
    }

    /// The same signed with some key.
    #[must_use]
    pub fn private_signed_by(
        &self,
        signer: &SoftwareSigner,
        leaf: LeafIndex,
        content: Content,
        generation: u32,
    ) -> Vec<u8> {
        let tree = self.secret_tree();
        let (content_type, policy) = (content.content_type(), Policy::default());
        let reachable = if generation > policy.max_forward { 0 } else { generation };
        // Nobody has a key outside the tree: any will do for a message that is refused before it is opened.
        let from = if leaf.number() < self.tree.leaf_count() { leaf } else { LeafIndex::new(0) };
        let (message, _) = tree.open_key(from, content_type, reachable, &policy).unwrap();
        self.private_with_key(signer, leaf, content, (generation, message))
    }

    /// A private message under a key that is given.
    #[must_use]
    pub fn private_with_key(
        &self,
        signer: &SoftwareSigner,
        leaf: LeafIndex,
        content: Content,
        (generation, message): (u32, hushwood::framing::MessageKey),
    ) -> Vec<u8> {
        let tag = matches!(content, Content::Commit(_)).then(|| vec![7; 32]);
        let framed = self.framed(Sender::Member(leaf), content);
        let signed = Signed::sign(signer, WireFormat::PRIVATE_MESSAGE, framed, &self.context).unwrap();
        let keys = SealingKeys { sender_data: &self.epoch.sender_data, generation, message };
        let random = &mut SeededRandom::new(u64::from(generation));
        let message =
            PrivateMessage::protect(SUITE, &signed.complete(tag).unwrap(), keys, Padding::None, random);
        MlsMessage::PrivateMessage(message.unwrap()).to_bytes().unwrap()
    }

    /// A GroupInfo with another tree, signed again.
    #[must_use]
    pub fn group_info_with(&self, change: impl FnOnce(&mut Vec<Option<Node>>)) -> GroupInfo {
        let mut group_info = self.group_info.clone();
        let data = &group_info.extensions.get(ExtensionType::RATCHET_TREE).unwrap().extension_data;
        let mut nodes = Vec::<Option<Node>>::from_bytes(data).unwrap();
        change(&mut nodes);
        let data = nodes.to_bytes().unwrap();
        // What is no tree has no hash either.
        if let Ok(tree) = RatchetTree::from_extension(SUITE, &data, &Policy::default()) {
            group_info.group_context.tree_hash = tree.tree_hash().unwrap().as_bytes().to_vec();
        }
        group_info.extensions.set(ExtensionType::RATCHET_TREE, data);
        self.signed(group_info)
    }

    /// A GroupInfo, signed again.
    #[must_use]
    pub fn signed(&self, mut group_info: GroupInfo) -> GroupInfo {
        let mut tbs = Writer::new();
        tbs.value(&group_info.group_context).value(&group_info.extensions);
        tbs.opaque(&group_info.confirmation_tag).value(&group_info.signer);
        let signer = self.signer_of(self.group_info.signer);
        group_info.signature = sign_with_label(&signer, "GroupInfoTBS", &tbs.finish().unwrap()).unwrap();
        group_info
    }

    /// A Welcome that opens to a GroupInfo, for whoever has this KeyPackage, with these secrets. Entries of nobody go
    /// before its own.
    #[must_use]
    pub fn welcome(
        &self,
        key_package: &[u8],
        group_info: &GroupInfo,
        secrets: &GroupSecrets,
        others: usize,
    ) -> Vec<u8> {
        let joiner = JoinerSecret::new(Secret::copy_of(&self.joiner_secret));
        let key = joiner.with_psk(SUITE, PskSecret::zero(SUITE)).welcome(SUITE).unwrap();
        let sealed_info = key.seal(SUITE, &group_info.to_bytes().unwrap()).unwrap();
        let info = HpkeInfo::new(SUITE, "Welcome", &sealed_info).unwrap();
        let plaintext = secrets.to_bytes().unwrap();
        let (mut ours, key_package) = (self.welcome.secrets[0].clone(), decoded(key_package));
        ours.new_member = key_package.reference(SUITE).unwrap();
        ours.encrypted_group_secrets =
            info.seal(&key_package.init_key, &plaintext, &mut SeededRandom::new(1)).unwrap();
        let mut entries = Vec::with_capacity(others + 1);
        for number in 0..others {
            let mut other = self.welcome.secrets[0].clone();
            let place = other.new_member.0.len() - 8;
            other.new_member.0[place..].copy_from_slice(&number.to_be_bytes());
            other.encrypted_group_secrets.ciphertext.truncate(1);
            entries.push(other);
        }
        entries.push(ours);
        let welcome = Welcome { secrets: entries, encrypted_group_info: sealed_info, ..self.welcome.clone() };
        MlsMessage::Welcome(welcome).to_bytes().unwrap()
    }
}

fn tree_of(group_info: &GroupInfo) -> RatchetTree {
    let data = &group_info.extensions.get(ExtensionType::RATCHET_TREE).unwrap().extension_data;
    RatchetTree::from_extension(SUITE, data, &Policy::default()).unwrap()
}
