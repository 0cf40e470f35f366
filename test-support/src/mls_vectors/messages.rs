//! `messages.json`: the syntax of all structures.

use hushwood::commit::Commit;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{
    Content, ContentType, FramedContent, FramedContentAuthData, MlsMessage, PublicMessage, Sender,
};
use hushwood::proposal::{Add, ExternalInit, GroupContextExtensions, PreSharedKey, ReInit, Remove, Update};
use hushwood::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use hushwood::tree::{LeafIndex, Node};
use hushwood::version::ProtocolVersion;
use hushwood::welcome::types::GroupSecrets;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuite, CryptoProvider, Secret};
use serde::{Deserialize, Serialize};

use super::newcomer::Newcomer;
use super::talk::{By, Deed, Talk};
use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    mls_welcome: Hex,
    mls_group_info: Hex,
    mls_key_package: Hex,
    ratchet_tree: Hex,
    group_secrets: Hex,
    add_proposal: Hex,
    update_proposal: Hex,
    remove_proposal: Hex,
    pre_shared_key_proposal: Hex,
    re_init_proposal: Hex,
    external_init_proposal: Hex,
    group_context_extensions_proposal: Hex,
    commit: Hex,
    public_message_application: Hex,
    public_message_proposal: Hex,
    public_message_commit: Hex,
    private_message: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let mut row = Row::new("MLS messages", provider.name);
    let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
    for (index, vector) in vectors.iter().enumerate() {
        vector.run(&mut Checks { row: &mut row, which: index.to_string() });
    }
    row
}

/// Makes a file: for each suite what a conversation has, and what it has not is made up.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("messages", |suite, random| {
        (0..4).map(|_| Vector::generate(generator, suite, random)).collect()
    })
}

impl Vector {
    fn generate(generator: &Generator, suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let members = 2 + random.below(5);
        let mut talk = Talk::new(generator.provider(), suite, (members, false), random);
        let newcomer = Newcomer::new(generator.provider(), suite, random);
        let committer = talk.somebody();
        let deeds = [Deed::Add, Deed::Psk, Deed::Update].map(|deed| (deed, By::Reference));
        let turn = talk.turn(committer, &deeds);
        let (_, change) = talk.tell(&newcomer.key_package, true, false);

        let MlsMessage::PublicMessage(commit) = MlsMessage::from_bytes(&turn.commit).unwrap() else {
            panic!("handshakes are not encrypted");
        };
        let Content::Commit(ref inner) = commit.content.content else { panic!("not a commit") };
        let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&newcomer.key_package.0).unwrap()
        else {
            panic!("not a KeyPackage");
        };
        let key_package = key_package.inspect().clone();
        let leaf_node = key_package.leaf_node.clone();
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType(0xf0a1), random.some_bytes(70));
        let reinit = ReInit {
            group_id: random.some_bytes(40),
            version: ProtocolVersion::MLS10,
            cipher_suite: suite.id(),
            extensions: extensions.clone(),
        };
        let removed = LeafIndex::new(u32::try_from(random.below(1 << 20)).unwrap());
        let tree = talk.tree();
        let actor = &mut talk.actors[0];
        Self {
            mls_welcome: Hex(change.welcomes[0].message.clone()),
            mls_group_info: Hex(actor.group_info(random.below(2) == 0)),
            mls_key_package: newcomer.key_package,
            ratchet_tree: tree,
            group_secrets: encoded(&group_secrets(suite, random)),
            add_proposal: encoded(&Add { key_package }),
            update_proposal: encoded(&Update { leaf_node }),
            remove_proposal: encoded(&Remove { removed }),
            pre_shared_key_proposal: encoded(&PreSharedKey { psk: psk_id(suite, random) }),
            re_init_proposal: encoded(&reinit),
            external_init_proposal: encoded(&ExternalInit { kem_output: random.bytes(32) }),
            group_context_extensions_proposal: encoded(&GroupContextExtensions { extensions }),
            commit: encoded(inner),
            public_message_application: encoded(&public_application(suite, random)),
            public_message_proposal: Hex(turn.proposals[0].clone()),
            private_message: Hex(actor.send(&random.some_bytes(200)).unwrap()),
            public_message_commit: Hex(turn.commit),
        }
    }
}

