//! What can be said of an object's validity without any key of a group.

use hushwood::error::Error;
use hushwood::extension::ExtensionType;
use hushwood::framing::MlsMessage;
use hushwood::key_package::{self, KeyPackage};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafChecks, LeafIndex, LeafNode, LeafNodeSource, LeafPlace, Node, NodeIndex};
use hushwood::unverified::Unverified;
use hushwood::welcome::GroupInfo;
use hushwood_codec::{Decode, Writer};
use hushwood_crypto::{CipherSuite, CipherSuiteId, verify_with_label};

use crate::failure::Failure;
use crate::inspect::fact::Fact;
use crate::inspect::object::Object;
use crate::system;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    what: &'static str,
    result: Verdict,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Valid,
    Invalid(Failure),
    /// Nobody can tell from the object alone, and why.
    Open(&'static str),
}

impl Check {
    fn new(what: &'static str, result: Result<(), Error>) -> Self {
        let result = match result {
            Ok(()) => Verdict::Valid,
            Err(error) => Verdict::Invalid(error.into()),
        };
        Self { what, result }
    }

    fn open(what: &'static str, why: &'static str) -> Self {
        Self { what, result: Verdict::Open(why) }
    }

    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self.result, Verdict::Invalid(_))
    }

    pub(crate) fn fact(&self) -> Fact {
        let (result, reason, rows) = match &self.result {
            Verdict::Valid => ("valid", Fact::Absent, &[][..]),
            Verdict::Invalid(failure) => ("invalid", Fact::word(failure.message()), failure.rows()),
            Verdict::Open(why) => ("open", Fact::word(why), &[][..]),
        };
        Fact::Fields(vec![
            ("what", Fact::word(self.what)),
            ("result", Fact::word(result)),
            ("reason", reason),
            ("rows", Fact::words(rows)),
        ])
    }

    pub(crate) fn line(&self) -> String {
        match &self.result {
            Verdict::Valid => format!("  {}: valid", self.what),
            Verdict::Invalid(failure) => format!("  {}: INVALID: {}", self.what, failure.sentence()),
            Verdict::Open(why) => format!("  {}: can't be told: {why}", self.what),
        }
    }
}

const NEEDS_GROUP: &str = "it takes the keys of the group's members";

/// The checks that an object allows.
pub(crate) fn checks(object: &Object, now: Timestamp) -> Vec<Check> {
    match object {
        Object::Message(MlsMessage::KeyPackage(value)) => key_package(value.inspect(), now),
        Object::Message(MlsMessage::GroupInfo(value)) => group_info(value.inspect()),
        Object::KeyPackage(value) => key_package(value, now),
        Object::GroupInfo(value) => group_info(value),
        Object::Message(MlsMessage::PublicMessage(_))
        | Object::PublicMessage(_)
        | Object::AuthenticatedContent(_) => {
            vec![Check::open("signature", NEEDS_GROUP)]
        }
        Object::Message(MlsMessage::PrivateMessage(_)) | Object::PrivateMessage(_) => {
            vec![Check::open("content", "it is encrypted to the group's members")]
        }
        Object::Message(MlsMessage::Welcome(_)) | Object::Welcome(_) => {
            vec![Check::open("content", "it is encrypted to the joiners")]
        }
        Object::LeafNode(_)
        | Object::RatchetTree(_)
        | Object::Commit(_)
        | Object::Proposal(_)
        | Object::GroupContext(_) => Vec::new(),
    }
}

fn suite(id: CipherSuiteId) -> Result<&'static dyn CipherSuite, Check> {
    let why = "this program does not have its cipher suite";
    system::PROVIDER.suite(id).ok_or_else(|| Check::open("signature", why))
}

