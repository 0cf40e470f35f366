//! What an application allows and how long it keeps things: one object, safe by default.

use hushwood_codec::DecodeLimits;

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
    /// Most proposals of one epoch that are kept (I-5). Default 16,384.
    pub max_pending_proposals: usize,
    /// Most proposals of one sender in one epoch that are kept (I-5). Default 4,096.
    pub max_pending_proposals_of_sender: usize,
    /// Most proposals one commit may cover. Default 131,072.
    pub max_commit_proposals: usize,
    /// Longest application message, before padding, in bytes. Default 16 MiB.
    pub max_message: usize,
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
    /// Longest lifetime of a KeyPackage's leaf, in seconds (C110). Default 84 days and an hour.
    pub max_lifetime: u64,
    /// Lifetime of our own KeyPackages, in seconds. Default 84 days.
    pub lifetime: u64,
    /// Whether a received Add outside its lifetime is refused (C122). Default true.
    pub check_lifetime_on_add: bool,
    /// Whether leaves of a tree being joined are refused outside their lifetime. Default false: a group
    /// may be older than its members' KeyPackages.
    pub check_lifetime_in_tree: bool,
    /// Whether leaves that list default types in their capabilities are refused (C103). Default false.
    pub refuse_listed_defaults: bool,
    /// Whether KeyPackage extensions of types we do not know must be listed in the capabilities (C206).
    /// Default false: known implementations break this duty with values that are ignored anyway.
    pub require_listed_unknown_extensions: bool,
    /// Which external commits are taken (C362). Default [`ExternalCommits::Allowed`].
    pub external_commits: ExternalCommits,
    /// Whether clients may propose their own addition (RFC 9420 §12.1.8). Default true; each is judged.
    pub allow_new_member_proposals: bool,
    /// Whether GREASE values are sent (RFC 9420 §13.5). Default true.
    pub grease: bool,
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
            external_commits: ExternalCommits::Allowed,
            allow_new_member_proposals: true,
            grease: true,
        }
    }
}
