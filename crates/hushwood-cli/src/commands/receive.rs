//! `hushwood receive`: whatever has come for a group.

use std::path::{Path, PathBuf};

use clap::Args;
use hushwood::framing::MlsMessage;
use hushwood::group::{ApplicationMessage, MessageId, Unacknowledged};
use serde_json::{Value, json};

use crate::args::Global;
use crate::events::{self, Event};
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::names::{self, GroupName};
use crate::output::{self, Output, Report};
use crate::progress::Progress;
use crate::receiving::{self, Arrival};
use crate::room::Room;
use crate::session::Session;
use crate::text;

/// Receive messages, proposals and commits
///
/// Prints who sent what, or what happened. The group is found by the message. A message can be read
/// once: its key is then gone. One that comes too early is refused: keep it, and receive it after the
/// commit that it waits for.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood receive m1 m2\n  cat inbox/* | hushwood receive\n  hushwood receive photo.mls --out photo.jpg"
)]
pub(crate) struct Receive {
    /// The files, in the order in which they were sent; standard input by default
    files: Vec<PathBuf>,
    /// Print nothing but the bytes of the messages
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Write the bytes of the message to this file, readable by you only
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite a file that exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Show again what was received and not surely shown, as after a crash
    #[arg(long, conflicts_with = "files")]
    pending: bool,
}

impl Receive {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        if let Some(path) = self.out.as_ref().filter(|path| !self.force && path.symlink_metadata().is_ok()) {
            return Err(Failure::refused(format!("{} exists", path.display()))
                .advise("choose another name, or overwrite it with `--force`"));
        }
        // Standard input is read before a passphrase is asked for.
        let first = match self.files.is_empty() && !self.pending {
            true => read(None)?,
            false => Vec::new(),
        };
        let mut session = Session::open(global, output)?;
        let mut delivery = Delivery {
            receive: &self,
            output,
            refused: false,
            written: false,
            events: Vec::new(),
            failures: Vec::new(),
            shown: Vec::new(),
        };
        if self.pending {
            delivery.pending(&mut session)?;
        }
        delivery.all(&mut session, first)?;
        for file in &self.files {
            // A file that can't be read is told, and does not keep the others from being received.
            match read(Some(file)) {
                Ok(messages) => delivery.all(&mut session, messages)?,
                Err(failure) => delivery.refuse(&failure),
            }
        }
        delivery.finish(&mut session)
    }
}

/// The messages in a file, each with what to call it.
fn read(source: Option<&Path>) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let bytes = files::read_object(source)?;
    let place = files::shown(source);
    Ok(match files::split::<MlsMessage>(&bytes) {
        Ok(objects) if objects.len() > 1 => {
            let named = objects.into_iter().enumerate();
            named.map(|(n, object)| (format!("{place}, message {}", n + 1), object.to_vec())).collect()
        }
        // What is no message is refused when its turn comes.
        Ok(_) | Err(_) => vec![(place, bytes)],
    })
}

/// How what arrived gets to whoever asked.
struct Delivery<'r> {
    receive: &'r Receive,
    output: Output,
    refused: bool,
    /// Whether `--out` has been written: it takes one message.
    written: bool,
    /// For JSON, which is printed as one object at the end: what happened, what was refused, and the messages
    /// that the store can forget once it is printed.
    events: Vec<Value>,
    failures: Vec<Value>,
    shown: Vec<(GroupName, MessageId)>,
}

