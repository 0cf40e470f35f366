//! What happens, act by act.

use hushwood::group::{NewProposal, Status};
use hushwood_crypto::CipherSuite;
use serde_json::json;

use crate::commands::demo::member::Heard;
use crate::commands::demo::proofs;
use crate::commands::demo::stage::Stage;
use crate::failure::Failure;
use crate::identity;
use crate::session;
use crate::suite_arg::SuiteArg;
use crate::text;
use crate::words::Number;

pub(super) const NAMES: [&str; 7] = ["ada", "ben", "cleo", "dan", "edith", "finn", "gwen"];

pub(super) fn play(stage: &mut Stage) -> Result<(), Failure> {
    let suite = session::suite(crate::suite_arg::DEFAULT.parse::<SuiteArg>().map_err(Failure::usage)?.0)?;
    homes(stage, suite)?;
    group(stage, suite)?;
    talk(stage)?;
    out_of_order(stage)?;
    changes(stage, suite)?;
    catching_up(stage)?;
    agreement(stage)?;
    eavesdropper(stage);
    proofs::forward_secrecy(stage)?;
    proofs::post_compromise_security(stage)
}

fn homes(stage: &mut Stage, suite: &dyn CipherSuite) -> Result<(), Failure> {
    stage.act("Seven members");
    NAMES.iter().try_for_each(|name| stage.enter(name))?;
    stage.tell(format!("  {}", NAMES.join(", ")));
    stage.tell(format!(
        "  each with a home of their own, sealed under a passphrase, in {}",
        stage.folder.display()
    ));
    stage.tell(format!("  cipher suite {}", suite.id()));
    Ok(())
}

fn group(stage: &mut Stage, suite: &'static dyn CipherSuite) -> Result<(), Failure> {
    stage.act("A group");
    stage.member("ada")?.create(suite)?;
    let invited = ["ben", "cleo", "dan", "edith"];
    let mut proposals = Vec::new();
    for name in invited {
        proposals.push(NewProposal::Add(Box::new(stage.member(name)?.key_package(suite)?)));
    }
    let change = stage.commit("ada", proposals, &invited)?;
    stage.tell(format!("  ada creates it and invites {}; one Welcome for all", invited.join(", ")));
    stage.tell(format!("  epoch {}", change.epoch));
    Ok(())
}

fn talk(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("They talk");
    stage.say("ada", "The kettle is on.")?;
    stage.say("ben", "Two minutes.")?;
    stage.say("cleo", "Milk, anybody?")?;
    stage.say("dan", "Always.")?;
    stage.say("edith", "I bring the cake.")
}

fn out_of_order(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("Messages come out of order");
    for words in ["First the pot,", "then the tea,", "then the water."] {
        let message = stage.member("cleo")?.say(words)?;
        stage.post("cleo", &message);
    }
    let mailbox = &mut stage.member("dan")?.mailbox;
    mailbox.rotate_right(1);
    stage.tell("  cleo sends three; to dan the third comes first");
    for heard in stage.read("dan")? {
        if let Heard::Said { from, text } = heard {
            stage.tell(format!("    dan read from {from}: {text}"));
        }
    }
    let others = stage.everybody_reads()?;
    stage.tell_readers(&others);
    Ok(())
}

fn changes(stage: &mut Stage, suite: &'static dyn CipherSuite) -> Result<(), Failure> {
    stage.act("Members come, go, and change their keys, while edith is offline");
    stage.member("edith")?.online = false;

    let package = stage.member("finn")?.key_package(suite)?;
    let change = stage.commit("dan", vec![NewProposal::Add(Box::new(package))], &["finn"])?;
    stage.tell(format!("  dan adds finn: epoch {}", change.epoch));
    stage.say("finn", "Is there any cake left?")?;

    let change = stage.commit("ben", Vec::new(), &[])?;
    stage.tell(format!("  ben updates his keys: epoch {}", change.epoch));

    let cleo = stage.member("cleo")?.group()?.own_leaf();
    let change = stage.commit("ada", vec![NewProposal::Remove(cleo)], &[])?;
    let removed = matches!(stage.member("cleo")?.group()?.status(), Status::Removed);
    if !removed {
        return Err(Failure::refused("cleo has not noticed that she was removed"));
    }
    stage.tell(format!("  ada removes cleo: epoch {}", change.epoch));

    let message = stage.member("ada")?.say("Now that cleo is gone: her present is in the shed.")?;
    stage.post("ada", &message);
    let directory = stage.directory.clone();
    match stage.member("cleo")?.receive(&message, &directory) {
        Err(_) => stage.tell("    cleo gets hold of it and can't read it"),
        Ok(_) => return Err(Failure::refused("cleo read a message that was sent after her removal")),
    }
    let heard = stage.everybody_reads()?;
    stage.tell_readers(&heard);

    let info = stage.member("ada")?.group_info()?;
    stage.wire.carry(&info);
    let commit = stage.member("gwen")?.join_from_outside(&info, &directory)?;
    stage.post("gwen", &commit);
    stage.everybody_reads()?;
    let epoch = stage.member("gwen")?.group()?.epoch();
    stage.tell(format!("  gwen joins from outside, by external commit: epoch {epoch}"));
    stage.say("gwen", "I let myself in.")
}

fn catching_up(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("edith is back and catches up");
    let waiting = stage.member("edith")?.mailbox.len();
    stage.member("edith")?.online = true;
    let heard = stage.read("edith")?;
    let changes = heard.iter().filter(|heard| matches!(heard, Heard::Change(_))).count();
    stage.tell(format!("  {waiting} messages waited, {changes} of them commits"));
    let heard: Vec<_> = heard.into_iter().map(|heard| ("edith", heard)).collect();
    stage.tell_readers(&heard);
    stage.say("edith", "The cake is in the oven.")
}

fn agreement(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("They agree: the epoch authenticator, as each member computes it");
    let (suite, mut first, mut shown) = (identity::sha512()?, None, Vec::new());
    for member in stage.members.iter().filter(|member| member.name != "cleo") {
        let group = member.group()?;
        let authenticator = group.epoch_authenticator()?;
        if *first.get_or_insert(authenticator) != authenticator {
            return Err(Failure::refused(format!("{} is in another group than the others", member.name)));
        }
        let number = Number::of_epoch(suite, authenticator)?;
        let digits = number.digits().chars().take(29).collect::<String>();
        shown.push(format!("  {:<6} epoch {}  {digits} ...", member.name, group.epoch()));
    }
    let authenticator = first.map(text::hex).unwrap_or_default();
    shown.iter().for_each(|line| stage.tell(line));
    stage.fact("epoch_authenticator", json!({ "value": authenticator, "agreeing": shown.len() }));
    Ok(())
}

fn eavesdropper(stage: &mut Stage) {
    stage.act("What an eavesdropper on the wire sees");
    stage.wire.lines().iter().for_each(|line| stage.tell(line));
    stage.tell("  Of encrypted messages neither the sender nor the content, and lengths only roughly: they are padded.");
    stage.tell("  gwen's external commit and the group info she used are signed and readable: they name the members.");
    let seen = stage.wire.json();
    stage.fact("wire", seen);
}
