//! A group without cryptography, the keys of its epoch, and its messages: where targets begin.

use std::cell::OnceCell;

use hushwood::framing::{
    Content, FramedContent, MlsMessage, PrivateMessage, PublicMessage, SealingKeys, Sender, Signed,
    WireFormat,
};
use hushwood::group::{CommitPlan, LeafUpdate, NewProposal};
use hushwood::policy::Padding;
use hushwood::schedule::{EncryptionSecret, EpochSecrets, GroupContext, JoinerSecret, PskSecret};
use hushwood::secret_tree::SecretTree;
use hushwood::tree::LeafIndex;
use hushwood::welcome::{GroupInfo, GroupSecrets, Welcome};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{
    CipherSuiteId, HpkePrivateKey, Secret, SignaturePrivateKey, SoftwareSigner, decrypt_with_label,
};

use crate::actor::Actor;
use crate::fake_crypto::{PROVIDER, SUITE};
use crate::random::SeededRandom;

pub(super) const SUITE_ID: CipherSuiteId = CipherSuiteId(1);

/// Four members, one of whom has joined just now by `welcome`.
pub(super) struct Scene {
    pub(super) members: Vec<Actor>,
    pub(super) context: GroupContext,
    pub(super) epoch: EpochSecrets,
    pub(super) joiner_secret: Vec<u8>,
    pub(super) group_info: GroupInfo,
    pub(super) group_secrets: Vec<u8>,
    pub(super) welcome: Welcome,
    /// Whoever joins by it: its KeyPackage is in its store, and it has not joined.
    pub(super) joiner: Actor,
    pub(super) joiner_key_package: Vec<u8>,
    /// Messages as members of the group have sent them, of all kinds.
    pub(super) messages: Vec<Vec<u8>>,
    /// Proposals and commits as such.
    pub(super) proposals: Vec<Vec<u8>>,
    pub(super) commits: Vec<Vec<u8>>,
    encryption: Vec<u8>,
}

thread_local! {
    static SCENE: OnceCell<Scene> = const { OnceCell::new() };
}

/// Something with the scene, which is made once.
pub(super) fn with<T>(what: impl FnOnce(&Scene) -> T) -> T {
    SCENE.with(|scene| what(scene.get_or_init(Scene::new)))
}

pub(super) fn actor(name: &str, seed: u64) -> Actor {
    let mut actor = Actor::new(name, PROVIDER, SUITE_ID, seed);
    actor.reload = false;
    actor.keep_psk(b"psk", b"a key of theirs");
    actor
}

