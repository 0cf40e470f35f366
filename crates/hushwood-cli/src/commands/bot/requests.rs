//! What can be asked for, one function for a few of them each.

use hushwood_client::{Core, Done, Error, EventKind, InvitationId, Member, Outcome, RoomId, Standing};
use hushwood_delivery::wire::fold_name;
use serde_json::{Value, json};

use crate::commands::bot::parse::{self, Fields};
use crate::commands::bot::{Go, Session, events};
use crate::failure::Failure;
use crate::identity;
use crate::text;

impl Session {
    /// Does what a line asks for, and gives the facts of the answer.
    pub(super) fn answer(&mut self, fields: &Fields<'_>) -> Result<(Value, Go), Failure> {
        let facts = match fields.text("do")? {
            "quit" => return Ok((json!({}), Go::End)),
            "create" => {
                let room = self.client.create_group(fields.optional_text("title")?.unwrap_or_default())?;
                json!({ "room": room.id().to_string() })
            }
            "ack" => {
                let cursor = fields.required_number("cursor")?;
                let numbers = self.client.with_core(|core| core.events(None))?;
                let numbers = numbers.iter().map(|event| event.number).filter(|number| *number <= cursor);
                self.client.with_core(|core| core.acknowledge(numbers))?;
                json!({})
            }
            "forget" => {
                self.client.room(&fields.room()?)?.forget()?;
                json!({})
            }
            "invite" | "add" | "remove" | "renew" | "leave" | "rejoin" | "title" => self.change(fields)?,
            "send" => self.send(fields)?,
            "rooms" | "members" | "doubts" | "history" | "verify" | "export" | "who" => self.look(fields)?,
            "trust" | "accept_key" | "distrust" => self.decide(fields)?,
            "sync" | "wait" | "join" => self.news(fields)?,
            "invitations" | "accept" | "refuse" => self.invited(fields)?,
            "devices" | "link" | "linked" | "authorize" | "invite_devices" | "revoke" => {
                self.devices(fields)?
            }
            _ => {
                return Err(Failure::usage("\"do\" names nothing that this program can do")
                    .advise("see docs/bot.md; a later version may have it"));
            }
        };
        Ok((facts, Go::On))
    }

    fn change(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        let room = self.client.room(&fields.room()?)?;
        let outcome = match fields.text("do")? {
            "invite" | "add" => room.invite(fields.text("person")?)?,
            "remove" => match fields.device()? {
                _ if fields.optional_text("number")?.is_some() => {
                    let claim = self.claim_with_number(fields)?;
                    room.remove_key(&claim)?
                }
                None => room.remove(fields.text("person")?)?,
                Some(device) => room.remove_device(fields.text("person")?, device)?,
            },
            "renew" => room.renew()?,
            "leave" => room.leave()?,
            "rejoin" => {
                if fields.flag("earlier")? {
                    self.client.with_core(|core| core.take_earlier(room.id()))?;
                }
                room.rejoin()?
            }
            _ => room.set_title(fields.text("title")?)?,
        };
        Ok(outcome_json(&outcome))
    }

    fn send(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        let room = self.client.room(&fields.room()?)?;
        let body = fields.body()?;
        let (id, outcome) = match fields.message()? {
            None => room.send(&body)?,
            Some(id) => (id, room.send_as(id, &body)?),
        };
        let mut facts = outcome_json(&outcome);
        if let Some(object) = facts.as_object_mut() {
            object.insert("message".to_owned(), json!(parse::digits(&id.0)));
        }
        Ok(facts)
    }