impl Delivery<'_> {
    /// Receives messages in their order. One that is refused does not keep the others from being received.
    fn all(&mut self, session: &mut Session, messages: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
        for (place, message) in messages {
            let progress = Progress::start(self.output, "receiving");
            let outcome = receiving::receive(session, &message);
            drop(progress);
            match outcome {
                Ok(arrival) => self.deliver(session, arrival)?,
                Err(failure) => self.refuse(&failure.about(place)),
            }
        }
        Ok(())
    }

    fn deliver(&mut self, session: &mut Session, arrival: Arrival) -> Result<(), Failure> {
        match arrival {
            Arrival::Message { room, message, others } => {
                if others > 0 {
                    let others = text::count(others, "message", "messages");
                    let name = &room.name;
                    self.output.remark(format!(
                        "{others} of `{name}` received before and not surely shown: hushwood receive --pending"
                    ));
                }
                self.application(session, &room, &message)
            }
            Arrival::Event(event) => self.event(event),
        }
    }

    /// Shows a message. When it has surely been shown, the store may forget it.
    fn application(
        &mut self,
        session: &mut Session,
        room: &Room,
        message: &ApplicationMessage,
    ) -> Result<(), Failure> {
        let Event { lines, mut json } = events::application(room, message);
        let lines = lines.join("\n");
        let plaintext = message.plaintext.expose();
        let mut delivered = true;
        match &self.receive.out {
            Some(path) if !self.written => {
                files::write(path, plaintext, Readers::Owner, self.receive.force)?;
                self.written = true;
                self.output.remark(format!("{lines}\n  wrote {}", path.display()));
                if let Some(fields) = json.as_object_mut() {
                    fields.insert("file".to_owned(), json!(path.display().to_string()));
                }
            }
            Some(_) => {
                delivered = false;
                self.output
                    .remark(format!("{lines}\n  kept: the file takes one message; see `receive --pending`"));
            }
            None if self.output.json => {}
            None if self.receive.raw => output::write_stdout(plaintext)?,
            None => {
                output::write_stdout(format!("{lines}\n").as_bytes())?;
                // Bytes that are no text can't be shown: they stay until somebody has saved them.
                delivered = events::readable(plaintext).is_some();
                if !delivered {
                    self.output.remark("  kept; save it with: hushwood receive --pending --out FILE");
                }
            }
        }
        self.events.push(json);
        match delivered {
            true if self.output.json => self.shown.push((room.name.clone(), message.id)),
            true => acknowledge(session, &room.name, &message.id)?,
            false => {}
        }
        Ok(())
    }

    /// Tells what happened, marked as no member's name can begin: a member that is called like the group
    /// could else write what looks like an event.
    fn event(&mut self, event: Event) -> Result<(), Failure> {
        let lines = format!("{}{}", text::EVENT, event.lines.join("\n"));
        if self.receive.raw || self.receive.out.is_some() {
            self.output.remark(lines);
        } else if !self.output.json {
            output::write_stdout(format!("{lines}\n").as_bytes())?;
        }
        self.events.push(event.json);
        Ok(())
    }

    fn refuse(&mut self, failure: &Failure) {
        self.refused = true;
        self.failures.push(failure.to_json());
        self.output.fail(failure);
    }

    /// Delivers what the store has kept.
    fn pending(&mut self, session: &mut Session) -> Result<(), Failure> {
        for (name, instance) in names::all(&session.home)? {
            let room = Room::of_instance(&session.home, name, instance)?;
            for message in room.group.unacknowledged(&session.home.store)? {
                if let Unacknowledged::Incoming(message) = message {
                    self.application(session, &room, &message)?;
                }
            }
        }
        if self.events.is_empty() {
            self.output.remark("nothing waits to be shown");
        }
        Ok(())
    }

    fn finish(self, session: &mut Session) -> Result<u8, Failure> {
        let report =
            Report::new().refused(self.refused).fact("events", self.events).fact("failures", self.failures);
        let code = self.output.finish("receive", &report)?;
        self.shown.iter().try_for_each(|(name, id)| acknowledge(session, name, id))?;
        expire(session)?;
        Ok(code)
    }
}

fn acknowledge(session: &mut Session, name: &GroupName, id: &MessageId) -> Result<(), Failure> {
    let noted = session.home.retrying(|home| {
        let mut room = Room::open(home, name)?;
        let step = room.group.acknowledge(id)?;
        home.commit(step)
    });
    session.tidied(noted, "`hushwood receive --pending` would show the message again")
}

/// Erases what is kept of past epochs for late messages, where it is too old.
fn expire(session: &mut Session) -> Result<(), Failure> {
    for (name, _) in names::all(&session.home)? {
        let expired = session.home.retrying(|home| {
            let mut room = Room::open(home, &name)?;
            let step = room.group.expire(text::now())?;
            home.tidy(step)
        });
        session.tidied(expired, "old keys are erased when there is room")?;
    }
    Ok(())
}
