//! The two promises, put to the test by a thief.

use serde_json::json;

use crate::commands::demo::stage::Stage;
use crate::commands::demo::thief::{Loot, steal};
use crate::failure::{Class, Failure};
use crate::text;

/// RFC 9420 §16.6: keys that were used are gone, whoever looks for them.
pub(super) fn forward_secrecy(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("Proof of forward secrecy");
    stage.everybody_reads()?;
    let read = stage.wire.len();
    // One message that is still on its way shows that the thief's tools work.
    let message = stage.member("ada")?.say("Ben, are you there?")?;
    stage.post("ada", &message);

    let loot = rob(stage, "ben")?;
    stage.tell("  A thief copies ben's disk and knows his passphrase; the wire was recorded from the start.");
    let all = stage.wire.application_messages(0);
    let old = all.len() - stage.wire.application_messages(read).len();
    let (before, waiting) = all.split_at_checked(old).unwrap_or((&all, &[]));
    let opened = before.iter().filter(|message| loot.open(message).is_some()).count();
    let control = waiting.iter().filter_map(|message| loot.open(message)).collect::<Vec<_>>();
    stage.tell(format!("  {} messages that ben had read or sent: the thief opens {opened}", before.len()));
    stage.tell(format!(
        "  {} that ben had not read yet: the thief opens {} ({})",
        waiting.len(),
        control.len(),
        control.iter().map(|text| format!("“{}”", text::printable(text))).collect::<Vec<_>>().join(", ")
    ));
    let holds = opened == 0 && !before.is_empty() && control.len() == waiting.len() && !waiting.is_empty();
    stage.fact(
        "forward_secrecy",
        json!({
            "holds": holds,
            "read_or_sent": before.len(),
            "opened": opened,
            "not_yet_read": waiting.len(),
            "opened_of_these": control.len(),
        }),
    );
    conclude(stage, "forward secrecy", holds)
}

/// RFC 9420 §16.6: after an update of the victim that the sender has applied, the thief is out.
pub(super) fn post_compromise_security(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("Proof of post-compromise security");
    stage.everybody_reads()?;
    let loot = rob(stage, "ben")?;
    let stolen = stage.wire.len();
    stage.say("ada", "Before ben's update.")?;
    let before = stage.wire.application_messages(stolen);
    let opened_before = before.iter().filter_map(|message| loot.open(message)).count();
    let tried_before = before.len();
    stage.tell(format!(
        "  The thief, with a fresh copy of ben's disk, opens {opened_before} of {tried_before}."
    ));

    let change = stage.commit("ben", Vec::new(), &[])?;
    stage.tell(format!("  ben updates his keys, the others apply it: epoch {}", change.epoch));
    let updated = stage.wire.len();
    stage.say("ada", "After ben's update.")?;
    stage.say("ben", "The thief can't hear us.")?;
    stage.say("gwen", "Good.")?;
    let after = stage.wire.application_messages(updated);
    let opened_after = after.iter().filter_map(|message| loot.open(message)).count();
    let tried_after = after.len();
    stage.tell(format!("  {tried_after} messages after the update: the thief opens {opened_after}"));
    let holds = tried_before > 0 && opened_before == tried_before && tried_after > 0 && opened_after == 0;
    stage.fact(
        "post_compromise_security",
        json!({
            "holds": holds,
            "before_update": tried_before,
            "opened_before": opened_before,
            "after_update": tried_after,
            "opened_after": opened_after,
        }),
    );
    conclude(stage, "post-compromise security", holds)
}

/// Ends the victim's program, copies its disk, and starts it again. The victim notices nothing.
fn rob(stage: &mut Stage, victim: &str) -> Result<Loot, Failure> {
    let copy =
        (1_u8..).map(|number| stage.folder.join(format!("thief-{number}"))).find(|copy| !copy.exists());
    let copy = copy.ok_or_else(|| Failure::refused("too many thieves"))?;
    let member = stage.take(victim)?;
    let member = member.restart(|home| steal(home, &copy))?;
    let loot = Loot::open_home(&copy, member.name)?;
    stage.members.push(member);
    Ok(loot)
}

fn conclude(stage: &Stage, name: &str, holds: bool) -> Result<(), Failure> {
    if !holds {
        return Err(Failure::new(Class::Bug, format!("{name} does not hold")));
    }
    stage.tell(format!("  {} holds.", name[..1].to_uppercase() + &name[1..]));
    Ok(())
}