    fn look(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        Ok(match fields.text("do")? {
            "who" => {
                let member = self.client.member();
                let claim = self.client.with_core(|core| core.claim());
                let number = identity::number(&claim.credential, &claim.signature_key)?;
                json!({
                    "member": events::member(&member),
                    "number": number.digits(),
                    "words": number.words(),
                })
            }
            "rooms" => {
                let mut rooms = Vec::new();
                for room in self.client.rooms() {
                    let standing = self.client.with_core(|core| core.standing(room.id()))?;
                    rooms.push(json!({
                        "room": room.id().to_string(),
                        "title": room.title()?,
                        "standing": standing_name(standing),
                    }));
                }
                json!({ "rooms": rooms })
            }
            "doubts" => self.doubts()?,
            "members" => {
                let room = fields.room()?;
                let contacts = self.client.with_core(|core| core.contacts(&room))?;
                let members = contacts.iter().map(|contact| {
                    json!({
                        "person": contact.member.person,
                        "device": contact.member.device.to_string(),
                        "trust": events::trust_name(contact.trust),
                        "heard_at": contact.heard_at,
                    })
                });
                json!({ "members": members.collect::<Vec<_>>() })
            }
            "history" => {
                let room = self.client.room(&fields.room()?)?;
                let most = usize::try_from(fields.number("most")?.unwrap_or(100)).unwrap_or(usize::MAX);
                let history = room.history(fields.number("before")?, most)?;
                json!({ "messages": history.iter().map(events::message).collect::<Vec<_>>() })
            }
            "export" => {
                let (room, label) = (fields.room()?, fields.text("label")?);
                let context = match fields.optional_text("context")? {
                    Some(_) => fields.base64("context")?,
                    None => Vec::new(),
                };
                let length = usize::try_from(fields.number("length")?.unwrap_or(32)).unwrap_or(usize::MAX);
                self.client.with_core(|core| {
                    let group = core.group(&room)?;
                    let secret = group.export(label, &context, length)?;
                    Ok::<_, Failure>(json!({ "epoch": group.epoch(), "secret": text::hex(secret.expose()) }))
                })?
            }
            _ => self.verify(&fields.room()?)?,
        })
    }

    fn news(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        match fields.text("do")? {
            "sync" => {
                self.sync()??;
                Ok(json!({}))
            }
            "join" => {
                let time = fields.timeout(30_000)?;
                let wanted = fields.optional_text("room")?.map(|_| fields.room()).transpose()?;
                let person = fields.optional_text("person")?;
                let found = self.wait(time, |session| {
                    let found = session.joined(wanted.as_ref(), person)?;
                    if found.is_none() {
                        session.accept_what_comes(wanted.as_ref(), person)?;
                    }
                    Ok(found)
                })?;
                match found {
                    Some((room, cursor)) => Ok(json!({ "room": room.to_string(), "cursor": cursor })),
                    None => Err(Failure::refused("no invitation has come")
                        .advise("ask to be invited, and wait again")),
                }
            }
            _ => {
                let time = fields.timeout(30_000)?;
                let (name, after) = (fields.optional_text("event")?, fields.number("after")?.unwrap_or(0));
                let room = fields.optional_text("room")?.map(|_| fields.room()).transpose()?;
                let found = self.wait(time, |session| {
                    let events = session.client.with_core(|core| core.events(room.as_ref()))?;
                    let mut events = events.into_iter().filter(|event| event.number > after);
                    Ok(events.find(|event| name.is_none_or(|name| name == events::name(&event.kind))))
                })?;
                match found {
                    Some(event) => Ok(json!({ "cursor": event.number })),
                    None => Err(Failure::refused("nothing of that kind has happened")
                        .advise("wait again; docs/bot.md has the names of events")),
                }
            }
        }
    }

    /// The room that somebody waits to be in, with the event that tells of it if that is not acknowledged: the one that is named, or
    /// the first of which there is one.
    fn joined(
        &self,
        room: Option<&RoomId>,
        person: Option<&str>,
    ) -> Result<Option<(RoomId, Option<u64>)>, Failure> {
        let own = self.client.member();
        let fits = |by: &Member| {
            *by != own && person.is_none_or(|person| fold_name(person) == fold_name(&by.person))
        };
        self.client.with_core(|core| {
            // We may have been removed again.
            let is_in =
                |room: &RoomId| core.standing(room).is_ok_and(|standing| standing != Standing::Removed);
            let events = core.events(room)?;
            let joined = events.into_iter().find_map(|event| match &event.kind {
                EventKind::Joined { by } if fits(by) && is_in(&event.room) => {
                    Some((event.room, Some(event.number)))
                }
                _ => None,
            });
            let named = room.filter(|room| is_in(room)).map(|room| (room.clone(), None));
            Ok(joined.or(named))
        })
    }

