//! `hushwood demo --server`: the same people, through a server that is a process of its own, and is killed once.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hushwood_client::transport::{BlockingHttp, ServerTrust};
use hushwood_client::{
    Client, EventKind, Identity, Invitations, Outcome, Provider, Room, RoomId, Settings, Trust,
};
use hushwood_crypto::Secret;
use hushwood_store::Unlock;
use serde_json::{Value, json};

use crate::commands::demo::play::NAMES;
use crate::commands::demo::stage::Stage;
use crate::failure::{Class, Failure};
use crate::home::Home;
use crate::identity;
use crate::system::{OsRandom, PROVIDER};
use crate::text;
use crate::words::Number;

/// A server that is a process of its own, and ends with this value.
struct Served {
    process: Child,
    data: PathBuf,
    listen: String,
    fingerprint: String,
}

/// A member: a client with a sealed store of its own.
struct Member {
    name: &'static str,
    client: Client<BlockingHttp>,
    online: bool,
}

/// The members, the room, and all that was said.
struct Play<'s> {
    stage: &'s mut Stage,
    server: Served,
    members: Vec<Member>,
    room: RoomId,
    said: Vec<String>,
}

const SERVICE: &str = "localhost";

pub(super) fn play(stage: &mut Stage) -> Result<(), Failure> {
    stage.act("A server");
    let server = Served::start(&stage.folder.join("server"), "127.0.0.1:0")?;
    stage.tell(format!("  process {} at https://{}", server.process.id(), server.listen));
    stage.tell(format!("  its certificate's SHA-256: {}", server.fingerprint));
    let mut play = Play { stage, server, members: Vec::new(), room: RoomId(Vec::new()), said: Vec::new() };
    play.members()?;
    play.room()?;
    play.say("ada", "The kettle is on.")?;
    play.say("ben", "Two minutes.")?;
    play.say("dan", "Milk, anybody?")?;
    play.changes()?;
    play.crash()?;
    play.catching_up()?;
    play.agreement()?;
    play.what_the_server_has()
}

