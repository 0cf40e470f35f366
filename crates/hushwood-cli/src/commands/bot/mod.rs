//! `hushwood bot`: a whole client for programs, one JSON object a line (docs/bot.md).

mod events;
mod keys;
mod parse;
mod requests;

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, Read, Write};
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hushwood_client::transport::{BlockingHttp, ServerTrust};
use hushwood_client::{Client, Error, Event, Identity, Invitations, Provider, Settings, Trust};
use serde_json::{Value, json};

use crate::args::Global;
use crate::commands::serve::invite_token;
use crate::failure::Failure;
use crate::home::Home;
use crate::identity;
use crate::output::Output;
use crate::system::{self, OsRandom, PROVIDER};
use crate::text;
use crate::unlock;

use parse::Fields;

/// Be a member for a program: one JSON object a line, on standard input and output
///
/// Each line on standard input asks for something, and is answered by one line with the same `id`. What happens in rooms comes
/// as lines of its own, again after a restart, until it is acknowledged. docs/bot.md has all of it.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  echo '{\"v\":1,\"id\":1,\"do\":\"create\",\"title\":\"tea\"}' | hushwood bot ada --server https://127.0.0.1:7443 --fingerprint ab:cd:..."
)]
pub(crate) struct Bot {
    /// Who it is: the name of the account
    person: String,
    /// The address of the delivery service
    #[arg(long, value_name = "URL", env = "HUSHWOOD_SERVER")]
    server: String,
    /// The service's name, if it is not the host in its address, or `localhost` for this machine's own addresses
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The SHA-256 of the server's certificate, as `hushwood serve` prints it
    #[arg(long, value_name = "HEX", env = "HUSHWOOD_FINGERPRINT")]
    fingerprint: Option<String>,
    /// Certificates (PEM) that vouch for the server's [default: those of the operating system]
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca: Option<PathBuf>,
    /// A file with what the service's operator has given to those who may have an account
    #[arg(long, value_name = "FILE", env = "HUSHWOOD_INVITE_TOKEN_FILE")]
    invite_token_file: Option<PathBuf>,
    /// Whose keys are believed
    #[arg(long, value_name = "WHO", default_value = "first-use")]
    trust: TrustArg,
    /// Whose invitations are followed without asking
    #[arg(long, value_name = "WHO", default_value = "known")]
    invitations: InvitationsArg,
    /// How often to look for news, in milliseconds; 0 for only when it is asked to
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    poll: u64,
    /// How long an answer waits for what was asked to be done, in milliseconds; then it is done later
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    patience: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TrustArg {
    /// The key that a device shows first
    FirstUse,
    /// Only keys of which `trust` or `accept_key` has said whose they are, before they were seen or when they were
    Known,
    /// All: anybody can be anybody. For tests
    InsecureAcceptAll,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InvitationsArg {
    /// Those of devices whose keys are known; others wait for `accept` or `join`
    Known,
    /// All
    All,
    /// None: all wait for `accept` or `join`
    Ask,
}

/// A bot at work.
struct Session {
    client: Client<BlockingHttp>,
    /// The number of the last event that was shown.
    shown: u64,
    poll: Option<Duration>,
    /// How long an answer waits for what was asked for, in milliseconds.
    patience: u64,
    /// Why nothing could be read when it was looked for last.
    trouble: Option<Error>,
}

impl Bot {
    pub(crate) fn run(self, global: &Global, _: Output) -> Result<u8, Failure> {
        let identity = Identity { person: self.person.clone(), service: self.service_name()? };
        let transport = BlockingHttp::new(&self.server, &self.server_trust()?)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let (store, _lock) = Self::store(global)?;
        let provider = Provider::new(*PROVIDER, OsRandom);
        let trust = match self.trust {
            TrustArg::FirstUse => Trust::on_first_use(),
            TrustArg::Known => Trust::known_only(),
            TrustArg::InsecureAcceptAll => Trust::insecure_accept_all(),
        };
        let trust = trust.recognising(|claim, number| {
            identity::number(&claim.credential, &claim.signature_key).is_ok_and(|shown| shown.is(number))
        });
        let invitations = match self.invitations {
            InvitationsArg::Known => Invitations::FromKnown,
            InvitationsArg::All => Invitations::All,
            InvitationsArg::Ask => Invitations::Ask,
        };
        let invite_token = self.invite_token_file.as_deref().map(invite_token).transpose()?;
        let patience = Duration::from_millis(self.patience);
        let settings = Settings { patience, invitations, invite_token, ..Settings::default() };
        let client = Client::open_with(Box::new(store), provider, &identity, trust, (settings, transport))?;
        let poll = (self.poll > 0).then(|| Duration::from_millis(self.poll));
        let mut session = Session { client, shown: 0, poll, patience: self.patience, trouble: None };
        session.begin()?;
        session.serve(&lines())
    }

    /// The store of this home's bot, and what keeps other processes from it.
    fn store(global: &Global) -> Result<(hushwood_store::SqliteStore, File), Failure> {
        let folder = Home::folder(global)?.join("client");
        if global.key_file().is_some_and(|path| path == Path::new("-")) {
            return Err(Failure::usage("standard input is for requests: no key can come from there")
                .advise("name a file with `--key-file FILE`, or set HUSHWOOD_PASSPHRASE"));
        }
        let is_new = !Home::has_store(&folder)?;
        let unlock = if is_new { unlock::fresh(global)? } else { unlock::existing(global)? };
        let fail = |error: &io::Error| Failure::path("can't make", &folder, error);
        system::create_private_folder(&folder).map_err(|error| fail(&error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| fail(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::refused("another process uses this home")
                    .advise("end it, or name another home with `--home DIR`"));
            }
            Err(TryLockError::Error(error)) => return Err(fail(&error)),
        }
        let home = match Home::has_store(&folder)? {
            true => Home::open_or_finish_in(&folder, &unlock)?,
            false => Home::create_in(&folder, &unlock)?,
        };
        Ok((home.store, lock))
    }

    /// What is signed for the service names it so.
    fn service_name(&self) -> Result<String, Failure> {
        if let Some(name) = &self.service {
            return Ok(name.clone());
        }
        let host = self.server.split_once("://").map(|(_, rest)| rest);
        let host = host.and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| {
            Failure::usage("this is no address").advise("it looks like https://chat.example:7443")
        })?;
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let is_here = name == "localhost"
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        Ok(if is_here { "localhost".to_owned() } else { name.to_owned() })
    }

    fn server_trust(&self) -> Result<ServerTrust, Failure> {
        if self.server.starts_with("http://") {
            if self.fingerprint.is_some() || self.ca.is_some() {
                return Err(Failure::usage("behind http:// there is no certificate to compare with").advise(
                    "use https://, or leave out `--fingerprint` and `--ca` for a proxy on this machine",
                ));
            }
            return Ok(ServerTrust::Unprotected);
        }
        match (&self.fingerprint, &self.ca) {
            (Some(fingerprint), _) => ServerTrust::fingerprint(fingerprint).ok_or_else(|| {
                Failure::usage("this is no fingerprint")
                    .advise("it has 64 hexadecimal digits: `hushwood serve` prints it when it begins")
            }),
            (None, Some(path)) => Ok(ServerTrust::Certificates(crate::files::read(Some(path))?)),
            (None, None) => Ok(ServerTrust::System),
        }
    }
}

/// A line on standard input, or that there are no more.
enum Line {
    Text(String),
    TooLong,
    End,
}

/// Reads lines in a thread of its own, so that news can be told meanwhile.
fn lines() -> Receiver<Line> {
    let (sender, receiver) = mpsc::sync_channel(16);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) | Err(_) => Line::End,
                Ok(_)
                    if line.last() != Some(&b'\n')
                        && u64::try_from(line.len()).unwrap_or(u64::MAX) >= MAX_LINE =>
                {
                    Line::TooLong
                }
                Ok(_) => Line::Text(String::from_utf8_lossy(&line).into_owned()),
            };
            let is_last = matches!(line, Line::End | Line::TooLong);
            if sender.send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// The longest line that is read: a message of the largest size in base64, and what stands around it.
