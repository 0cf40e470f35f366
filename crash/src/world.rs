//! The client that is killed, those that it talks to, and what all of them have seen.

use std::collections::BTreeMap;

use hushwood_store::MemoryStore;
use test_support::recording;

use crate::check::{self, Facts, Seen};
use crate::client::Client;
use crate::command::{Answer, Bytes, Command, Trouble, View, What};
use crate::failure::{Failure, Kind};
use crate::ledger::{Ledger, PEERS};
use crate::{ME, PROGRESS, provider};

/// How the client is reached that may die.
pub trait Me {
    /// Has it do something; `None` if it died.
    fn ask(&mut self, command: &Command) -> Option<Answer>;

    /// Starts it, or starts it again after it was killed; `None` if it died while it started.
    fn start(&mut self) -> Option<Answer>;

    /// Whether it was started without any fault to come.
    fn is_clean(&self) -> bool;
}

/// What came of a question, or of a start.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whether it was a start.
    pub start: bool,
    /// What it said; `None` if it died.
    pub answer: Option<Answer>,
}

/// A client that does not die.
pub struct Peer {
    /// The client.
    pub client: Client<MemoryStore>,
    /// What it has on its disk.
    pub view: View,
    /// The group it is in.
    pub group: Bytes,
    number: u64,
}

/// A world.
pub struct World<'m> {
    /// Everything follows from it.
    pub seed: u64,
    /// The time.
    pub now: u64,
    /// What the client is known to have on its disk.
    pub view: View,
    /// The group it is in.
    pub group: Bytes,
    /// Those it talks to.
    pub peers: BTreeMap<String, Peer>,
    /// The keys that were used.
    pub ledger: Ledger,
    /// What came of each question and of each start, in order.
    pub told: Vec<Told>,
    /// How many questions were answered when the part began that the scenario is about, and when it ended.
    pub window: (usize, usize),
    /// How often it was found dead.
    pub deaths: u64,
    /// How often it said that something has failed.
    pub failures: u64,
    me: Box<dyn Me + 'm>,
    number: u64,
    starts: u64,
    facts: BTreeMap<(Bytes, u64, Bytes), Facts>,
}

/// Something is tried as often until it is done.
const ATTEMPTS: u64 = 12;
/// After so many the disk is brought in order.
const PATIENCE: u64 = 4;
/// When things happen.
const NOW: u64 = 1_800_000_000;

impl<'m> World<'m> {
    /// A world in which nothing has happened.
    ///
    /// # Errors
    /// The client does not start.
    pub fn new(seed: u64, me: Box<dyn Me + 'm>) -> Result<Self, Failure> {
        let mut world = Self {
            seed,
            now: NOW,
            view: View::default(),
            group: Bytes::default(),
            peers: BTreeMap::new(),
            ledger: Ledger::default(),
            told: Vec::new(),
            window: (0, usize::MAX),
            deaths: 0,
            failures: 0,
            me,
            number: 0,
            starts: 0,
            facts: BTreeMap::new(),
        };
        recording::take();
        world.view = world.started()?;
        Ok(world)
    }

    /// Has the client do something, as often as it takes, whatever happens to it meanwhile.
    ///
    /// # Errors
    /// What the checks find; [`Kind::Liveness`] if it is refused.
    pub fn me(&mut self, what: What) -> Result<Seen, Failure> {
        self.attempt(&what)?.map_err(|error| Failure::new(Kind::Liveness, format!("{error}: {what:?}")))
    }

    /// Has the client do something that it has to refuse.
    ///
    /// # Errors
    /// What the checks find; [`Kind::Accepted`] if it is done.
    pub fn refused(&mut self, what: What) -> Result<String, Failure> {
        match self.attempt(&what)? {
            Ok(_) => Err(Failure::new(Kind::Accepted, format!("{what:?}"))),
            Err(error) => Ok(error),
        }
    }