impl Play<'_> {
    fn members(&mut self) -> Result<(), Failure> {
        self.stage.act("Seven members");
        for name in NAMES {
            let member = Member::new(name, &self.stage.folder, &self.server)?;
            // The first time: an account, and KeyPackages by which others invite them.
            member.client.sync()?;
            self.members.push(member);
        }
        self.stage
            .tell(format!("  {}: each has an account there, and a sealed store here", NAMES.join(", ")));
        Ok(())
    }

    fn room(&mut self) -> Result<(), Failure> {
        self.stage.act("A room");
        let room = self.client("ada")?.create_group("tea")?;
        self.room = room.id().clone();
        let invited = ["ben", "cleo", "dan", "edith"];
        for name in invited {
            done(&room.invite(name)?)?;
        }
        self.stage.tell(format!(
            "  ada makes it and invites {}, who are not asked to be there",
            invited.join(", ")
        ));
        self.everybody_reads()?;
        Ok(())
    }

    fn changes(&mut self) -> Result<(), Failure> {
        self.stage.act("Members come, go, and change their keys, while edith is offline");
        self.member("edith")?.online = false;
        done(&self.room_of("dan")?.invite("finn")?)?;
        self.arrive(&["finn"])?;
        self.stage.tell("  dan invites finn");
        self.everybody_reads()?;
        self.say("finn", "Is there any cake left?")?;
        done(&self.room_of("ben")?.renew()?)?;
        self.stage.tell("  ben makes new keys");
        done(&self.room_of("ada")?.remove("cleo")?)?;
        self.stage.tell("  ada removes cleo");
        self.say("ada", "Now that cleo is gone: her present is in the shed.")?;
        match self.client("cleo")?.room(&self.room)?.send(b"What are you talking about?") {
            Err(hushwood_client::Error::Removed) => {
                self.stage.tell("    cleo has read that she was removed, and nothing after it");
            }
            _ => return Err(Failure::refused("cleo was removed and does not know it")),
        }
        done(&self.room_of("ada")?.invite("gwen")?)?;
        self.arrive(&["gwen"])?;
        self.everybody_reads()?;
        self.say("gwen", "I was let in.")
    }

    /// The server's process is killed, and another one begins with what was on its disk.
    fn crash(&mut self) -> Result<(), Failure> {
        self.stage.act("The server is killed");
        self.server.kill();
        let words = "Is anybody there?";
        let (_, outcome) = self.room_of("dan")?.send(words.as_bytes())?;
        if !matches!(outcome, Outcome::Kept { .. }) {
            return Err(Failure::refused("a message went through a server that is dead"));
        }
        self.said.push(words.to_owned());
        self.stage.tell(format!("  dan says, to nobody: {words}"));
        self.stage.tell("    it is kept, in dan's store");
        self.server = Served::start(&self.server.data, &self.server.listen)?;
        self.stage.tell(format!(
            "  another process, {}, goes on with what was on the disk",
            self.server.process.id()
        ));
        self.client("dan")?.sync()?;
        let heard = self.everybody_reads()?;
        self.tell_readers(&heard);
        Ok(())
    }

    fn catching_up(&mut self) -> Result<(), Failure> {
        self.stage.act("edith is back and catches up");
        self.member("edith")?.online = true;
        let heard = self.everybody_reads()?;
        self.tell_readers(&heard);
        self.say("edith", "The cake is in the oven.")
    }

    fn agreement(&mut self) -> Result<(), Failure> {
        self.stage.act("They agree: the epoch authenticator, as each member computes it");
        let (suite, mut first, mut shown) = (identity::sha512()?, None, Vec::new());
        for member in self.members.iter().filter(|member| member.name != "cleo") {
            let (epoch, authenticator) = member.client.with_core(|core| {
                let group = core.group(&self.room)?;
                Ok::<_, hushwood_client::Error>((group.epoch(), group.epoch_authenticator()?.to_vec()))
            })?;
            if *first.get_or_insert_with(|| authenticator.clone()) != authenticator {
                return Err(Failure::refused(format!("{} is in another group than the others", member.name)));
            }
            let number = Number::of_epoch(suite, &authenticator)?;
            let digits = number.digits().chars().take(29).collect::<String>();
            shown.push(format!("  {:<6} epoch {epoch}  {digits} ...", member.name));
        }
        shown.iter().for_each(|line| self.stage.tell(line));
        let value = first.map(|first| text::hex(&first)).unwrap_or_default();
        self.stage.fact("epoch_authenticator", json!({ "value": value, "agreeing": shown.len() }));
        Ok(())
    }

    /// Everything on the server's disk is searched for what was said, and for the room's title.
    fn what_the_server_has(&mut self) -> Result<(), Failure> {
        self.stage.act("What the server has");
        self.server.kill();
        let (mut files, mut bytes) = (0_u64, Vec::new());
        let read = |path: &Path, error| Failure::path("can't read", path, &error);
        let data = self.server.data.clone();
        for entry in data.read_dir().map_err(|error| read(&data, error))? {
            let path = entry.map_err(|error| read(&data, error))?.path();
            bytes.extend(std::fs::read(&path).map_err(|error| read(&path, error))?);
            files += 1;
        }
        let has = |text: &str| bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes());
        let found: Vec<_> = self.said.iter().filter(|text| has(text)).collect();
        if !found.is_empty() {
            return Err(Failure::refused("the server has what was said"));
        }
        let names = NAMES.iter().filter(|name| has(name)).count();
        self.stage.tell(format!("  {files} files, {} bytes", bytes.len()));
        self.stage.tell(format!("  of {} things that were said: nothing", self.said.len()));
        self.stage.tell(format!(
            "  of {} names: {names}. It knows who has an account, and who is invited by whom while it is asked",
            NAMES.len()
        ));
        let facts = json!({ "bytes": bytes.len(), "said": self.said.len(), "found": 0, "names": names });
        self.stage.fact("server", facts);
        Ok(())
    }

    /// Waits until these are in the room: what they need for that the server carries to their inboxes in its own time.
    fn arrive(&mut self, names: &[&str]) -> Result<(), Failure> {
        let begun = Instant::now();
        for name in names {
            while self.room_of(name).is_err() {
                if begun.elapsed() > Duration::from_secs(20) {
                    return Err(Failure::refused(format!("{name} was invited and does not come")));
                }
                self.client(name)?.sync()?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Somebody says something, everybody who is there reads it.
    fn say(&mut self, name: &'static str, words: &str) -> Result<(), Failure> {
        done(&self.room_of(name)?.send(words.as_bytes())?.1)?;
        self.said.push(words.to_owned());
        let heard = self.everybody_reads()?;
        self.stage.tell(format!("  {name} says: {words}"));
        self.tell_readers(&heard);
        Ok(())
    }

    /// Who reads what: the reader, who said it, the words.
    fn everybody_reads(&mut self) -> Result<Vec<(&'static str, String, String)>, Failure> {
        let mut heard = Vec::new();
        for member in self.members.iter().filter(|member| member.online) {
            member.client.sync()?;
            let events = member.client.events()?;
            member.client.acknowledge(&events)?;
            for event in events {
                if let EventKind::Message(message) = event.kind {
                    let words = String::from_utf8_lossy(&message.body).into_owned();
                    heard.push((member.name, message.from.person, words));
                }
            }
        }
        Ok(heard)
    }

    fn tell_readers(&self, heard: &[(&'static str, String, String)]) {
        let mut texts: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for (reader, from, words) in heard {
            match texts.iter_mut().find(|(f, w, _)| f == from && w == words) {
                Some((_, _, readers)) => readers.push(reader),
                None => texts.push((from, words, vec![reader])),
            }
        }
        for (from, words, readers) in texts {
            self.stage.tell(format!("    {} read from {from}: {words}", readers.join(", ")));
        }
    }

    fn member(&mut self, name: &str) -> Result<&mut Member, Failure> {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.ok_or_else(|| Failure::refused(format!("nobody on stage is called {name}")))
    }

    fn client(&mut self, name: &str) -> Result<Client<BlockingHttp>, Failure> {
        Ok(self.member(name)?.client.clone())
    }

    fn room_of(&mut self, name: &str) -> Result<Room<BlockingHttp>, Failure> {
        let room = self.room.clone();
        Ok(self.client(name)?.room(&room)?)
    }
}

/// It has happened, not only been kept for later.
fn done(outcome: &Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Kept { why: Some(error), .. } => Err(error.clone().into()),
        Outcome::Kept { why: None, .. } => Err(Failure::refused("it takes too long")),
    }
}

impl Member {
    fn new(name: &'static str, folder: &Path, server: &Served) -> Result<Self, Failure> {
        let unlock = Unlock::Passphrase(Secret::new(name.as_bytes().to_vec()));
        let home = Home::create_in(&folder.join(name), &unlock)?;
        let provider = Provider::new(*PROVIDER, OsRandom);
        let identity = Identity { person: name.to_owned(), service: SERVICE.to_owned() };
        let fingerprint = ServerTrust::fingerprint(&server.fingerprint);
        let fingerprint = fingerprint.ok_or_else(|| Failure::refused("the server has no fingerprint"))?;
        let transport = BlockingHttp::new(&format!("https://{}", server.listen), &fingerprint);
        let transport = transport.map_err(|error| Failure::usage(error.to_string()))?;
        let settings = Settings {
            patience: Duration::from_secs(3),
            invitations: Invitations::All,
            ..Settings::default()
        };
        let store = Box::new(home.store);
        let client =
            Client::open_with(store, provider, &identity, Trust::on_first_use(), (settings, transport))?;
        Ok(Self { name, client, online: true })
    }
}

impl Served {
    fn start(data: &Path, listen: &str) -> Result<Self, Failure> {
        let broken = |error: std::io::Error| Failure::stream("can't start a server", &error);
        let mut process = Command::new(std::env::current_exe().map_err(broken)?)
            .args(["serve", "--json", "--log", "error", "--listen", listen, "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(broken)?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(broken)?;
        }
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let fact = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned);
        let served = Self {
            process,
            data: data.to_owned(),
            listen: fact("address").unwrap_or_default(),
            fingerprint: fact("fingerprint").unwrap_or_default(),
        };
        match served.listen.is_empty() {
            false => Ok(served),
            true => Err(Failure::new(Class::Io, "the server did not begin").advise("try `hushwood serve`")),
        }
    }

    /// Without a warning.
    fn kill(&mut self) {
        // Where it has ended by itself there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}