const MAX_LINE: u64 = 32 << 20;

impl Session {
    /// Says who it is, and what has not been acknowledged.
    fn begin(&mut self) -> Result<(), Failure> {
        let member = self.client.member();
        print(&json!({
            "v": VERSION,
            "event": "ready",
            "person": member.person,
            "device": member.device.to_string(),
        }))?;
        self.show_news()
    }

    fn serve(&mut self, lines: &Receiver<Line>) -> Result<u8, Failure> {
        loop {
            let line = match self.poll {
                Some(poll) => lines.recv_timeout(poll),
                None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match line {
                Ok(Line::Text(line)) if line.trim().is_empty() => {}
                Ok(Line::Text(line)) => {
                    if self.take(&line)? == Go::End {
                        return Ok(0);
                    }
                    self.show_news()?;
                }
                Ok(Line::TooLong) => {
                    let failure = Failure::usage("a line is too long: 32 MiB are the most");
                    print(&json!({ "v": VERSION, "id": null, "ok": false, "error": failure.to_json() }))?;
                    return Ok(failure.exit_code());
                }
                Ok(Line::End) | Err(RecvTimeoutError::Disconnected) => {
                    // What can be sent is sent; the rest is kept.
                    drop(self.sync()?);
                    self.show_news()?;
                    return Ok(0);
                }
                Err(RecvTimeoutError::Timeout) => {
                    // Who asks for something meanwhile does not wait for long.
                    self.sync_within(BRIEFLY)?;
                    self.show_news()?;
                }
            }
        }
    }

    /// Answers one line.
    fn take(&mut self, line: &str) -> Result<Go, Failure> {
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => {
                let failure = Failure::usage(format!("a line is no JSON: {error}"));
                print(&json!({ "v": VERSION, "id": null, "ok": false, "error": failure.to_json() }))?;
                return Ok(Go::On);
            }
        };
        let id = value.get("id").cloned().unwrap_or(Value::Null);
        let fields = Fields::new(&value);
        let (answer, go) = match fields.and_then(|fields| self.answer(&fields)) {
            Ok((facts, go)) => {
                let mut answer = json!({ "v": VERSION, "id": id, "ok": true });
                if let (Some(object), Value::Object(facts)) = (answer.as_object_mut(), facts) {
                    object.extend(facts);
                }
                (answer, go)
            }
            Err(failure) => {
                (json!({ "v": VERSION, "id": id, "ok": false, "error": failure.to_json() }), Go::On)
            }
        };
        print(&answer)?;
        Ok(go)
    }

