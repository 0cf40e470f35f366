//! `messages.json`: the syntax of all structures.

use hushwood::commit::Commit;
use hushwood::framing::{ContentType, MlsMessage};
use hushwood::proposal::{Add, ExternalInit, GroupContextExtensions, PreSharedKey, ReInit, Remove, Update};
use hushwood::tree::Node;
use hushwood::welcome::types::GroupSecrets;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::CryptoProvider;
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
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