    fn attempt(&mut self, what: &What) -> Result<Result<Seen, String>, Failure> {
        self.number += 1;
        let before = self.view.clone();
        for attempt in 0..ATTEMPTS {
            if attempt == PATIENCE {
                // The disk stays as it is: whoever cares for it is called, and starts the client again.
                let found = self.started()?;
                check::same_but_unlock(&before, &found, what, "after a start")?;
            }
            let command = self.command(self.number, attempt, what);
            let found = match self.ask(&command) {
                Some(Answer::Done(view)) => {
                    self.ledger.is_durable(command.tag());
                    return self.done(&before, *view, what).map(Ok);
                }
                Some(Answer::Refused(error)) => {
                    let found = self.recover(&Trouble::Read)?;
                    check::same(&before, &found, "after a refusal")?;
                    return Ok(Err(error));
                }
                Some(Answer::Wrong(what)) => return Err(Failure::new(Kind::Torn, what)),
                Some(Answer::Failed(trouble)) => {
                    self.failures += 1;
                    let found = self.recover(&trouble)?;
                    if matches!(trouble, Trouble::Busy | Trouble::Full | Trouble::NotWritten)
                        && what.is_step()
                        && found.progress == self.number
                    {
                        let what = format!("{trouble:?} said that nothing was written: {what:?}");
                        return Err(Failure::new(Kind::Twice, what));
                    }
                    found
                }
                None => {
                    self.deaths += 1;
                    self.started()?
                }
            };
            if self.was_done(&found, what) {
                self.ledger.is_durable(command.tag());
                let seen = self.done(&before, found, what)?;
                self.offer_again(what)?;
                return Ok(Ok(seen));
            }
            check::same_but_unlock(&before, &found, what, "after a failure")?;
            self.view = found;
        }
        Err(Failure::new(Kind::Liveness, format!("it does not get done: {what:?}")))
    }

