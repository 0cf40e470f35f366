//! What an application allows and how long it keeps things: one object, safe by default.

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, DecodeLimits, Encode, Reader, Writer};

use crate::proposal::ProposalType;

/// A point in time: seconds since 1970-01-01T00:00:00Z. The protocol reads no clock; the caller passes it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

/// The settings of one group on one client (RFC 9750 §7).
///
/// Not agreed with other members; what all members must agree on is in the group context.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Limits on whatever is received (C009).
    pub decode: DecodeLimits,
    /// Most members a group may have. Default 131,072.
    pub max_members: u32,
    /// Most proposals of one epoch that are kept (I-5). Default 16,384. Together they may be as long as
    /// `decode.max_bytes`.
    pub max_pending_proposals: usize,
    /// Most proposals of one sender in one epoch that are kept (I-5). Default 4,096. Together they may be a
    /// quarter as long as `decode.max_bytes`.
    pub max_pending_proposals_of_sender: usize,
    /// Most proposals one commit may cover. Default 131,072.
    pub max_commit_proposals: usize,
    /// Longest application message, before padding, in bytes. Default 16 MiB.
    pub max_message: usize,
    /// Most application messages this client encrypts in one epoch (RFC 9420 §15.2, C405). Each has a
    /// key of its own, so this bounds only how many keys an attacker can try at once. Default 2^24.
    pub max_epoch_messages: u32,
    /// How encrypted messages are padded (RFC 9420 §15.1).
    pub padding: Padding,
    /// Whether proposals and commits are encrypted (RFC 9420 §6, C062). Default true.
    pub encrypt_handshakes: bool,
    /// Whether the `ratchet_tree` extension goes into Welcomes and GroupInfos. Default true.
    pub ratchet_tree_extension: bool,
    /// Furthest a sender's ratchet is moved for one message (C191). Default 1,000.
    pub max_forward: u32,
    /// Most skipped keys kept of one sender and content type (C188). Default 1,000.
    pub max_skipped: usize,
    /// Most skipped keys kept in one epoch, of all senders. Default 65,536.
    pub max_skipped_total: usize,
    /// Past epochs whose application messages can still be read (C193). Default 5.
    pub max_past_epochs: usize,
    /// How long a past epoch is kept, in seconds. Default 14 days.
    pub max_past_epoch_age: u64,
    /// Past epochs whose resumption PSK is kept (C178). Default 32.
    pub max_resumption_psks: usize,
    /// Longest lifetime of a KeyPackage's leaf, in seconds (RFC 9420 §7.2, C110). Default 84 days and an hour.
    ///
    /// "Applications MUST define a maximum total lifetime that is acceptable for a LeafNode, and reject any LeafNode
    /// where the total lifetime is longer than this duration." `u64::MAX` takes every one, as for mlspp, whose
    /// KeyPackages never end. What is given up: who steals the keys of an old KeyPackage can be added with it for ever.
    pub max_lifetime: u64,
    /// Lifetime of our own KeyPackages, in seconds. Default 84 days.
    pub lifetime: u64,
    /// Whether a received Add outside its lifetime is refused (C122). Default true.
    pub check_lifetime_on_add: bool,
    /// Whether leaves of a tree being joined are refused outside their lifetime. Default false: a group
    /// may be older than its members' KeyPackages.
    pub check_lifetime_in_tree: bool,
    /// Whether leaves that list default types in their capabilities are refused (RFC 9420 §7.2, C103). Default false.
    ///
    /// The default types of proposals and extensions "MUST NOT be listed", which binds who makes a leaf, and this
    /// client lists none. Nothing says that a receiver is to refuse, and to list them means nothing: OpenMLS does it. What
    /// is given up: a client that breaks this rule is not noticed.
    pub refuse_listed_defaults: bool,
    /// Whether KeyPackage extensions of types we do not know must be listed in the capabilities (RFC 9420 §10, C206).
    /// Default false. Those of types that we know must be listed in any case.
    ///
    /// The types in a KeyPackage "MUST be included" in its leaf's capabilities, and unknown ones "MUST be ignored": mlspp
    /// adds GREASE that it does not list. What is given up: a client that breaks this rule is not noticed.
    pub require_listed_unknown_extensions: bool,
    /// Whether a Welcome is refused in which the nonce of a pre-shared key is not as long as the suite's hash (RFC 9420
    /// §8.4, C171). Default true.
    ///
    /// The nonce "MUST be set to a fresh random value of length `KDF.Nh`", which binds whoever makes the commit. A proposal
    /// with another one is invalid (§12.1.4), and no policy changes that. Who joins sees no proposal, only the list in
    /// the GroupSecrets, and nothing says that it is to be refused: mls-rs, in a Welcome that completes a
    /// reinitialisation, has a nonce as long as the hash of the old suite. What is given up: a short nonce may be that of
    /// another use of the same key, which is then no new input to the key schedule.
    pub check_welcome_psk_nonces: bool,
    /// Which external commits are taken (C362). Default [`ExternalCommits::Allowed`].
    pub external_commits: ExternalCommits,
    /// Whether clients may propose their own addition (RFC 9420 §12.1.8). Default true; each is judged.
    pub allow_new_member_proposals: bool,
    /// Where GREASE values are sent (RFC 9420 §13.5). Default [`Grease::Everywhere`].
    pub grease: Grease,
    /// The application's own proposal types that a commit may cover without a path (RFC 9420 §12.4, C297): those
    /// that change nothing for which keys must change. All members must be set to the same. Default none.
    pub path_optional_proposals: Vec<ProposalType>,
}

