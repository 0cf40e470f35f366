//! Application messages, sent and read, in order and out of order, early and late.

use crate::ME;
use crate::command::{Bytes, Plan, Settings, What};
use crate::failure::{Failure, Kind};
use crate::world::World;

type Done = Result<(), Failure>;

pub(super) fn first_message_sent(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    w.say("the first one")
}

pub(super) fn later_messages_sent(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.say("the first one")?;
    w.begin();
    for number in 2..6 {
        w.say(&format!("number {number}"))?;
    }
    Ok(())
}

pub(super) fn sent_and_not_acknowledged(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let texts = ["one", "two", "three"];
    let mut sent = Vec::new();
    for text in texts {
        sent.push(w.said(ME, text)?);
    }
    // The outbox has the same bytes, and so does whoever gets them again.
    let outbox: Vec<Bytes> = w.group_of(ME).outbox.iter().map(|(_, message)| message.clone()).collect();
    if !sent.iter().all(|message| outbox.contains(message)) {
        return Err(Failure::new(Kind::Lost, "a message of the outbox"));
    }
    for (message, text) in sent.iter().zip(texts) {
        for other in w.others() {
            w.read_by(&other, ME, message, text)?;
        }
    }
    w.acknowledge(ME)
}

pub(super) fn first_message_read(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    w.hear("bob", "the first one")?;
    w.hear("carol", "my first one")
}

pub(super) fn later_messages_read(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.hear("bob", "the first one")?;
    w.begin();
    for number in 2..6 {
        w.hear("bob", &format!("number {number}"))?;
    }
    Ok(())
}

pub(super) fn read_and_not_acknowledged(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    for text in ["one", "two", "three"] {
        let message = w.said("bob", text)?;
        w.read_by(ME, "bob", &message, text)?;
        w.read_by("carol", "bob", &message, text)?;
        // It is in the inbox; it does not open a second time.
        w.refused(What::Receive(w.group.clone(), message))?;
    }
    w.acknowledge(ME)
}

/// Messages that somebody has sent, in this order.
fn several(w: &mut World<'_>, from: &str, count: usize) -> Result<Vec<(Bytes, String)>, Failure> {
    (0..count)
        .map(|number| {
            let text = format!("{from} {number}");
            let message = w.said(from, &text)?;
            for other in w.others() {
                if other != from {
                    w.read_by(&other, from, &message, &text)?;
                }
            }
            Ok((message, text))
        })
        .collect()
}

pub(super) fn out_of_order(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let messages = several(w, "bob", 6)?;
    w.begin();
    for place in [2, 0, 5, 1, 4] {
        let (message, text) = &messages[place];
        w.read_by(ME, "bob", message, text)?;
    }
    // One never comes in this epoch, and comes in the next.
    let (commit, _) = w.commit("bob", Plan::default())?;
    w.all_others_get("bob", &commit)?;
    w.get(&commit)?;
    w.read_by(ME, "bob", &messages[3].0, &messages[3].1)?;
    w.refused(What::Receive(w.group.clone(), messages[3].0.clone()))?;
    w.acknowledge(ME)
}

pub(super) fn of_past_epochs(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let mut late = Vec::new();
    let mut commits = Vec::new();
    for _ in 0..3 {
        late.extend(several(w, "carol", 1)?);
        let (commit, _) = w.commit("bob", Plan::default())?;
        w.all_others_get("bob", &commit)?;
        commits.push(commit);
    }
    w.begin();
    for commit in &commits {
        w.get(commit)?;
    }
    for (message, text) in late.iter().rev() {
        w.read_by(ME, "carol", message, text)?;
    }
    w.acknowledge(ME)
}

pub(super) fn past_epochs_expire(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let settings = Settings { past_epochs: 2, past_age: 3600, ..Settings::default() };
    w.me(What::Policy(w.group.clone(), settings))?;
    let late = several(w, "bob", 3)?;
    w.begin();
    w.read_by(ME, "bob", &late[0].0, &late[0].1)?;
    for number in 0..3 {
        let (commit, _) = w.commit("bob", Plan::default())?;
        w.all_others_get("bob", &commit)?;
        w.get(&commit)?;
        if number == 0 {
            w.read_by(ME, "bob", &late[1].0, &late[1].1)?;
        }
        w.now += 1000;
    }
    // Three epochs later the keys are gone, by number; and later those of all, by age.
    w.refused(What::Receive(w.group.clone(), late[2].0.clone()))?;
    w.now += 10_000;
    let (commit, _) = w.commit("carol", Plan::default())?;
    w.all_others_get("carol", &commit)?;
    w.get(&commit)?;
    w.me(What::Checkpoint)?;
    w.acknowledge(ME)
}

pub(super) fn policy_changed(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let settings = Settings { past_epochs: 1, encrypt_handshakes: false, ..Settings::default() };
    w.me(What::Policy(w.group.clone(), settings))?;
    w.say("another policy")?;
    w.me(What::Policy(w.group.clone(), Settings::default()))?;
    w.hear("bob", "as before")
}

pub(super) fn caught_up_in_batches(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let messages = several(w, "bob", 8)?;
    w.begin();
    for part in messages.chunks(4) {
        let batch = part.iter().map(|(message, _)| message.clone()).collect();
        let seen = w.me(What::Batch(w.group.clone(), batch))?;
        for (_, text) in part {
            if !seen.read.iter().any(|read| read.text == text.as_str().into()) {
                return Err(Failure::new(Kind::Lost, format!("{text} of a batch")));
            }
        }
        w.acknowledge(ME)?;
    }
    w.say("I have read them all")
}

pub(super) fn commits_in_a_batch(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    let mut commits = Vec::new();
    for name in ["bob", "carol", "bob"] {
        let (commit, _) = w.commit(name, Plan::default())?;
        w.all_others_get(name, &commit)?;
        commits.push(commit);
    }
    w.begin();
    w.me(What::Batch(w.group.clone(), commits))?;
    w.say("here I am again")
}

pub(super) fn a_long_message(w: &mut World<'_>) -> Done {
    w.gather(&["bob"], &Settings::default())?;
    w.begin();
    w.say(&"all work and no play ".repeat(1200))?;
    w.hear("bob", &"makes jack a dull boy ".repeat(1200))
}

/// A bit of everything, in an order that the seed says.
pub(super) fn a_conversation(w: &mut World<'_>) -> Done {
    w.gather(&["bob", "carol"], &Settings::default())?;
    w.begin();
    let mut random = w.seed ^ 0x5eed;
    for number in 0..12 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let text = format!("number {number}");
        match random >> 60 {
            0..4 => w.say(&text)?,
            4..9 => w.hear(if random >> 59 & 1 == 0 { "bob" } else { "carol" }, &text)?,
            9..11 => {
                let (commit, _) = w.commit(ME, Plan { data: text.as_str().into(), ..Plan::default() })?;
                w.all_others_get(ME, &commit)?;
                w.acknowledge(ME)?;
            }
            11..13 => {
                let (commit, _) = w.commit("bob", Plan::default())?;
                w.all_others_get("bob", &commit)?;
                w.get(&commit)?;
            }
            _ => {
                let seen = w.me(What::Commit(w.group.clone(), Plan::default()))?;
                w.me(What::Discard(w.group.clone(), seen.sent[0].0.clone()))?;
            }
        }
    }
    Ok(())
}
