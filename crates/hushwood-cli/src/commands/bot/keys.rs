//! Whose keys are whose: to compare them, and to say so.

use hushwood::credential::Claim;
use hushwood_client::{Core, Member, RoomId};
use hushwood_delivery::wire::fold_name;
use serde_json::{Value, json};

use crate::commands::bot::parse::Fields;
use crate::commands::bot::{Session, events};
use crate::failure::Failure;
use crate::identity;
use crate::text;
use crate::words::Number;

impl Session {
    /// Keys that somebody has to decide about.
    pub(super) fn doubts(&self) -> Result<Value, Failure> {
        self.client.with_core(|core| {
            let mut doubts = Vec::new();
            for (member, claim) in core.all_doubted() {
                let number = identity::number(&claim.credential, &claim.signature_key)?;
                doubts.push(json!({
                    "person": member.person,
                    "device": member.device.to_string(),
                    "number": number.digits(),
                    "words": number.words(),
                }));
            }
            Ok(json!({ "doubts": doubts }))
        })
    }

    /// What to compare: the number of the epoch, and of each member.
    pub(super) fn verify(&mut self, room: &RoomId) -> Result<Value, Failure> {
        self.client.with_core(|core: &mut Core| {
            let group = core.group(room)?;
            let epoch = group.epoch();
            let authenticator = group.epoch_authenticator()?.to_vec();
            let number = Number::of_epoch(identity::sha512()?, &authenticator)?;
            let mut members = Vec::new();
            for contact in core.contacts(room)? {
                let of_member = identity::number(&contact.claim.credential, &contact.claim.signature_key)?;
                members.push(json!({
                    "person": contact.member.person,
                    "device": contact.member.device.to_string(),
                    "trust": events::trust_name(contact.trust),
                    "number": of_member.digits(),
                    "words": of_member.words(),
                }));
            }
            Ok(json!({
                "epoch": epoch,
                "epoch_authenticator": text::hex(&authenticator),
                "number": number.digits(),
                "words": number.words(),
                "members": members,
            }))
        })
    }

    /// Says whose a key is; also of one that nobody has shown yet.
    pub(super) fn decide(&mut self, fields: &Fields<'_>) -> Result<Value, Failure> {
        let (what, person, number) =
            (fields.text("do")?, fields.text("person")?, fields.optional_text("number")?);
        let shown = self.keys_of(fields)?;
        let claim = match (number, shown.as_slice()) {
            (Some(number), _) => with_number(&shown, number)?,
            (None, _) if what != "accept_key" => return Err(Failure::usage("\"number\" is missing")),
            (None, []) => None,
            (None, [one]) => Some(one.clone()),
            (None, _) => {
                return Err(Failure::refused("several keys were shown under this name")
                    .advise("say which one by its \"number\": `doubts` and `verify` have them"));
            }
        };
        let Some(claim) = claim else {
            if !shown.is_empty() || what == "distrust" {
                return Err(other_number());
            }
            if number.is_some_and(|number| !Number::is_one(number)) {
                return Err(Failure::usage("a number has 60 digits, or 16 words")
                    .advise("`who` tells it to whom it belongs: ask them over another channel"));
            }
            let said = number.unwrap_or_default();
            self.client.with_core(|core| core.expect_key(person, said))?;
            return Ok(json!({ "seen": false }));
        };
        self.client.with_core(|core| match what {
            "accept_key" => Ok::<_, Failure>(core.accept_key(&claim)?),
            "distrust" => Ok(core.distrust(&claim)?),
            _ => Ok(core.trust(&claim)?),
        })?;
        Ok(json!({ "seen": true }))
    }

    /// The key with this number that a person of this name has shown.
    pub(super) fn claim_with_number(&mut self, fields: &Fields<'_>) -> Result<Claim, Failure> {
        let shown = self.keys_of(fields)?;
        with_number(&shown, fields.text("number")?)?.ok_or_else(other_number)
    }

    /// The keys that a person of this name has shown, at this device if one is named.
    fn keys_of(&mut self, fields: &Fields<'_>) -> Result<Vec<Claim>, Failure> {
        let (name, device) = (fold_name(fields.text("person")?), fields.device()?);
        let fits = |member: &Member| {
            fold_name(&member.person) == name && device.is_none_or(|device| device == member.device)
        };
        let rooms: Vec<_> = self.client.rooms().iter().map(|room| room.id().clone()).collect();
        self.client.with_core(|core| {
            let doubted = core.all_doubted().filter(|(member, _)| fits(member));
            let mut claims: Vec<_> = doubted.map(|(_, claim)| claim.clone()).collect();
            for room in &rooms {
                let contacts = core.contacts(room)?;
                claims.extend(contacts.into_iter().filter(|one| fits(&one.member)).map(|one| one.claim));
            }
            let mut different: Vec<Claim> = Vec::new();
            for claim in claims {
                if !different.contains(&claim) {
                    different.push(claim);
                }
            }
            Ok(different)
        })
    }
}

fn with_number(claims: &[Claim], number: &str) -> Result<Option<Claim>, Failure> {
    for claim in claims {
        if identity::number(&claim.credential, &claim.signature_key)?.is(number) {
            return Ok(Some(claim.clone()));
        }
    }
    Ok(None)
}

fn other_number() -> Failure {
    Failure::refused("nobody of this name was seen with this number")
        .advise("compare it again over another channel; if it stays different, it is somebody else")
}