/// Where a client sends GREASE: values that nobody supports, so that clients which refuse what they do not know are
/// noticed early (RFC 9420 §13.5, C386).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grease {
    /// In capabilities, and as extensions of leaves, KeyPackages and GroupInfos.
    Everywhere,
    /// In the lists of capabilities only. OpenMLS up to 0.9 refuses a leaf that has an extension of a GREASE type, even
    /// where the capabilities list it: a group with such clients needs this.
    Capabilities,
    /// Nowhere.
    Nowhere,
}

/// Which external commits a group takes (RFC 9420 §12.4.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExternalCommits {
    /// All that are valid.
    Allowed,
    /// Those that remove nobody.
    WithoutResync,
    /// Those that prove knowledge of a pre-shared key.
    WithPsk,
    /// None.
    Refused,
}

/// How encrypted messages are padded (RFC 9420 §15.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Padding {
    /// Not at all: the length of each message shows.
    None,
    /// To the next multiple of this many bytes.
    Block(u32),
    /// Padmé: overhead of at most 12 %, leaking O(log log length) bits of the length.
    Padme,
}

impl Default for Policy {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            decode: DecodeLimits::default(),
            max_members: 1 << 17,
            max_pending_proposals: 1 << 14,
            max_pending_proposals_of_sender: 1 << 12,
            max_commit_proposals: 1 << 17,
            max_message: 16 << 20,
            max_epoch_messages: 1 << 24,
            padding: Padding::Padme,
            encrypt_handshakes: true,
            ratchet_tree_extension: true,
            max_forward: 1000,
            max_skipped: 1000,
            max_skipped_total: 1 << 16,
            max_past_epochs: 5,
            max_past_epoch_age: 14 * DAY,
            max_resumption_psks: 32,
            max_lifetime: 84 * DAY + 60 * 60,
            lifetime: 84 * DAY,
            check_lifetime_on_add: true,
            check_lifetime_in_tree: false,
            refuse_listed_defaults: false,
            require_listed_unknown_extensions: false,
            check_welcome_psk_nonces: true,
            external_commits: ExternalCommits::Allowed,
            allow_new_member_proposals: true,
            grease: Grease::Everywhere,
            path_optional_proposals: Vec::new(),
        }
    }
}

