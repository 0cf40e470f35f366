//! RFC 9420's structures as facts. Field names are the RFC's.

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender, RequiredCapabilities};
use hushwood::framing::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, MlsMessage,
    PrivateMessage, PublicMessage, Sender,
};
use hushwood::key_package::KeyPackage;
use hushwood::policy::Timestamp;
use hushwood::proposal::Proposal;
use hushwood::schedule::{GroupContext, Psk, ResumptionPskUsage};
use hushwood::tree::{Capabilities, LeafNode, LeafNodeSource, Node, NodeIndex, ParentNode, UpdatePath};
use hushwood::welcome::{GroupInfo, Welcome};
use hushwood_codec::Decode;
use hushwood_crypto::HpkePublicKey;

use crate::certificates;
use crate::inspect::fact::Fact;
use crate::text;

pub(crate) fn message(message: &MlsMessage) -> Fact {
    let (name, content) = match message {
        MlsMessage::PublicMessage(message) => ("public_message", public_message(message)),
        MlsMessage::PrivateMessage(message) => ("private_message", private_message(message)),
        MlsMessage::Welcome(message) => ("welcome", welcome(message)),
        MlsMessage::GroupInfo(message) => ("group_info", group_info(message.inspect())),
        MlsMessage::KeyPackage(message) => ("key_package", key_package(message.inspect())),
    };
    Fact::Fields(vec![
        ("version", Fact::word("mls10")),
        ("wire_format", Fact::word(message.wire_format())),
        ("bytes", Fact::encoded_length(message)),
        (name, content),
    ])
}

pub(crate) fn public_message(message: &PublicMessage) -> Fact {
    Fact::Fields(vec![
        ("content", framed_content(&message.content)),
        ("auth", auth_data(&message.auth)),
        ("membership_tag", Fact::optional(message.membership_tag.as_ref(), Fact::bytes)),
    ])
}

pub(crate) fn private_message(message: &PrivateMessage) -> Fact {
    Fact::Fields(vec![
        ("group_id", Fact::bytes(&message.group_id)),
        ("epoch", Fact::Number(message.epoch)),
        ("content_type", Fact::word(content_type(message.content_type))),
        ("authenticated_data", authenticated_data(&message.authenticated_data)),
        ("encrypted_sender_data", Fact::bytes(&message.encrypted_sender_data)),
        ("ciphertext", Fact::bytes(&message.ciphertext)),
    ])
}

pub(crate) fn authenticated_content(content: &AuthenticatedContent) -> Fact {
    Fact::Fields(vec![
        ("wire_format", Fact::word(content.wire_format)),
        ("content", framed_content(&content.content)),
        ("auth", auth_data(&content.auth)),
    ])
}

fn framed_content(content: &FramedContent) -> Fact {
    let (name, body) = match &content.content {
        Content::Application(data) => ("application_data", Fact::Name(data.clone())),
        Content::Proposal(value) => ("proposal", proposal(value)),
        Content::Commit(value) => ("commit", commit(value)),
    };
    Fact::Fields(vec![
        ("group_id", Fact::bytes(&content.group_id)),
        ("epoch", Fact::Number(content.epoch)),
        ("sender", Fact::word(sender(content.sender))),
        ("authenticated_data", authenticated_data(&content.authenticated_data)),
        ("content_type", Fact::word(content_type(content.content.content_type()))),
        (name, body),
    ])
}

fn auth_data(auth: &FramedContentAuthData) -> Fact {
    Fact::Fields(vec![
        ("signature", Fact::bytes(&auth.signature)),
        ("confirmation_tag", Fact::optional(auth.confirmation_tag.as_ref(), Fact::bytes)),
    ])
}

/// The application's own data beside a message: often empty, sometimes text.
fn authenticated_data(data: &[u8]) -> Fact {
    if data.is_empty() { Fact::bytes(data) } else { Fact::Name(data.to_vec()) }
}

fn content_type(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Application => "application",
        ContentType::Proposal => "proposal",
        ContentType::Commit => "commit",
    }
}

