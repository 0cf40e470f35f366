//! Events and facts as JSON.

use hushwood_client::{
    Attention, Event, EventKind, Invitation, Invitee, Known, Member, Message, NotTaken, Returning,
};
use serde_json::{Map, Value, json};

use crate::commands::bot::{VERSION, parse};

/// An event as a line.
pub(super) fn to_json(event: &Event) -> Value {
    let (name, facts) = kind(&event.kind);
    let mut object = Map::new();
    object.insert("v".to_owned(), json!(VERSION));
    object.insert("event".to_owned(), json!(name));
    object.insert("cursor".to_owned(), json!(event.number));
    if !event.room.0.is_empty() {
        object.insert("room".to_owned(), json!(event.room.to_string()));
    }
    if let Value::Object(facts) = facts {
        object.extend(facts);
    }
    Value::Object(object)
}

/// The name of an event.
pub(super) fn name(kind: &EventKind) -> &'static str {
    self::kind(kind).0
}

fn kind(kind: &EventKind) -> (&'static str, Value) {
    match kind {
        EventKind::Message(message) => ("message", self::message(message)),
        EventKind::Doubted(message) => ("doubted", self::message(message)),
        EventKind::Sent { id, sequence } => {
            ("sent", json!({ "message": parse::digits(&id.0), "sequence": sequence }))
        }
        EventKind::Invited(invitation) => ("invited", self::invitation(invitation)),
        EventKind::DeviceRevoked { member: who, by } => {
            ("device_revoked", json!({ "member": member(who), "by": member(by) }))
        }
        EventKind::Returning(returning) => ("returning", self::returning(returning)),
        EventKind::Joined { by } => ("joined", json!({ "by": member(by) })),
        EventKind::MemberAdded { member: who, by, first_seen } => {
            ("member_added", json!({ "member": member(who), "by": member(by), "first_seen": first_seen }))
        }
        EventKind::MemberRemoved { member: who, by } => {
            ("member_removed", json!({ "member": member(who), "by": member(by) }))
        }
        EventKind::MemberChanged { member: who } => ("member_changed", json!({ "member": member(who) })),
        EventKind::Removed { by } => ("removed", json!({ "by": member(by) })),
        EventKind::Title { title, by } => ("title", json!({ "title": title, "by": member(by) })),
        EventKind::Gap { from, missing } => {
            ("gap", json!({ "from": from.as_ref().map(member), "missing": missing }))
        }
        EventKind::Fork { with, sequence } => {
            ("fork", json!({ "with": with.as_ref().map(member), "sequence": sequence }))
        }
        EventKind::GroupChanged { by, external_senders } => {
            ("group_changed", json!({ "by": member(by), "external_senders": external_senders }))
        }
        EventKind::OtherHistory { with, sequence } => {
            ("other_history", json!({ "with": member(with), "sequence": sequence }))
        }
        EventKind::NeedsAttention(Attention::KeyChanged(who)) => {
            ("key_changed", json!({ "member": member(who) }))
        }
        EventKind::NeedsAttention(Attention::NewDevice(who)) => {
            ("new_device", json!({ "member": member(who) }))
        }
        EventKind::NeedsAttention(Attention::UnknownKey(who)) => {
            ("unknown_key", json!({ "member": member(who) }))
        }
        EventKind::NeedsAttention(Attention::Invitation(why)) => ("invitation_failed", json!({ "why": why })),
        EventKind::NotTaken { by, why, sequence } => {
            let why = match why {
                NotTaken::Rules => "rules",
                NotTaken::Delivery => "delivery",
                NotTaken::PreSharedKey => "pre-shared key",
                _ => "other",
            };
            ("not_taken", json!({ "by": by.as_ref().map(member), "why": why, "sequence": sequence }))
        }
        EventKind::Ended { by } => ("ended", json!({ "by": member(by) })),
        EventKind::NotDone { intent, why } => ("not_done", json!({ "intent": intent, "why": why })),
        // A later version of the library has more.
        _ => ("other", json!({})),
    }
}

/// Who is in a room that we were to come back to.
fn returning(returning: &Returning) -> Value {
    json!({
        "members": returning.members.iter().map(invitee).collect::<Vec<_>>(),
        "count": returning.count,
        "external_senders": returning.external_senders,
    })
}

fn invitee(one: &Invitee) -> Value {
    json!({
        "person": one.member.person,
        "device": one.member.device.to_string(),
        "trust": trust_name(one.trust),
    })
}

/// An invitation that waits.
pub(super) fn invitation(invitation: &Invitation) -> Value {
    let members = invitation.members.iter().map(invitee);
    json!({
        "invitation": invitation.id.to_string(),
        "by": member(&invitation.by),
        "by_trust": trust_name(invitation.by_trust),
        "members": members.collect::<Vec<_>>(),
        "count": invitation.count,
        "external_senders": invitation.external_senders,
    })
}

/// How well a key is known.
pub(super) fn trust_name(trust: Known) -> &'static str {
    match trust {
        Known::Own => "own",
        Known::Verified => "verified",
        Known::Seen => "first seen",
        Known::Unknown => "unknown",
        Known::Doubted => "doubted",
    }
}

/// Somebody.
pub(super) fn member(member: &Member) -> Value {
    json!({ "person": member.person, "device": member.device.to_string() })
}

/// A message.
pub(super) fn message(message: &Message) -> Value {
    let (name, body) = parse::body(&message.body);
    json!({
        "from": member(&message.from),
        "message": parse::digits(&message.id.0),
        "sent_at": message.sent_at,
        "sequence": message.sequence,
        name: body,
    })
}