    fn command(&self, number: u64, attempt: u64, what: &What) -> Command {
        let parts = [self.seed, number, attempt, self.starts];
        let random = parts.iter().fold(0x1234_5678, |all: u64, part| {
            (all ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        Command { number, attempt, random, now: self.now, what: what.clone() }
    }

    fn ask(&mut self, command: &Command) -> Option<Answer> {
        let answer = self.me.ask(command);
        self.ledger.add(command.tag(), recording::take());
        self.told.push(Told { start: false, answer: answer.clone() });
        answer
    }

    /// Whether what is found on the disk says that the last command was done.
    fn was_done(&self, found: &View, what: &What) -> bool {
        match what {
            What::ChangeUnlock(key) => found.unlock == *key && self.view.unlock != *key,
            what => what.is_step() && found.progress == self.number,
        }
    }

    /// What was done is as it should be.
    fn done(&mut self, before: &View, after: View, what: &What) -> Result<Seen, Failure> {
        if what.is_step() && after.progress != self.number {
            let (found, number) = (after.progress, self.number);
            return Err(Failure::new(Kind::Lost, format!("command {number} is done and {found} is noted")));
        }
        let seen = check::change(before, &after, what)?;
        self.note(&after)?;
        self.view = after;
        Ok(seen)
    }

    /// The delivery service says again what the client may not have acknowledged to it.
    fn offer_again(&mut self, what: &What) -> Result<(), Failure> {
        let What::Receive(instance, _) = what else { return Ok(()) };
        let offered = self.view.group(instance).is_some_and(|group| group.pending.is_empty());
        if !offered {
            // A proposal that waits may be said again.
            return Ok(());
        }
        let before = self.view.clone();
        let command = self.command(self.number, ATTEMPTS, what);
        match self.ask(&command) {
            Some(Answer::Refused(_)) => {}
            Some(Answer::Done(_)) => {
                return Err(Failure::new(Kind::Twice, format!("it was received twice: {what:?}")));
            }
            Some(Answer::Wrong(what)) => return Err(Failure::new(Kind::Torn, what)),
            Some(Answer::Failed(_)) => self.failures += 1,
            None => self.deaths += 1,
        }
        let found = self.recover(&Trouble::Read)?;
        check::same(&before, &found, "after a message that was offered again")
    }

    /// What is on the disk after something has failed.
    fn recover(&mut self, trouble: &Trouble) -> Result<View, Failure> {
        let mut what = match trouble {
            Trouble::Unknown | Trouble::NotOpened(_) => What::Reopen,
            _ => What::View,
        };
        for _ in 0..3 {
            let command = self.command(0, self.starts, &what);
            match self.ask(&command) {
                Some(Answer::Done(view)) => return Ok(*view),
                Some(Answer::Wrong(what)) => return Err(Failure::new(Kind::Torn, what)),
                Some(Answer::Refused(error)) => return Err(Failure::new(Kind::Lost, error)),
                Some(Answer::Failed(_)) => {
                    self.failures += 1;
                    what = What::Reopen;
                }
                None => {
                    self.deaths += 1;
                    break;
                }
            }
        }
        self.started()
    }

    /// Starts the client, again and again if it dies.
    fn started(&mut self) -> Result<View, Failure> {
        for _ in 0..4 {
            self.starts += 1;
            let answer = self.me.start();
            self.told.push(Told { start: true, answer: answer.clone() });
            match answer {
                Some(Answer::Done(view)) => return Ok(*view),
                Some(Answer::Failed(trouble)) => {
                    self.failures += 1;
                    if self.me.is_clean() {
                        return Err(Failure::new(Kind::Lost, format!("it does not start: {trouble:?}")));
                    }
                }
                Some(Answer::Refused(what)) => return Err(Failure::new(Kind::Lost, what)),
                Some(Answer::Wrong(what)) => return Err(Failure::new(Kind::Torn, what)),
                None => self.deaths += 1,
            }
        }
        Err(Failure::new(Kind::Liveness, "it does not start"))
    }

    /// Notes what a member says of the epochs it is in, and compares.
    fn note(&mut self, view: &View) -> Result<(), Failure> {
        for group in view.all_groups().filter(|group| group.status != "removed") {
            let key = (group.group_id.clone(), group.epoch, group.transcript.clone());
            let facts = Facts::of(group);
            let known = self.facts.entry(key).or_insert_with(|| facts.clone());
            if *known != facts {
                return Err(Failure::new(Kind::Agreement, format!("{known:?} and {facts:?}")));
            }
        }
        Ok(())
    }

    /// A client that does not die; it is born when it is first named.
    pub fn peer(&mut self, name: &str) -> &mut Peer {
        self.peers.entry(name.to_owned()).or_insert_with(|| {
            let client =
                Client::start(name, PROGRESS, provider(), MemoryStore::new()).expect("memory does not fail");
            Peer { client, view: View::default(), group: Bytes::default(), number: 0 }
        })
    }

    /// Has another client do something.
    ///
    /// # Errors
    /// [`Kind::Liveness`] if it is refused.
    pub fn tell(&mut self, name: &str, what: What) -> Result<Seen, Failure> {
        if name == ME {
            return self.me(what);
        }
        let salt = name.bytes().fold(3, |salt: u64, byte| salt.wrapping_mul(257) + u64::from(byte));
        let number = self.peer(name).number + 1;
        let command = Command { random: 0, ..self.command(number, 0, &what) };
        let command = Command { random: self.seed ^ salt.wrapping_mul(number + 11), ..command };
        let peer = self.peer(name);
        peer.number = number;
        let answer = peer.client.ask(&command);
        let before = peer.view.clone();
        self.ledger.add(PEERS, recording::take());
        match answer {
            Answer::Done(view) => {
                let seen = check::change(&before, &view, &what)?;
                self.note(&view)?;
                self.peer(name).view = *view;
                Ok(seen)
            }
            other => Err(Failure::new(Kind::Liveness, format!("{name}, {what:?}: {other:?}"))),
        }
    }

    /// Starts the client again, to see what others have made of its disk.
    ///
    /// # Errors
    /// It does not start.
    pub fn look(&mut self) -> Result<(), Failure> {
        self.view = self.started()?;
        Ok(())
    }

    /// Here begins what the scenario is about.
    pub fn begin(&mut self) {
        self.window.0 = self.told.len();
    }

    /// And here it ends.
    pub fn end(&mut self) {
        self.window.1 = self.told.len();
    }
}