fn sender(sender: Sender) -> String {
    match sender {
        Sender::Member(leaf) => format!("member, leaf {leaf}"),
        Sender::External(index) => format!("external sender {index}"),
        Sender::NewMemberProposal => "new member, by proposal".to_owned(),
        Sender::NewMemberCommit => "new member, by commit".to_owned(),
    }
}

pub(crate) fn welcome(welcome: &Welcome) -> Fact {
    let secrets = Fact::list(&welcome.secrets, |secrets| {
        Fact::Fields(vec![
            ("new_member", Fact::bytes(&secrets.new_member.0)),
            ("encrypted_group_secrets", Fact::encoded_length(&secrets.encrypted_group_secrets)),
        ])
    });
    Fact::Fields(vec![
        ("cipher_suite", Fact::word(welcome.cipher_suite)),
        ("secrets", secrets),
        ("encrypted_group_info", Fact::bytes(&welcome.encrypted_group_info)),
    ])
}

pub(crate) fn group_info(info: &GroupInfo) -> Fact {
    Fact::Fields(vec![
        ("group_context", group_context(&info.group_context)),
        ("extensions", extensions(&info.extensions)),
        ("confirmation_tag", Fact::bytes(&info.confirmation_tag)),
        ("signer", Fact::Number(info.signer.number().into())),
        ("signature", Fact::bytes(&info.signature)),
    ])
}

pub(crate) fn group_context(context: &GroupContext) -> Fact {
    Fact::Fields(vec![
        ("version", Fact::word(context.version)),
        ("cipher_suite", Fact::word(context.cipher_suite)),
        ("group_id", Fact::bytes(&context.group_id)),
        ("epoch", Fact::Number(context.epoch)),
        ("tree_hash", Fact::bytes(&context.tree_hash)),
        ("confirmed_transcript_hash", Fact::bytes(&context.confirmed_transcript_hash)),
        ("extensions", extensions(&context.extensions)),
    ])
}

pub(crate) fn key_package(key_package: &KeyPackage) -> Fact {
    Fact::Fields(vec![
        ("version", Fact::word(key_package.version)),
        ("cipher_suite", Fact::word(key_package.cipher_suite)),
        ("init_key", Fact::bytes(&key_package.init_key)),
        ("leaf_node", leaf_node(&key_package.leaf_node)),
        ("extensions", extensions(&key_package.extensions)),
        ("signature", Fact::bytes(&key_package.signature)),
    ])
}

pub(crate) fn leaf_node(leaf: &LeafNode) -> Fact {
    Fact::Fields(vec![
        ("encryption_key", Fact::bytes(&leaf.encryption_key)),
        ("signature_key", Fact::bytes(&leaf.signature_key)),
        ("credential", credential(&leaf.credential)),
        ("capabilities", capabilities(&leaf.capabilities)),
        ("leaf_node_source", leaf_node_source(&leaf.leaf_node_source)),
        ("extensions", extensions(&leaf.extensions)),
        ("signature", Fact::bytes(&leaf.signature)),
    ])
}

fn leaf_node_source(source: &LeafNodeSource) -> Fact {
    let moment = |seconds| Fact::word(text::moment(Timestamp(seconds)));
    match source {
        LeafNodeSource::KeyPackage(lifetime) => Fact::Fields(vec![
            ("source", Fact::word("key_package")),
            ("not_before", moment(lifetime.not_before)),
            ("not_after", moment(lifetime.not_after)),
        ]),
        LeafNodeSource::Update => Fact::Fields(vec![("source", Fact::word("update"))]),
        LeafNodeSource::Commit { parent_hash } => {
            Fact::Fields(vec![("source", Fact::word("commit")), ("parent_hash", Fact::bytes(parent_hash))])
        }
    }
}

fn capabilities(capabilities: &Capabilities) -> Fact {
    Fact::Fields(vec![
        ("versions", Fact::list(&capabilities.versions, |v| code_point(v, v.0))),
        ("cipher_suites", Fact::list(&capabilities.cipher_suites, |v| code_point(v, v.0))),
        ("extensions", Fact::list(&capabilities.extensions, |v| code_point(v, v.0))),
        ("proposals", Fact::list(&capabilities.proposals, |v| code_point(v, v.0))),
        ("credentials", Fact::list(&capabilities.credentials, |v| code_point(v, v.0))),
    ])
}

