//! Bytes as structures: what is accepted is encoded as it was, and memory stays in proportion.

use arbitrary::Unstructured;
use hushwood::commit::Commit;
use hushwood::credential::x509::{X509Validator, presented};
use hushwood::credential::{Claim, Credential};
use hushwood::extension::Extensions;
use hushwood::framing::{MlsMessage, PrivateMessage, PublicMessage};
use hushwood::key_package::{KeyPackage, validate};
use hushwood::policy::Policy;
use hushwood::proposal::Proposal;
use hushwood::tree::{LeafNode, Node, RatchetTree, UpdatePath};
use hushwood::unverified::Unverified;
use hushwood::welcome::{GroupInfo, GroupSecrets, Welcome};
use hushwood_codec::{Decode, DecodeLimits, Encode, Reader, Writer};
use hushwood_crypto::{CipherSuiteId, SignaturePublicKey};
use peak_alloc::PeakAlloc;

use super::mutation::below;
use crate::actor::NOW;

/// Counts the heap in use. Who calls targets and wants it watched makes it the global allocator; where it is not,
/// nothing is found.
pub static HEAP: PeakAlloc = PeakAlloc;

/// What an input may take for each of its bytes, and in any case.
const PER_BYTE: usize = 8;
const ANYHOW: usize = 1 << 20;

fn canonical<T: Decode + Encode>(data: &[u8]) -> Option<T> {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let value = T::from_bytes(data);
    let taken = HEAP.peak_usage().saturating_sub(before);
    assert!(taken <= PER_BYTE * data.len() + ANYHOW, "{taken} bytes for {}", data.len());
    let value = value.ok()?;
    assert_eq!(value.to_bytes().expect("what was decoded can be encoded"), data);
    Some(value)
}

pub(super) fn mls_message(data: &[u8]) {
    canonical::<MlsMessage>(data);
}

pub(super) fn public_message(data: &[u8]) {
    canonical::<PublicMessage>(data);
}

pub(super) fn private_message(data: &[u8]) {
    canonical::<PrivateMessage>(data);
}

pub(super) fn welcome(data: &[u8]) {
    canonical::<Welcome>(data);
}

pub(super) fn group_info(data: &[u8]) {
    canonical::<GroupInfo>(data);
}

pub(super) fn group_secrets(data: &[u8]) {
    canonical::<GroupSecrets>(data);
}

pub(super) fn commit(data: &[u8]) {
    canonical::<Commit>(data);
}

pub(super) fn proposal(data: &[u8]) {
    canonical::<Proposal>(data);
}

pub(super) fn update_path(data: &[u8]) {
    canonical::<UpdatePath>(data);
}

pub(super) fn key_package(data: &[u8]) {
    if let Some(key_package) = canonical::<Unverified<KeyPackage>>(data) {
        let suite = hushwood_rustcrypto::PROVIDER.suite(key_package.inspect().cipher_suite);
        if let Some(suite) = suite {
            _ = validate(key_package, suite, &Policy::default(), NOW);
        }
    }
}

pub(super) fn extensions(data: &[u8]) {
    if let Some(extensions) = canonical::<Extensions>(data) {
        _ = extensions.required_capabilities();
        _ = extensions.external_senders();
        _ = extensions.external_pub();
    }
}

pub(super) fn ratchet_tree(data: &[u8]) {
    canonical::<Vec<Option<Node>>>(data);
    let suite = hushwood_rustcrypto::PROVIDER.suites[0];
    if let Ok(tree) = RatchetTree::from_extension(suite, data, &Policy::default()) {
        assert_eq!(tree.to_extension().expect("what was decoded can be encoded"), data);
        _ = tree.verify_parent_keys();
        _ = tree.verify_parent_hashes();
        assert!(tree.members().all(|member| member.is_ok()));
    }
}

/// The first byte says for how long a key is, then the key; the rest is a credential.
pub(super) fn credential_x509(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (key, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    let Some(credential) = canonical::<Credential>(rest) else { return };
    _ = presented(&credential);
    let anchor = match &credential {
        Credential::X509 { certificates } => {
            certificates.last().map(|last| last.cert_data.clone()).unwrap_or_default()
        }
        Credential::Basic { .. } | Credential::Custom { .. } => Vec::new(),
    };
    let anchors: &[&[u8]] = if anchor.is_empty() { &[] } else { &[&anchor] };
    if let Ok(validator) = X509Validator::new(&hushwood_rustcrypto::PROVIDER, anchors) {
        let claim = Claim { credential, signature_key: SignaturePublicKey(key.to_vec()) };
        _ = validator.validate(&claim, NOW);
    }
}

/// Any type, any limits, and what the writer makes of the reader's parts.
pub(super) fn roundtrip_canonical(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 8 {
        0 => _ = canonical::<Credential>(rest),
        1 => _ = canonical::<LeafNode>(rest),
        2 => _ = canonical::<Vec<Vec<u8>>>(rest),
        3 => _ = canonical::<Vec<Option<Vec<u8>>>>(rest),
        4 => _ = canonical::<Vec<u16>>(rest),
        5 => _ = canonical::<CipherSuiteId>(rest),
        6 => parts(rest),
        _ => limits(rest),
    }
}

/// What is written is read.
fn parts(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let mut writer = Writer::new();
    let mut written = Vec::new();
    while !choices.is_empty() {
        let length = below(&mut choices, 300);
        let bytes = choices.bytes(length.min(choices.len())).unwrap_or_default().to_vec();
        writer.opaque(&bytes);
        written.push(bytes);
    }
    let encoded = writer.finish().expect("it is short");
    let mut reader = Reader::new(&encoded, DecodeLimits::default()).expect("it is short");
    for bytes in written {
        assert_eq!(reader.opaque(), Ok(bytes.as_slice()));
    }
    assert_eq!(reader.finish(), Ok(()));
}

/// Tighter limits refuse and change nothing else.
fn limits(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let limits = DecodeLimits {
        max_bytes: below(&mut choices, 5000),
        max_elements: below(&mut choices, 50),
        max_depth: u8::try_from(below(&mut choices, 8)).expect("below 8"),
    };
    let rest = choices.take_rest();
    if let Ok(message) = MlsMessage::from_bytes_with(rest, limits) {
        assert!(rest.len() <= limits.max_bytes);
        assert_eq!(MlsMessage::from_bytes(rest).as_ref(), Ok(&message));
    }
}
