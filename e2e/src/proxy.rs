//! A network of our own between one bot and the nodes: HTTP/1.1, a request at a time, with faults that are drawn from a seed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use test_support::random::SeededRandom;

use crate::tap::Tap;

/// Where the nodes are, for all proxies; nothing for one that is away.
pub type Nodes = Arc<Mutex<Vec<Option<SocketAddr>>>>;

/// What is between a bot and the service.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    bot: String,
    nodes: Nodes,
    tap: Arc<Tap>,
    dice: Mutex<SeededRandom>,
    /// The node that is asked until another is.
    node: Mutex<usize>,
    faults: AtomicBool,
    stopped: AtomicBool,
    counts: Mutex<BTreeMap<Fault, u64>>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// It does not arrive.
    RequestLost,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It arrives after whoever sent it has given up.
    RequestLate,
    /// It arrives twice, at the same time, at nodes that may be different.
    Doubled,
    /// It arrives late.
    RequestSlow,
    /// Its answer arrives late.
    AnswerSlow,
    /// Half of its answer arrives.
    AnswerTorn,
    /// Something in between says that it can't be asked now.
    Refused,
    /// Another node is asked from now on.
    OtherNode,
}

const FAULTS: [Fault; 9] = [
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::RequestLate,
    Fault::Doubled,
    Fault::RequestSlow,
    Fault::AnswerSlow,
    Fault::AnswerTorn,
    Fault::Refused,
    Fault::OtherNode,
];

/// Out of a thousand requests, so many meet a fault.
const OF_THOUSAND: usize = 180;

impl Proxy {
    /// A proxy for one bot.
    ///
    /// # Errors
    /// If there is no port for it.
    pub fn start(bot: &str, nodes: &Nodes, tap: &Arc<Tap>, dice: SeededRandom) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            bot: bot.to_owned(),
            nodes: nodes.clone(),
            tap: tap.clone(),
            dice: Mutex::new(dice),
            node: Mutex::new(0),
            faults: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            counts: Mutex::new(BTreeMap::new()),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), shared) = (client, accepting.clone()) else { continue };
                // It ends when either side ends the connection.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where the bot connects.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on everything arrives, or is as before.
    pub fn set_faults(&self, on: bool) {
        self.shared.faults.store(on, Ordering::SeqCst);
    }

    /// What it has done.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        locked(&self.shared.counts).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // It wakes up and sees.
        drop(TcpStream::connect(self.address));
    }
}

/// A request or an answer: its head, with the empty line, and its body.
struct Http {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Shared {
    fn serve(self: &Arc<Self>, mut client: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(Duration::from_secs(120)))?;
        while let Some(request) = Http::read(&mut client)? {
            let fault = self.draw();
            match fault {
                Some(Fault::RequestLost) => break,
                Some(Fault::AnswerLost) => {
                    drop(self.ask(&request));
                    break;
                }
                Some(Fault::RequestLate) => {
                    let (this, wait) = (self.clone(), self.wait(4000));
                    thread::spawn(move || {
                        thread::sleep(wait);
                        drop(this.ask(&request));
                    });
                    break;
                }
                Some(Fault::Refused) => {
                    client.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")?;
                    continue;
                }
                Some(Fault::OtherNode) => {
                    let count = locked(&self.nodes).len().max(1);
                    *locked(&self.node) = locked(&self.dice).below(count);
                }
                Some(Fault::RequestSlow) => thread::sleep(self.wait(1500)),
                _ => {}
            }
            let answer = match fault {
                Some(Fault::Doubled) => self.ask_twice(request),
                _ => self.ask(&request),
            };
            let Ok(answer) = answer else { break };
            match fault {
                Some(Fault::AnswerSlow) => thread::sleep(self.wait(1500)),
                Some(Fault::AnswerTorn) => {
                    client.write_all(&answer.head)?;
                    client.write_all(answer.body.get(..answer.body.len() / 2).unwrap_or_default())?;
                    break;
                }
                _ => {}
            }
            client.write_all(&answer.head)?;
            client.write_all(&answer.body)?;
        }
        client.shutdown(Shutdown::Both)?;
        Ok(())
    }

    fn draw(&self) -> Option<Fault> {
        if !self.faults.load(Ordering::SeqCst) {
            return None;
        }
        let mut dice = locked(&self.dice);
        if dice.below(1000) >= OF_THOUSAND {
            return None;
        }
        let fault = FAULTS.get(dice.below(FAULTS.len())).copied();
        if let Some(fault) = fault {
            *locked(&self.counts).entry(fault).or_default() += 1;
        }
        fault
    }

    /// Up to so many milliseconds.
    fn wait(&self, most: usize) -> Duration {
        Duration::from_millis(u64::try_from(locked(&self.dice).below(most)).unwrap_or(0))
    }

    /// Asks a node, and writes down what was asked and answered.
    fn ask(&self, request: &Http) -> Result<Http> {
        let answer = self.forward(request);
        let path = request.path().unwrap_or_default();
        let told = answer.as_ref().ok().map(|answer| (answer.status(), answer.body.as_slice()));
        self.tap.observe(&self.bot, &path, &request.body, told);
        answer
    }

    fn ask_twice(self: &Arc<Self>, request: Http) -> Result<Http> {
        let (this, again) = (self.clone(), Http { head: request.head.clone(), body: request.body.clone() });
        let other = thread::spawn(move || this.ask(&again));
        let first = self.ask(&request);
        let second = other.join().unwrap_or_else(|_| anyhow::bail!("a thread has panicked"));
        match locked(&self.dice).below(2) {
            0 => first,
            _ => second,
        }
    }

    fn forward(&self, request: &Http) -> Result<Http> {
        let address = {
            let (nodes, mut node) = (locked(&self.nodes), locked(&self.node));
            if nodes.get(*node).copied().flatten().is_none() {
                // Whoever is away is asked no more, for now.
                *node = locked(&self.dice).below(nodes.len().max(1));
            }
            nodes.get(*node).copied().flatten().context("no node is there")?
        };
        let mut server = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        server.set_nodelay(true)?;
        server.set_read_timeout(Some(Duration::from_secs(40)))?;
        server.write_all(&request.head)?;
        server.write_all(&request.body)?;
        Http::read(&mut server)?.context("no answer")
    }
}

impl Http {
    /// The next one of a connection; nothing if it has ended.
    fn read(stream: &mut TcpStream) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(None);
            }
            bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
        };
        let mut body = bytes.split_off(end);
        let head = bytes;
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        let missing = usize::saturating_sub(length, body.len());
        let had = body.len();
        body.resize(had + missing, 0);
        if let Some(rest) = body.get_mut(had..) {
            stream.read_exact(rest)?;
        }
        Ok(Some(Self { head, body }))
    }

    fn path(&self) -> Option<String> {
        let line = self.head.split(|byte| *byte == b'\r').next()?;
        Some(std::str::from_utf8(line).ok()?.split(' ').nth(1)?.to_owned())
    }

    fn status(&self) -> u16 {
        self.path().and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

fn header(head: &[u8], wanted: &str) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    Some(value.trim().to_owned())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