    /// Looks for news. Why there may be some that it does not get is told when that begins, changes, and ends.
    fn sync(&mut self) -> Result<Result<(), Error>, Failure> {
        let synced = self.client.sync().map(drop);
        // That the time was too short for all of it is none.
        let is_told = !matches!(synced, Err(Error::BadAnswer(_)))
            || self.client.with_core(|core| core.trouble(None).is_some());
        let trouble = synced.as_ref().err().filter(|_| is_told).cloned();
        match (&trouble, &self.trouble) {
            (None, None) => {}
            (None, Some(_)) => print(&json!({ "v": VERSION, "event": "well" }))?,
            (Some(error), Some(before)) if is_same(error, before) => {}
            (Some(error), _) => {
                let error = Failure::from(error.clone()).to_json();
                print(&json!({ "v": VERSION, "event": "trouble", "error": error }))?;
            }
        }
        self.trouble = trouble;
        Ok(synced)
    }

    /// The same, for so many milliseconds at most.
    fn sync_within(&mut self, time: u64) -> Result<(), Failure> {
        self.client.with_core(|core| core.set_patience(Duration::from_millis(self.patience.min(time))));
        let synced = self.sync();
        self.client.with_core(|core| core.set_patience(Duration::from_millis(self.patience)));
        synced.map(drop)
    }

    /// Shows events that were not shown by this process.
    fn show_news(&mut self) -> Result<(), Failure> {
        for event in self.new_events()? {
            print(&events::to_json(&event))?;
            self.shown = event.number;
        }
        Ok(())
    }

    fn new_events(&self) -> Result<Vec<Event>, Failure> {
        let events = self.client.with_core(|core| core.events(None))?;
        Ok(events.into_iter().filter(|event| event.number > self.shown).collect())
    }

    /// Looks for news until something is there that is wanted, or the time is over.
    fn wait<T>(
        &mut self,
        time: Duration,
        mut find: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let begun = Instant::now();
        loop {
            let left = time.saturating_sub(begun.elapsed());
            self.sync_within(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))?;
            self.show_news()?;
            if let Some(found) = find(self)? {
                return Ok(Some(found));
            }
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // If it is because the service can't be asked, that is what to say.
                return match &self.trouble {
                    None => Ok(None),
                    Some(error) => Err(error.clone().into()),
                };
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// Whether it is the same trouble as before, though it may say so in other words.
fn is_same(one: &Error, other: &Error) -> bool {
    match (one, other) {
        (Error::Refused(one), Error::Refused(other)) => one.code == other.code,
        (Error::Transport(one), Error::Transport(other)) => discriminant(one) == discriminant(other),
        (one, other) => discriminant(one) == discriminant(other),
    }
}

/// How long it looks for news by itself where they don't come, in milliseconds.
const BRIEFLY: u64 = 1000;

/// Whether there is more to come.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Go {
    On,
    End,
}

/// The version of what is said here.
const VERSION: u32 = 1;

/// One line on standard output, at once.
fn print(value: &Value) -> Result<(), Failure> {
    let line = format!("{}\n", text::json(value));
    let mut output = io::stdout().lock();
    let written = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::stream("can't write to standard output", &error))
}