impl Scene {
    fn new() -> Self {
        let mut members: Vec<Actor> = (0..3).map(|seed| actor(&format!("member {seed}"), seed)).collect();
        let mut joiner = actor("joiner", 9);
        let key_packages = [members[1].key_package(), members[2].key_package()];
        members[0].create();
        let (_, change) = members[0].invite(&key_packages).unwrap();
        for member in &mut members[1..] {
            member.join(&change.welcomes[0].message, None).unwrap();
        }
        let joiner_key_package = joiner.key_package();
        let (commit, change) = members[0].invite(std::slice::from_ref(&joiner_key_package)).unwrap();
        for member in &mut members[1..] {
            member.receive(&commit).unwrap();
        }
        let MlsMessage::Welcome(welcome) = MlsMessage::from_bytes(&change.welcomes[0].message).unwrap()
        else {
            panic!("not a Welcome");
        };
        let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&joiner_key_package).unwrap() else {
            panic!("not a KeyPackage");
        };
        // In this suite a private key is its public key.
        let key = HpkePrivateKey(Secret::copy_of(&key_package.inspect().init_key.0));
        let sealed = &welcome.secrets[0].encrypted_group_secrets;
        let opened =
            decrypt_with_label(SUITE, &key, "Welcome", &welcome.encrypted_group_info, sealed).unwrap();
        let secrets = GroupSecrets::from_bytes(opened.expose()).unwrap();
        let joiner_secret = secrets.joiner_secret.expose().to_vec();
        let intermediate = JoinerSecret::new(secrets.joiner_secret).with_psk(SUITE, PskSecret::zero(SUITE));
        let group_info =
            intermediate.welcome(SUITE).unwrap().open(SUITE, &welcome.encrypted_group_info).unwrap();
        let group_info = GroupInfo::from_bytes(group_info.expose()).unwrap();
        let context = group_info.group_context.clone();
        let (epoch, encryption) =
            intermediate.epoch(SUITE, &context.to_bytes().unwrap()).unwrap().derive(SUITE).unwrap();
        let mut scene = Self {
            members,
            context,
            epoch,
            joiner_secret,
            group_info,
            group_secrets: opened.expose().to_vec(),
            welcome,
            joiner,
            joiner_key_package,
            messages: Vec::new(),
            proposals: Vec::new(),
            commits: Vec::new(),
            encryption: encryption.secret().expose().to_vec(),
        };
        scene.talk();
        scene
    }

    /// Fills the lists, by a member that keeps what it sent to itself.
    fn talk(&mut self) {
        let new = actor("new", 20).key_package();
        // Nobody speaks while proposals wait (RFC 9420 §12.4).
        self.messages.push(self.members[2].send(b"something said").unwrap());
        for encrypt in [true, false] {
            let sender = &mut self.members[2];
            let mut policy = sender.policy.clone();
            policy.encrypt_handshakes = encrypt;
            let group = sender.group.as_mut().unwrap();
            group.set_policy(policy).unwrap().commit(&mut sender.store).unwrap();
            let add = NewProposal::Add(Box::new(sender.validate(&new).unwrap()));
            let psk = NewProposal::Psk(hushwood::schedule::Psk::External { psk_id: b"psk".to_vec() });
            let extensions = NewProposal::GroupContextExtensions(hushwood::extension::Extensions::new());
            let reinit = NewProposal::ReInit(hushwood::proposal::ReInit {
                group_id: b"next".to_vec(),
                version: hushwood::version::ProtocolVersion::MLS10,
                cipher_suite: SUITE_ID,
                extensions: hushwood::extension::Extensions::new(),
            });
            let remove = NewProposal::Remove(LeafIndex::new(1));
            let update = NewProposal::Update(LeafUpdate::default());
            let several = vec![add.clone(), psk.clone(), extensions.clone(), remove.clone()];
            for proposals in [Vec::new(), several] {
                let answers =
                    sender.answers(&[hushwood::schedule::Psk::External { psk_id: b"psk".to_vec() }]);
                let plan =
                    CommitPlan { proposals, cover: hushwood::group::Cover::None, ..CommitPlan::default() };
                self.messages.push(sender.commit_with(plan, &answers).unwrap().1);
            }
            for proposal in [add, psk, extensions, reinit, remove, update] {
                self.messages.push(sender.propose(proposal).unwrap());
            }
        }
        for message in &self.messages {
            if let Ok(MlsMessage::PublicMessage(message)) = MlsMessage::from_bytes(message) {
                match message.content.content {
                    Content::Proposal(proposal) => self.proposals.push(proposal.to_bytes().unwrap()),
                    Content::Commit(commit) => self.commits.push(commit.to_bytes().unwrap()),
                    Content::Application(_) => {}
                }
            }
        }
        self.messages.push(MlsMessage::Welcome(self.welcome.clone()).to_bytes().unwrap());
        self.messages.push(new);
        self.messages.push(self.members[0].group_info(true));
    }

    /// Any content as a member would send it, with good signature and tags, whatever the content is.
    pub(super) fn forge(&self, leaf: LeafIndex, content: Content, private: bool) -> Option<Vec<u8>> {
        let key = self.members.first()?.group().tree().leaf(leaf).ok()??.signature_key;
        let signer = SoftwareSigner::new(SUITE, SignaturePrivateKey(Secret::copy_of(&key.0))).ok()?;
        let tag = matches!(content, Content::Commit(_)).then(|| vec![7; 32]);
        let framed = FramedContent {
            group_id: self.context.group_id.clone(),
            epoch: self.context.epoch,
            sender: Sender::Member(leaf),
            authenticated_data: Vec::new(),
            content,
        };
        let context = self.context.to_bytes().ok()?;
        let format = if private { WireFormat::PRIVATE_MESSAGE } else { WireFormat::PUBLIC_MESSAGE };
        let signed = Signed::sign(&signer, format, framed, &context).ok()?.complete(tag).ok()?;
        if !private {
            let message = PublicMessage::protect(SUITE, signed, &self.epoch.membership, &context).ok()?;
            return MlsMessage::PublicMessage(Box::new(message)).to_bytes().ok();
        }
        let root = EncryptionSecret::new(Secret::copy_of(&self.encryption));
        let tree = SecretTree::new(SUITE, 4, root).ok()?;
        // The members have sent some messages already: far enough from the first, near enough to be taken.
        let content_type = signed.content().content.content_type();
        let policy = hushwood::policy::Policy::default();
        let (message, _) = tree.open_key(leaf, content_type, 100, &policy).ok()?;
        let keys = SealingKeys { sender_data: &self.epoch.sender_data, generation: 100, message };
        let random = &mut SeededRandom::new(3);
        let message = PrivateMessage::protect(SUITE, &signed, keys, Padding::None, random).ok()?;
        MlsMessage::PrivateMessage(message).to_bytes().ok()
    }
}