/// RFC 9420 §10.1, whole.
fn key_package(value: &KeyPackage, now: Timestamp) -> Vec<Check> {
    let suite = match suite(value.cipher_suite) {
        Ok(suite) => suite,
        Err(check) => return vec![check],
    };
    let policy = Policy::default();
    let leaf_checks = LeafChecks { suite, policy: &policy, now, sending: true };
    let leaf = &value.leaf_node;
    let mut tbs = Writer::new();
    tbs.value(&value.version)
        .value(&value.cipher_suite)
        .value(&value.init_key)
        .value(leaf)
        .value(&value.extensions);
    let signature = tbs.finish().map_err(Error::from).and_then(|tbs| {
        let verified = verify_with_label(suite, &leaf.signature_key, "KeyPackageTBS", &tbs, &value.signature);
        verified.map_err(|_| hushwood::error::Violation::KeyPackageSignature.into())
    });
    let whole = key_package::validate(Unverified::new(value.clone()), suite, &policy, now);
    vec![
        Check::new("signature", signature),
        Check::new("signature of the leaf", leaf_checks.signature(leaf, LeafPlace::KeyPackage)),
        Check::new("all of RFC 9420 §10.1, now", whole.map(|_| ())),
    ]
}

/// What a GroupInfo with its tree lets an outsider check (RFC 9420 §12.4.3.1, §12.4.3.2).
fn group_info(value: &GroupInfo) -> Vec<Check> {
    let suite = match suite(value.group_context.cipher_suite) {
        Ok(suite) => suite,
        Err(check) => return vec![check],
    };
    let why = "the tree with the signer's key is not in it";
    let Some(extension) = value.extensions.get(ExtensionType::RATCHET_TREE) else {
        return vec![Check::open("signature", why)];
    };
    let Ok(nodes) = Vec::<Option<Node>>::from_bytes(&extension.extension_data) else {
        return vec![Check::new("ratchet tree", Err(hushwood::error::Violation::TreeShape.into()))];
    };
    let mut tbs = Writer::new();
    tbs.value(&value.group_context).value(&value.extensions);
    tbs.opaque(&value.confirmation_tag).value(&value.signer);
    let signature = tbs.finish().map_err(Error::from).and_then(|tbs| {
        let leaf = leaf_at(&nodes, value.signer).ok_or(hushwood::error::Violation::GroupInfoSigner)?;
        let verified = verify_with_label(suite, &leaf.signature_key, "GroupInfoTBS", &tbs, &value.signature);
        verified.map_err(|_| hushwood::error::Violation::GroupInfoSignature.into())
    });
    vec![
        Check::new("signature", signature),
        Check::new("signatures of the leaves", leaf_signatures(suite, &value.group_context.group_id, &nodes)),
    ]
}

fn leaf_at(nodes: &[Option<Node>], index: LeafIndex) -> Option<&LeafNode> {
    let position = usize::try_from(index.node()?.number()).ok()?;
    match nodes.get(position)? {
        Some(Node::Leaf(leaf)) => Some(leaf),
        Some(Node::Parent(_)) | None => None,
    }
}

fn leaf_signatures(suite: &dyn CipherSuite, group_id: &[u8], nodes: &[Option<Node>]) -> Result<(), Error> {
    let leaves: Vec<_> = nodes
        .iter()
        .zip(0_u32..)
        .filter_map(|(node, number)| match node {
            Some(Node::Leaf(leaf)) => Some((leaf, NodeIndex::new(number)?.leaf()?)),
            Some(Node::Parent(_)) | None => None,
        })
        .map(|(leaf, index)| match leaf.leaf_node_source {
            LeafNodeSource::KeyPackage(_) => (leaf, LeafPlace::KeyPackage),
            LeafNodeSource::Update | LeafNodeSource::Commit { .. } => {
                (leaf, LeafPlace::Tree(group_id, index))
            }
        })
        .collect();
    let policy = Policy::default();
    let checks = LeafChecks { suite, policy: &policy, now: Timestamp(0), sending: false };
    checks.signatures(&leaves, &mut system::OsRandom)
}