    /// Who waits for an invitation has said yes to the next one, into this room and of this person if they are named.
    fn accept_what_comes(&mut self, room: Option<&RoomId>, person: Option<&str>) -> Result<(), Failure> {
        let waiting = self.client.with_core(|core| core.invitations());
        let fits = waiting.into_iter().find(|(to, invitation)| {
            room.is_none_or(|room| room == to)
                && person.is_none_or(|person| fold_name(person) == fold_name(&invitation.by.person))
        });
        match fits {
            // What comes of it is looked at next.
            Some((_, invitation)) => Ok(self.client.accept(invitation.id).or_else(may_wait)?),
            None => Ok(()),
        }
    }

    fn invited(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        match fields.text("do")? {
            "invitations" => {
                let waiting = self.client.with_core(|core| core.invitations()).into_iter();
                let waiting = waiting.map(|(room, invitation)| {
                    let mut facts = events::invitation(&invitation);
                    if let Some(object) = facts.as_object_mut() {
                        object.insert("room".to_owned(), json!(room.to_string()));
                    }
                    facts
                });
                return Ok(json!({ "invitations": waiting.collect::<Vec<_>>() }));
            }
            "accept" => self.client.accept(InvitationId(fields.invitation()?)).or_else(may_wait)?,
            _ => self.client.refuse(InvitationId(fields.invitation()?))?,
        }
        Ok(json!({}))
    }

    fn devices(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        match fields.text("do")? {
            "devices" => {
                let devices = self.client.devices()?.into_iter().map(|own| {
                    json!({
                        "device": own.device.to_string(),
                        "registered_at": own.registered_at,
                        "this": own.is_this,
                        "revoking": own.is_going,
                    })
                });
                Ok(json!({ "devices": devices.collect::<Vec<_>>() }))
            }
            "link" => {
                self.client.with_core(Core::link)?;
                let time = fields.timeout(30_000)?;
                let shown = self.client.link_request(time)?;
                Ok(json!({ "show": base64(&shown) }))
            }
            "authorize" => {
                let shown = fields.base64("show")?;
                let answer = self.client.with_core(|core| core.authorize(&shown))?;
                Ok(json!({ "answer": base64(&answer) }))
            }
            "linked" => {
                let answer = fields.base64("answer")?;
                self.client.with_core(|core| core.linked(&answer))?;
                self.sync()??;
                Ok(json!({}))
            }
            "invite_devices" => {
                self.client.with_core(Core::invite_own_devices)?;
                self.sync()??;
                Ok(json!({}))
            }
            _ => {
                let device = fields.device()?.ok_or_else(|| Failure::usage("\"device\" is missing"))?;
                let outcome = self.client.revoke(device)?;
                // The rooms are asked, too; what can't be done now is done later.
                drop(self.sync()?);
                Ok(outcome_json(&outcome))
            }
        }
    }
}

/// What was decided is stored: if the service can't be asked now, it is done later.
fn may_wait(error: Error) -> Result<(), Error> {
    match error {
        Error::Transport(_) | Error::Refused(_) | Error::BadAnswer(_) => Ok(()),
        other => Err(other),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(bytes)
}

fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Done(Done::Accepted(sequence)) => json!({ "done": true, "sequence": sequence }),
        Outcome::Done(Done::Already | Done::ByService) => json!({ "done": true, "sequence": null }),
        Outcome::Kept { intent, why } => {
            let why = why.clone().map(|error| Failure::from(error).line());
            json!({ "done": false, "intent": intent, "why": why })
        }
    }
}

fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Active => "active",
        Standing::Rejoining => "rejoining",
        Standing::Forked => "forked",
        Standing::Removed => "removed",
        Standing::Ended => "ended",
    }
}
