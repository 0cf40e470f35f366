//! A bot and whoever drives it: what it is asked is drawn from a seed, what it tells is written down. Whatever happens to its
//! process, it is started again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use test_support::random::SeededRandom;

use crate::history::{Answer, Change, End, Event, Room, Said, Told, What};
use crate::process::{Guard, Process};

/// A bot's process, for who kills it.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Arc<Process>>>>);

impl Slot {
    /// Kills it. False if it was not running.
    #[must_use]
    pub fn kill(&self) -> bool {
        let process = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        process.is_some_and(|process| process.kill())
    }

    fn set(&self, process: Option<Arc<Process>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}

/// What a bot is and where.
#[derive(Clone)]
pub struct Place {
    /// The program.
    pub program: PathBuf,
    /// The folder of its home and of what it writes on standard error.
    pub folder: PathBuf,
    /// Where it connects.
    pub url: String,
    /// What ends its process when we end.
    pub guard: Guard,
}

/// A bot and what is known of it.
pub struct Driver {
    name: String,
    /// All bots.
    people: Vec<String>,
    place: Place,
    dice: SeededRandom,
    slot: Slot,
    running: Option<Running>,
    /// Rooms that it is in, as far as it has told.
    rooms: Vec<Room>,
    /// What it does before it does anything else.
    plan: Vec<Value>,
    /// What it was to say, and has not answered.
    unanswered: Option<usize>,
    /// What was written down.
    pub told: Told,
    /// What should not have happened to its process.
    pub accidents: Vec<String>,
}

/// Its process has ended.
struct Ended;

struct Running {
    process: Arc<Process>,
    input: ChildStdin,
    lines: Receiver<String>,
    asked: u64,
}

/// How long a bot may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

impl Driver {
    /// A bot that has not been started yet. Who founds a room invites all others to it.
    #[must_use]
    pub fn new(name: &str, people: &[String], place: Place, mut dice: SeededRandom, founds: bool) -> Self {
        let mut plan = Vec::new();
        if founds {
            let mut others: Vec<_> = people.iter().filter(|other| *other != name).collect();
            while !others.is_empty() {
                let other = others.swap_remove(dice.below(others.len()));
                plan.push(json!({ "do": "invite", "person": other }));
            }
            plan.push(json!({ "do": "create", "title": name }));
        }
        Self {
            name: name.to_owned(),
            people: people.to_vec(),
            place,
            dice,
            slot: Slot::default(),
            running: None,
            rooms: Vec::new(),
            plan,
            unanswered: None,
            told: Told::default(),
            accidents: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process, for who kills it.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Comes to be there, so that others find it.
    pub fn begin(&mut self) {
        for _ in 0..20 {
            let begun = self.ask(json!({ "do": "sync" }));
            if begun.is_ok_and(|answer| answer.get("ok") == Some(&Value::Bool(true))) {
                return;
            }
        }
    }

    /// Does one thing after the other until it is told to stop.
    pub fn live(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            if self.step().is_err() {
                self.pause(1000);
            }
            self.pause(500);
        }
    }

    /// Reads what there is and writes down how it sees its rooms. Gives whether everything that it was to say has been said.
    pub fn look(&mut self) -> bool {
        // Whatever it was in the middle of.
        for _ in 0..3 {
            if self.try_look().is_ok() {
                return self.unanswered.is_none();
            }
        }
        false
    }

    /// Ends its process as a user would.
    pub fn end(&mut self) {
        if let Some(running) = self.running.take() {
            drop(running.input);
            if let Err(why) = running.process.ended() {
                self.accidents.push(format!("{} has ended with {why}, see its log", self.name));
            }
        }
        self.slot.set(None);
    }

    fn try_look(&mut self) -> Result<(), Ended> {
        self.say_again()?;
        self.ask(json!({ "do": "sync" }))?;
        let rooms = self.refresh()?;
        let mut end = BTreeMap::new();
        for (room, standing) in rooms {
            let mut view = End { standing, epoch: None, authenticator: String::new(), members: Vec::new() };
            if view.standing == "active" {
                let seen = self.ask(json!({ "do": "verify", "room": room }))?;
                view.epoch = seen.get("epoch").and_then(Value::as_u64);
                view.authenticator = text(&seen, "epoch_authenticator");
                let members = seen.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
                view.members = members.iter().map(|member| text(member, "person")).collect();
                view.members.sort();
            }
            end.insert(room, view);
        }
        self.told.end = end;
        Ok(())
    }

    fn step(&mut self) -> Result<(), Ended> {
        self.say_again()?;
        if let Some(next) = self.plan.last().cloned() {
            return self.planned(next);
        }
        let room = match self.rooms.len() {
            0 => None,
            rooms => self.rooms.get(self.dice.below(rooms)).cloned(),
        };
        match (self.dice.below(100), room) {
            (0..=54, Some(room)) => self.say(room),
            (55..=60, Some(room)) => {
                let members = self.members(&room)?;
                let absent: Vec<_> = self.people.iter().filter(|name| !members.contains(name)).collect();
                match absent.is_empty() {
                    true => Ok(()),
                    false => {
                        let person = absent.get(self.dice.below(absent.len())).copied().cloned();
                        self.change(
                            "invite",
                            &room,
                            json!({ "do": "invite", "room": room, "person": person }),
                        )
                    }
                }
            }
            (61..=62, Some(room)) => {
                let members = self.members(&room)?;
                let others: Vec<_> = members.into_iter().filter(|name| *name != self.name).collect();
                match others.is_empty() {
                    true => Ok(()),
                    false => {
                        let person = others.get(self.dice.below(others.len())).cloned();
                        self.change(
                            "remove",
                            &room,
                            json!({ "do": "remove", "room": room, "person": person }),
                        )
                    }
                }
            }
            (63, Some(room)) => {
                let members = self.members(&room)?;
                match members.len() {
                    0..=2 => Ok(()),
                    _ => self.change("leave", &room, json!({ "do": "leave", "room": room })),
                }
            }
            (64..=71, Some(room)) => self.change("renew", &room, json!({ "do": "renew", "room": room })),
            (72, _) if self.told.end.is_empty() && self.rooms.len() < 4 => {
                self.ask(json!({ "do": "create", "title": self.name })).map(drop)
            }
            (73..=82, _) => {
                let cursor = self.told.events.iter().map(|event| event.cursor).max().unwrap_or(0);
                self.ask(json!({ "do": "ack", "cursor": cursor })).map(drop)
            }
            (83..=89, _) => self.refresh().map(drop),
            (_, _) => self.ask(json!({ "do": "sync" })).map(drop),
        }
    }

    fn planned(&mut self, mut next: Value) -> Result<(), Ended> {
        if text(&next, "do") == "create" {
            let made = self.ask(next)?;
            if made.get("ok") == Some(&Value::Bool(true)) {
                self.plan.pop();
            }
            return Ok(());
        }
        self.refresh()?;
        if let (Some(room), Some(object)) = (self.rooms.first().cloned(), next.as_object_mut()) {
            object.insert("room".to_owned(), json!(room));
            self.change("invite", &room, next)?;
        }
        self.plan.pop();
        Ok(())
    }

    fn say(&mut self, room: Room) -> Result<(), Ended> {
        let message = hex::encode(self.dice.bytes(16));
        let text = format!("{} says {}", self.name, self.told.said.len());
        self.told.said.push(Said { room, message, text, answer: Answer::Unknown });
        self.unanswered = Some(self.told.said.len() - 1);
        self.say_again()
    }

    /// Asks again for what was not answered, under the same name.
    fn say_again(&mut self) -> Result<(), Ended> {
        let Some(said) = self.unanswered.and_then(|at| self.told.said.get(at)).cloned() else {
            return Ok(());
        };
        let request = json!({ "do": "send", "room": said.room, "text": said.text, "message": said.message });
        let answer = answer(&self.ask(request)?);
        if let Some(said) = self.unanswered.take().and_then(|at| self.told.said.get_mut(at)) {
            said.answer = answer;
        }
        Ok(())
    }

    fn change(&mut self, what: &'static str, room: &str, request: Value) -> Result<(), Ended> {
        self.told.changes.push(Change { room: room.to_owned(), what, answer: Answer::Unknown });
        let at = self.told.changes.len() - 1;
        let answer = answer(&self.ask(request)?);
        if let Some(change) = self.told.changes.get_mut(at) {
            change.answer = answer;
        }
        Ok(())
    }

    fn members(&mut self, room: &str) -> Result<Vec<String>, Ended> {
        let seen = self.ask(json!({ "do": "members", "room": room }))?;
        let members = seen.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(members.iter().map(|member| text(member, "person")).collect())
    }

    /// Which rooms there are, and how they stand.
    fn refresh(&mut self) -> Result<Vec<(Room, String)>, Ended> {
        let seen = self.ask(json!({ "do": "rooms" }))?;
        let rooms = seen.get("rooms").and_then(Value::as_array).cloned().unwrap_or_default();
        let rooms: Vec<_> = rooms.iter().map(|room| (text(room, "room"), text(room, "standing"))).collect();
        self.rooms =
            rooms.iter().filter(|(_, standing)| standing == "active").map(|(room, _)| room.clone()).collect();
        Ok(rooms)
    }

    /// Asks the process, which is started if there is none, and writes down what it tells meanwhile.
    fn ask(&mut self, request: Value) -> Result<Value, Ended> {
        let asked = self.try_ask(request);
        if asked.is_err() {
            if let Some(running) = self.running.take()
                && let Err(why) = running.process.ended()
            {
                self.accidents.push(format!("{} has ended with {why}, see its log", self.name));
            }
            self.slot.set(None);
        }
        asked
    }

    fn try_ask(&mut self, mut request: Value) -> Result<Value, Ended> {
        if self.running.is_none() {
            match self.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => {
                    self.accidents.push(format!("{}: {error:#}", self.name));
                    return Err(Ended);
                }
            }
            // It says who it is.
            self.line()?;
        }
        let running = self.running.as_mut().ok_or(Ended)?;
        running.asked += 1;
        let id = json!(running.asked);
        if let Some(object) = request.as_object_mut() {
            object.insert("v".to_owned(), json!(1));
            object.insert("id".to_owned(), id.clone());
        }
        writeln!(running.input, "{request}").map_err(|_| Ended)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(line) = self.line()? else { continue };
            if line.get("id") == Some(&id) {
                return Ok(line);
            }
            if Instant::now() > until {
                return Err(self.hangs(&request));
            }
        }
    }