/// For the store: a policy belongs to a group.
impl Encode for Policy {
    fn encode(&self, writer: &mut Writer) {
        fn number(writer: &mut Writer, value: usize) {
            writer.value(&u64::try_from(value).unwrap_or(u64::MAX));
        }
        number(writer, self.decode.max_bytes);
        number(writer, self.decode.max_elements);
        writer.value(&self.decode.max_depth);
        writer.value(&self.max_members);
        number(writer, self.max_pending_proposals);
        number(writer, self.max_pending_proposals_of_sender);
        number(writer, self.max_commit_proposals);
        number(writer, self.max_message);
        writer.value(&self.max_epoch_messages);
        writer.value(&self.padding);
        writer.value(&u8::from(self.encrypt_handshakes));
        writer.value(&u8::from(self.ratchet_tree_extension));
        writer.value(&self.max_forward);
        number(writer, self.max_skipped);
        number(writer, self.max_skipped_total);
        number(writer, self.max_past_epochs);
        writer.value(&self.max_past_epoch_age);
        number(writer, self.max_resumption_psks);
        writer.value(&self.max_lifetime);
        writer.value(&self.lifetime);
        writer.value(&u8::from(self.check_lifetime_on_add));
        writer.value(&u8::from(self.check_lifetime_in_tree));
        writer.value(&u8::from(self.refuse_listed_defaults));
        writer.value(&u8::from(self.require_listed_unknown_extensions));
        writer.value(&u8::from(self.check_welcome_psk_nonces));
        writer.value(&self.external_commits);
        writer.value(&u8::from(self.allow_new_member_proposals));
        writer.value(&self.grease);
        writer.value(&self.path_optional_proposals);
    }
}

impl Decode for Policy {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        fn number(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
            Ok(usize::try_from(u64::decode(reader)?).unwrap_or(usize::MAX))
        }
        Ok(Self {
            decode: DecodeLimits {
                max_bytes: number(reader)?,
                max_elements: number(reader)?,
                max_depth: u8::decode(reader)?,
            },
            max_members: u32::decode(reader)?,
            max_pending_proposals: number(reader)?,
            max_pending_proposals_of_sender: number(reader)?,
            max_commit_proposals: number(reader)?,
            max_message: number(reader)?,
            max_epoch_messages: u32::decode(reader)?,
            padding: Padding::decode(reader)?,
            encrypt_handshakes: u8::decode(reader)? != 0,
            ratchet_tree_extension: u8::decode(reader)? != 0,
            max_forward: u32::decode(reader)?,
            max_skipped: number(reader)?,
            max_skipped_total: number(reader)?,
            max_past_epochs: number(reader)?,
            max_past_epoch_age: u64::decode(reader)?,
            max_resumption_psks: number(reader)?,
            max_lifetime: u64::decode(reader)?,
            lifetime: u64::decode(reader)?,
            check_lifetime_on_add: u8::decode(reader)? != 0,
            check_lifetime_in_tree: u8::decode(reader)? != 0,
            refuse_listed_defaults: u8::decode(reader)? != 0,
            require_listed_unknown_extensions: u8::decode(reader)? != 0,
            check_welcome_psk_nonces: u8::decode(reader)? != 0,
            external_commits: ExternalCommits::decode(reader)?,
            allow_new_member_proposals: u8::decode(reader)? != 0,
            grease: Grease::decode(reader)?,
            path_optional_proposals: Vec::decode(reader)?,
        })
    }
}

impl Encode for ExternalCommits {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[match self {
            Self::Allowed => 1,
            Self::WithoutResync => 2,
            Self::WithPsk => 3,
            Self::Refused => 4,
        }]);
    }
}

impl Decode for ExternalCommits {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Allowed),
            2 => Ok(Self::WithoutResync),
            3 => Ok(Self::WithPsk),
            4 => Ok(Self::Refused),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for Grease {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[match self {
            Self::Nowhere => 0,
            Self::Everywhere => 1,
            Self::Capabilities => 2,
        }]);
    }
}

impl Decode for Grease {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(Self::Nowhere),
            1 => Ok(Self::Everywhere),
            2 => Ok(Self::Capabilities),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for Padding {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::None => writer.raw(&[1]),
            Self::Block(size) => writer.raw(&[2]).value(size),
            Self::Padme => writer.raw(&[3]),
        };
    }
}

impl Decode for Padding {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::None),
            2 => u32::decode(reader).map(Self::Block),
            3 => Ok(Self::Padme),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}
