//! The pre-shared keys that a message asks for: from the store, or a sentence on which is missing.

use hushwood::commit::Answers;
use hushwood::error::{Error, NotNow};
use hushwood::group::{Group, client};
use hushwood::schedule::{Psk, ResumptionPskUsage};

use crate::events;
use crate::failure::Failure;
use crate::home::Home;
use crate::names;
use crate::room::Room;
use crate::text;

/// The keys of these names.
pub(crate) fn answers(home: &Home, psks: &[Psk]) -> Result<Answers, Failure> {
    psks.iter().try_for_each(|psk| check(home, psk))?;
    Ok(Answers::from_store(&home.store, psks)?)
}

/// Refuses a key that this home does not have.
pub(crate) fn check(home: &Home, psk: &Psk) -> Result<(), Failure> {
    if client::psk(&home.store, psk)?.is_some() {
        return Ok(());
    }
    let missing = Failure::from(Error::from(NotNow::PskMissing)).about(events::psk_name(psk));
    if let Some(room) = behind(home, psk)? {
        return Err(missing.advise(format!(
            "first receive the commits that lead there: `{}` is in epoch {} here",
            room.name,
            room.group.epoch()
        )));
    }
    Err(missing.advise(match psk {
        Psk::External { psk_id } => match std::str::from_utf8(psk_id) {
            Ok(name) if text::name(psk_id) == name => {
                format!(
                    "get it, add it with `hushwood psk add {} FILE`, and try again",
                    text::shell_word(name)
                )
            }
            Ok(_) | Err(_) => "its name can't be typed: ask for one that can".to_owned(),
        },
        Psk::Resumption { usage: ResumptionPskUsage::Application, .. } => {
            "only those who were members then have it, and not for ever: ask for a commit without it"
                .to_owned()
        }
        Psk::Resumption { usage: ResumptionPskUsage::Branch | ResumptionPskUsage::Reinit, .. } => {
            "join with the home that is a member of the old group".to_owned()
        }
    }))
}

/// The group whose key it is, if this home has not come so far in it.
fn behind(home: &Home, psk: &Psk) -> Result<Option<Room>, Failure> {
    let Psk::Resumption { psk_group_id, psk_epoch, .. } = psk else { return Ok(None) };
    let Some(instance) = Group::instance_of(&home.store, psk_group_id)? else { return Ok(None) };
    let Some(name) = names::of(home, instance)? else { return Ok(None) };
    let room = Room::of_instance(home, name, instance)?;
    Ok(Some(room).filter(|room| room.group.epoch() < *psk_epoch))
}