    /// The next line; nothing if it was an event, which is written down.
    fn line(&mut self) -> Result<Option<Value>, Ended> {
        let running = self.running.as_ref().ok_or(Ended)?;
        let line = match running.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            Err(RecvTimeoutError::Timeout) => return Err(self.hangs(&Value::Null)),
        };
        let Ok(line) = serde_json::from_str::<Value>(&line) else {
            // The last of a process that was killed may be half a line.
            return Ok(None);
        };
        if line.get("event").is_none() {
            return Ok(Some(line));
        }
        if let Some(event) = event(&line) {
            self.told.events.push(event);
        }
        Ok(None)
    }

    fn hangs(&mut self, request: &Value) -> Ended {
        self.accidents.push(format!("{} does not answer: {request}", self.name));
        if let Some(running) = &self.running {
            running.process.kill();
        }
        Ended
    }

    fn start(&self) -> Result<Running> {
        let home = self.place.folder.join(&self.name);
        let mut command = Command::new(&self.place.program);
        command.args([
            "bot",
            &self.name,
            "--json",
            "--poll",
            "700",
            "--patience",
            "4000",
            "--invitations",
            "all",
        ]);
        command.args(["--service", "localhost", "--server", &self.place.url]);
        command.arg("--home").arg(&home).arg("--key-file").arg(home.with_extension("key"));
        let errors = self.place.folder.join(format!("{}.log", self.name));
        let process = Arc::new(Process::start(command, &errors, &self.place.guard)?);
        let pipes = process.with(|child| Some((child.stdin.take()?, child.stdout.take()?))).flatten();
        let (input, output) = pipes.context("no pipes")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        self.slot.set(Some(process.clone()));
        Ok(Running { process, input, lines, asked: 0 })
    }

    fn pause(&mut self, most: usize) {
        let wait = u64::try_from(self.dice.below(most)).unwrap_or(0);
        thread::sleep(Duration::from_millis(wait));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn answer(line: &Value) -> Answer {
    match (line.get("ok"), line.get("done")) {
        (Some(Value::Bool(true)), Some(Value::Bool(true))) => {
            Answer::Done(line.get("sequence").and_then(Value::as_u64))
        }
        (Some(Value::Bool(true)), _) => Answer::Kept,
        _ => Answer::Refused(line.get("error").map(|error| text(error, "message")).unwrap_or_default()),
    }
}

fn event(line: &Value) -> Option<Event> {
    let cursor = line.get("cursor")?.as_u64()?;
    let sequence = line.get("sequence").and_then(Value::as_u64).unwrap_or(0);
    let name = text(line, "event");
    let what = match name.as_str() {
        "message" => What::Message {
            from: line.get("from").map(|from| text(from, "person")).unwrap_or_default(),
            message: text(line, "message"),
            sequence,
            text: text(line, "text"),
        },
        "sent" => What::Sent { message: text(line, "message"), sequence },
        "joined" => What::Joined,
        "removed" => What::Removed,
        "not_done" => What::NotDone(text(line, "why")),
        "gap" | "fork" | "key_changed" | "invitation_failed" => What::Trouble(line.to_string()),
        _ => What::Other,
    };
    Some(Event { cursor, room: text(line, "room"), what })
}
