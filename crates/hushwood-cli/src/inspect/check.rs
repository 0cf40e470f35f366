//! What can be said of an object's validity without any key of a group.

use hushwood::error::{Error, Violation};
use hushwood::extension::ExtensionType;
use hushwood::framing::MlsMessage;
use hushwood::key_package::{self, KeyPackage};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafChecks, LeafPlace, RatchetTree};
use hushwood::unverified::Unverified;
use hushwood::welcome::GroupInfo;
use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoError, verify_with_label};

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
        verified.map_err(|_| Violation::KeyPackageSignature.into())
    });
    let whole = key_package::validate(Unverified::new(value.clone()), suite, &policy, now);
    vec![
        Check::new("signature", signature),
        Check::new("signature of the leaf", leaf_checks.signature(leaf, LeafPlace::KeyPackage)),
        Check::new("all of RFC 9420 §10.1, now", whole.map(|_| ())),
    ]
}

/// What a GroupInfo with its tree lets an outsider check (RFC 9420 §12.4.3.1, §12.4.3.3).
fn group_info(value: &GroupInfo) -> Vec<Check> {
    let suite = match suite(value.group_context.cipher_suite) {
        Ok(suite) => suite,
        Err(check) => return vec![check],
    };
    let Some(extension) = value.extensions.get(ExtensionType::RATCHET_TREE) else {
        return vec![Check::open("signature", "the tree with the signer's key is not in it")];
    };
    let policy = Policy::default();
    let tree = match RatchetTree::from_extension(suite, &extension.extension_data, &policy) {
        Ok(tree) => tree,
        Err(error) => return vec![Check::new("ratchet tree", Err(error))],
    };
    vec![
        Check::new("signature", signature(suite, value, &tree)),
        Check::new("ratchet tree, its hash and its parent hashes", tree_checks(value, &tree)),
        Check::new("signatures of the leaves", leaf_signatures(&value.group_context.group_id, &tree)),
    ]
}

fn signature(suite: &dyn CipherSuite, value: &GroupInfo, tree: &RatchetTree) -> Result<(), Error> {
    let mut tbs = Writer::new();
    tbs.value(&value.group_context).value(&value.extensions);
    tbs.opaque(&value.confirmation_tag).value(&value.signer);
    let leaf = tree.leaf(value.signer)?.ok_or(Violation::GroupInfoSigner)?;
    match verify_with_label(suite, &leaf.signature_key, "GroupInfoTBS", &tbs.finish()?, &value.signature) {
        Ok(()) => Ok(()),
        Err(CryptoError::PublicKey) => Err(Violation::SignaturePublicKey.into()),
        Err(_) => Err(Violation::GroupInfoSignature.into()),
    }
}

fn tree_checks(value: &GroupInfo, tree: &RatchetTree) -> Result<(), Error> {
    // RFC 9420 §12.4.3.1, C333: the tree's hash is the one in the group context.
    if tree.tree_hash()?.as_bytes() != value.group_context.tree_hash {
        return Err(Violation::TreeHash.into());
    }
    tree.verify_parent_keys()
}

fn leaf_signatures(group_id: &[u8], tree: &RatchetTree) -> Result<(), Error> {
    let leaves = tree.members().collect::<Result<Vec<_>, _>>()?;
    let leaves: Vec<_> =
        leaves.into_iter().map(|(index, leaf)| (leaf, LeafPlace::Tree(group_id, index))).collect();
    let policy = Policy::default();
    let checks = LeafChecks { suite: tree.suite(), policy: &policy, now: Timestamp(0), sending: false };
    checks.signatures(&leaves, &mut system::OsRandom)
}