/// A value of a registry: its name, or its number; GREASE is named as such (RFC 9420 §13.5).
fn code_point(name: impl ToString, value: u16) -> Fact {
    let [high, low] = value.to_be_bytes();
    if high == low && low & 0x0f == 0x0a && low < 0xf0 {
        return Fact::Word(format!("{value:#06x} (GREASE)"));
    }
    Fact::word(name)
}

fn credential(credential: &Credential) -> Fact {
    match credential {
        Credential::Basic { identity } => {
            Fact::Fields(vec![("type", Fact::word("basic")), ("identity", Fact::Name(identity.clone()))])
        }
        Credential::X509 { certificates } => Fact::Fields(vec![
            ("type", Fact::word("x509")),
            ("names", Fact::word(certificates::name(credential))),
            ("certificates", Fact::list(certificates, |certificate| Fact::bytes(&certificate.cert_data))),
        ]),
        Credential::Custom { credential_type, data } => Fact::Fields(vec![
            ("type", code_point(credential_type, credential_type.0)),
            ("data", Fact::Bytes(data.clone())),
        ]),
    }
}

fn extensions(extensions: &Extensions) -> Fact {
    Fact::list(extensions.iter(), |extension| {
        let extension_type = extension.extension_type;
        let content = match extension_content(extension_type, &extension.extension_data) {
            Some(content) => ("content", content),
            None => ("extension_data", Fact::bytes(&extension.extension_data)),
        };
        Fact::Fields(vec![("extension_type", code_point(extension_type, extension_type.0)), content])
    })
}

/// What an extension of a known type says; `None` if its type is not known or it does not hold such.
fn extension_content(extension_type: ExtensionType, data: &[u8]) -> Option<Fact> {
    match extension_type {
        ExtensionType::APPLICATION_ID => Some(Fact::Name(Vec::from_bytes(data).ok()?)),
        ExtensionType::RATCHET_TREE => Some(ratchet_tree(&Vec::from_bytes(data).ok()?)),
        ExtensionType::REQUIRED_CAPABILITIES => {
            let required = RequiredCapabilities::from_bytes(data).ok()?;
            Some(Fact::Fields(vec![
                ("extension_types", Fact::list(required.extension_types, |v| code_point(v, v.0))),
                ("proposal_types", Fact::list(required.proposal_types, |v| code_point(v, v.0))),
                ("credential_types", Fact::list(required.credential_types, |v| code_point(v, v.0))),
            ]))
        }
        ExtensionType::EXTERNAL_PUB => Some(Fact::bytes(HpkePublicKey::from_bytes(data).ok()?)),
        ExtensionType::EXTERNAL_SENDERS => {
            let senders = Vec::<ExternalSender>::from_bytes(data).ok()?;
            Some(Fact::list(&senders, |sender| {
                Fact::Fields(vec![
                    ("signature_key", Fact::bytes(&sender.signature_key)),
                    ("credential", credential(&sender.credential)),
                ])
            }))
        }
        _ => None,
    }
}

pub(crate) fn ratchet_tree(nodes: &[Option<Node>]) -> Fact {
    let leaves = nodes.iter().filter(|node| matches!(node, Some(Node::Leaf(_)))).count();
    let nodes = nodes.iter().zip(0_u32..).map(|(entry, number)| {
        let place = match NodeIndex::new(number).and_then(NodeIndex::leaf) {
            Some(leaf) => format!("node {number}, leaf {leaf}"),
            None => format!("node {number}"),
        };
        Fact::Fields(vec![("place", Fact::Word(place)), ("node", Fact::optional(entry.as_ref(), node))])
    });
    Fact::Fields(vec![
        ("members", Fact::Number(u64::try_from(leaves).unwrap_or(u64::MAX))),
        ("nodes", Fact::List(nodes.collect())),
    ])
}

fn node(node: &Node) -> Fact {
    match node {
        Node::Leaf(leaf) => leaf_node(leaf),
        Node::Parent(parent) => parent_node(parent),
    }
}