fn encoded(value: &impl Encode) -> Hex {
    Hex(value.to_bytes().unwrap())
}

fn group_secrets(suite: &dyn CipherSuite, random: &mut SeededRandom) -> GroupSecrets {
    let mut secret = || Secret::new(random.bytes(suite.kdf().length()));
    let (joiner_secret, path_secret) = (secret(), secret());
    let psks = (0..random.below(4)).map(|_| psk_id(suite, random)).collect();
    GroupSecrets { joiner_secret, path_secret: (random.below(2) == 0).then_some(path_secret), psks }
}

fn psk_id(suite: &dyn CipherSuite, random: &mut SeededRandom) -> PreSharedKeyId {
    let psk = match random.below(2) {
        0 => Psk::External { psk_id: random.some_bytes(40) },
        _ => Psk::Resumption {
            usage: ResumptionPskUsage::Branch,
            psk_group_id: random.some_bytes(40),
            psk_epoch: random.number(),
        },
    };
    PreSharedKeyId { psk, psk_nonce: random.bytes(suite.kdf().length()) }
}

/// What nobody may send (RFC 9420 §6.2), though its syntax is good: signature and tag are made up.
fn public_application(suite: &dyn CipherSuite, random: &mut SeededRandom) -> MlsMessage {
    let content = FramedContent {
        group_id: random.some_bytes(40),
        epoch: random.number(),
        sender: Sender::Member(LeafIndex::new(1)),
        authenticated_data: random.some_bytes(40),
        content: Content::Application(random.some_bytes(100)),
    };
    let auth = FramedContentAuthData { signature: random.bytes(64), confirmation_tag: None };
    let membership_tag = Some(random.bytes(suite.hash().length()));
    MlsMessage::PublicMessage(Box::new(PublicMessage { content, auth, membership_tag }))
}

impl Vector {
    fn run(&self, checks: &mut Checks<'_>) {
        is::<Vec<Option<Node>>>(checks, "ratchet_tree", &self.ratchet_tree);
        is::<GroupSecrets>(checks, "group_secrets", &self.group_secrets);
        is::<Add>(checks, "add_proposal", &self.add_proposal);
        is::<Update>(checks, "update_proposal", &self.update_proposal);
        is::<Remove>(checks, "remove_proposal", &self.remove_proposal);
        is::<PreSharedKey>(checks, "pre_shared_key_proposal", &self.pre_shared_key_proposal);
        is::<ReInit>(checks, "re_init_proposal", &self.re_init_proposal);
        is::<ExternalInit>(checks, "external_init_proposal", &self.external_init_proposal);
        let extensions = &self.group_context_extensions_proposal;
        is::<GroupContextExtensions>(checks, "group_context_extensions_proposal", extensions);
        is::<Commit>(checks, "commit", &self.commit);

        for (what, bytes, expected) in [
            ("mls_welcome", &self.mls_welcome, None),
            ("mls_group_info", &self.mls_group_info, None),
            ("mls_key_package", &self.mls_key_package, None),
            ("public_message_application", &self.public_message_application, Some(ContentType::Application)),
            ("public_message_proposal", &self.public_message_proposal, Some(ContentType::Proposal)),
            ("public_message_commit", &self.public_message_commit, Some(ContentType::Commit)),
            ("private_message", &self.private_message, None),
        ] {
            is::<MlsMessage>(checks, what, bytes);
            let content_type = match MlsMessage::from_bytes(&bytes.0) {
                Ok(MlsMessage::PublicMessage(message)) => Some(message.content.content.content_type()),
                _ => None,
            };
            checks.good(what, content_type == expected);
        }
    }
}

/// It decodes, and encodes to what it was.
fn is<T: Decode + Encode>(checks: &mut Checks<'_>, what: &str, bytes: &Hex) {
    let encoded = T::from_bytes(&bytes.0).map(|value| value.to_bytes());
    checks.good(what, encoded.is_ok_and(|encoded| encoded.is_ok_and(|encoded| encoded == bytes.0)));
}