/// Valid inputs to begin with.
pub(super) mod seeds {
    use hushwood::commit::Commit;
    use hushwood::credential::{Certificate, Credential};

    use super::{Decode, Encode, MlsMessage, with};

    pub(crate) fn messages() -> Vec<Vec<u8>> {
        with(|scene| scene.messages.clone())
    }

    pub(crate) fn public_messages() -> Vec<Vec<u8>> {
        bare(|message| match message {
            MlsMessage::PublicMessage(message) => message.to_bytes().ok(),
            _ => None,
        })
    }

    pub(crate) fn private_messages() -> Vec<Vec<u8>> {
        bare(|message| match message {
            MlsMessage::PrivateMessage(message) => message.to_bytes().ok(),
            _ => None,
        })
    }

    pub(crate) fn key_packages() -> Vec<Vec<u8>> {
        let mut real = crate::actor::Actor::new("real", hushwood_rustcrypto::PROVIDER, super::SUITE_ID, 5);
        let mut all = bare(|message| match message {
            MlsMessage::KeyPackage(key_package) => key_package.to_bytes().ok(),
            _ => None,
        });
        all.push(real.key_package()[4..].to_vec());
        all
    }

    pub(crate) fn welcomes() -> Vec<Vec<u8>> {
        with(|scene| vec![scene.welcome.to_bytes().unwrap()])
    }

    pub(crate) fn group_infos() -> Vec<Vec<u8>> {
        with(|scene| vec![scene.group_info.to_bytes().unwrap()])
    }

    pub(crate) fn group_secrets() -> Vec<Vec<u8>> {
        with(|scene| vec![scene.group_secrets.clone()])
    }

    pub(crate) fn commits() -> Vec<Vec<u8>> {
        with(|scene| scene.commits.clone())
    }

    pub(crate) fn proposals() -> Vec<Vec<u8>> {
        with(|scene| scene.proposals.clone())
    }

    pub(crate) fn extensions() -> Vec<Vec<u8>> {
        with(|scene| vec![scene.group_info.extensions.to_bytes().unwrap(), vec![0]])
    }

    pub(crate) fn update_paths() -> Vec<Vec<u8>> {
        let path = |commit: &Vec<u8>| Commit::from_bytes(commit).ok()?.path?.to_bytes().ok();
        with(|scene| scene.commits.iter().filter_map(path).collect())
    }

    pub(crate) fn trees() -> Vec<Vec<u8>> {
        with(|scene| {
            let real = crate::mls_vectors::small_trees();
            std::iter::once(scene.members[0].group().ratchet_tree().unwrap()).chain(real).collect()
        })
    }

    pub(crate) fn credentials() -> Vec<Vec<u8>> {
        let certificate = hex::decode(CERTIFICATE).unwrap();
        let x509 = Credential::X509 { certificates: vec![Certificate { cert_data: certificate }] }
            .to_bytes()
            .unwrap();
        let basic = Credential::basic("somebody").to_bytes().unwrap();
        [x509, basic].into_iter().map(|credential| [vec![0], credential].concat()).collect()
    }

    /// Self-signed, of nobody: its private key was thrown away.
    const CERTIFICATE: &str = "308201383081eba00302010202147c1282395aa1d0c3924eb2b2806c085583a1ef0e300506032b65703011310f300d060355\
        04030c066e6f626f64793020170d3236313132343232323934335a180f32313236313033313232323934335a3011310f300d\
        06035504030c066e6f626f6479302a300506032b65700321006228bd12b231fa4d016f1e9f21cf8d722b3d95b51599003065\
        83b8ce0c21a8b4a3533051301d0603551d0e04160414423963902668b8ae5ee3b6332dd1280848375163301f0603551d2304\
        1830168014423963902668b8ae5ee3b6332dd1280848375163300f0603551d130101ff040530030101ff300506032b657003\
        41002601eec1a5c32ba210f135fd20590b73ef74e6c4fd200f123df00b2f67df2c43820c75b8bb432d779645f51ac135acf1\
        ac53d64fa362a9bd6402eb760f012101";

    fn bare(of: impl Fn(MlsMessage) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
        messages().iter().filter_map(|message| of(MlsMessage::from_bytes(message).ok()?)).collect()
    }
}