fn parent_node(parent: &ParentNode) -> Fact {
    Fact::Fields(vec![
        ("encryption_key", Fact::bytes(&parent.encryption_key)),
        ("parent_hash", Fact::bytes(&parent.parent_hash)),
        ("unmerged_leaves", Fact::list(&parent.unmerged_leaves, |leaf| Fact::Number(leaf.number().into()))),
    ])
}

pub(crate) fn commit(commit: &Commit) -> Fact {
    let proposals = Fact::list(&commit.proposals, |entry| match entry {
        ProposalOrRef::Proposal(value) => Fact::Fields(vec![("proposal", proposal(value))]),
        ProposalOrRef::Reference(reference) => Fact::Fields(vec![("reference", Fact::bytes(&reference.0))]),
    });
    Fact::Fields(vec![("proposals", proposals), ("path", Fact::optional(commit.path.as_ref(), update_path))])
}

fn update_path(path: &UpdatePath) -> Fact {
    let nodes = Fact::list(&path.nodes, |node| {
        Fact::Fields(vec![
            ("encryption_key", Fact::bytes(&node.encryption_key)),
            (
                "encrypted_path_secret",
                Fact::Word(text::count(node.encrypted_path_secret.len(), "ciphertext", "ciphertexts")),
            ),
        ])
    });
    Fact::Fields(vec![("leaf_node", leaf_node(&path.leaf_node)), ("nodes", nodes)])
}

pub(crate) fn proposal(proposal: &Proposal) -> Fact {
    let kind = proposal.proposal_type();
    let content = match proposal {
        Proposal::Add(add) => ("key_package", key_package(&add.key_package)),
        Proposal::Update(update) => ("leaf_node", leaf_node(&update.leaf_node)),
        Proposal::Remove(remove) => ("removed", Fact::Number(remove.removed.number().into())),
        Proposal::Psk(value) => ("psk", psk(&value.psk.psk, &value.psk.psk_nonce)),
        Proposal::ReInit(reinit) => (
            "reinit",
            Fact::Fields(vec![
                ("group_id", Fact::bytes(&reinit.group_id)),
                ("version", Fact::word(reinit.version)),
                ("cipher_suite", Fact::word(reinit.cipher_suite)),
                ("extensions", extensions(&reinit.extensions)),
            ]),
        ),
        Proposal::ExternalInit(init) => ("kem_output", Fact::bytes(&init.kem_output)),
        Proposal::GroupContextExtensions(value) => ("extensions", extensions(&value.extensions)),
        Proposal::Custom { data, .. } => ("data", Fact::Bytes(data.clone())),
    };
    Fact::Fields(vec![("proposal_type", code_point(kind, kind.0)), content])
}

fn psk(psk: &Psk, nonce: &[u8]) -> Fact {
    let mut fields = match psk {
        Psk::External { psk_id } => {
            vec![("psktype", Fact::word("external")), ("psk_id", Fact::Name(psk_id.clone()))]
        }
        Psk::Resumption { usage, psk_group_id, psk_epoch } => {
            let usage = match usage {
                ResumptionPskUsage::Application => "application",
                ResumptionPskUsage::Reinit => "reinit",
                ResumptionPskUsage::Branch => "branch",
            };
            vec![
                ("psktype", Fact::word("resumption")),
                ("usage", Fact::word(usage)),
                ("psk_group_id", Fact::bytes(psk_group_id)),
                ("psk_epoch", Fact::Number(*psk_epoch)),
            ]
        }
    };
    fields.push(("psk_nonce", Fact::bytes(nonce)));
    Fact::Fields(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grease_is_named_and_unknown_values_are_numbers() {
        let shown = |value: u16| code_point(ExtensionType(value), value);
        assert_eq!(shown(0x0a0a), Fact::word("0x0a0a (GREASE)"));
        assert_eq!(shown(0xeaea), Fact::word("0xeaea (GREASE)"));
        assert_eq!(shown(0xfafa), Fact::word("0xfafa"));
        assert_eq!(shown(0xf001), Fact::word("0xf001"));
        assert_eq!(shown(4), Fact::word("external_pub"));
    }
}
