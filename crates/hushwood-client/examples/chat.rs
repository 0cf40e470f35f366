//! A small chat program: a server on the network, known by its fingerprint, and a sealed store that outlives the program.
//!
//! ```text
//! hushwood serve --data delivery          # prints its address and the fingerprint of its certificate
//! cargo run -p hushwood-client --example chat -- ada ada.folder https://127.0.0.1:7443 FINGERPRINT
//! cargo run -p hushwood-client --example chat -- ben ben.folder https://127.0.0.1:7443 FINGERPRINT
//! ```
//!
//! Ada then writes `/new tea`, `/invite ben` and `hello`; Ben `/accept`, and reads it. Whoever ends the program and begins it again is
//! where they were: what they said and could not be sent is sent, and what was said meanwhile is told.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;

use hushwood_aws_lc::{OsRandom, PROVIDER};
use hushwood_client::transport::{BlockingHttp, ServerTrust};
use hushwood_client::{Client, Event, EventKind, Identity, Outcome, Provider, Random, Room, Secret, Trust};
use hushwood_store::{SqliteStore, Unlock};

type Anything = Box<dyn Error + Send + Sync>;

pub(crate) fn main() -> Result<(), Anything> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (who, server, service) = match *arguments.as_slice() {
        [person, folder, url, fingerprint] => ((person, folder), (url, fingerprint), "localhost"),
        [person, folder, url, fingerprint, service] => ((person, folder), (url, fingerprint), service),
        _ => return Err("chat NAME FOLDER URL FINGERPRINT [NAME OF THE SERVICE]".into()),
    };
    let client = open(who, server, service)?;

    // What happens is told by a thread of its own: news come by the service's stream.
    let listener = client.clone();
    std::thread::spawn(move || {
        loop {
            match listener.wait(Duration::from_secs(60)) {
                Ok(events) => events.iter().for_each(|event| tell(&listener, event)),
                Err(error) => println!("! {error}"),
            }
        }
    });

    let mut room = client.rooms().pop();
    for line in io::stdin().lock().lines() {
        if let Err(error) = obey(&client, &mut room, line?.trim()) {
            println!("! {error}");
        }
    }
    Ok(())
}

fn open(
    (person, folder): (&str, &str),
    (url, fingerprint): (&str, &str),
    service: &str,
) -> Result<Client<BlockingHttp>, Anything> {
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let path = folder.join("store");
    let unlock = Unlock::KeyFile(key(&folder.join("key"))?);
    let store = match path.exists() {
        true => SqliteStore::open(&path, &unlock)?,
        false => SqliteStore::create(&path, &unlock)?,
    };
    // The operator has told it, or whoever has invited us.
    let server = ServerTrust::fingerprint(fingerprint).ok_or("a fingerprint has 64 hexadecimal digits")?;
    let identity = Identity { person: person.to_owned(), service: service.to_owned() };
    let provider = Provider::new(PROVIDER, OsRandom);
    let delivery = BlockingHttp::new(url, &server)?;
    Ok(Client::open(store, provider, &identity, Trust::on_first_use(), delivery)?)
}

/// What unseals the store. An application asks the operating system's keeper of secrets for it, or the user for a passphrase.
fn key(path: &Path) -> Result<Secret, Anything> {
    if !path.exists() {
        let random: &mut dyn Random = &mut OsRandom;
        fs::write(path, random.array::<32>()?)?;
    }
    Ok(Secret::new(fs::read(path)?))
}

/// Says what has happened, and then that it is dealt with.
fn tell(client: &Client<BlockingHttp>, event: &Event) {
    let title = client.room(&event.room).and_then(|room| room.title()).unwrap_or_default();
    match &event.kind {
        EventKind::Message(message) => {
            // It came from outside: nothing in it may move a cursor.
            let text = String::from_utf8_lossy(&message.body);
            println!("[{}] {}: {}", title.escape_debug(), message.from, text.escape_debug());
        }
        EventKind::Sent { .. } => {}
        EventKind::Invited(invitation) => println!("* {} invites you: /accept or /refuse", invitation.by),
        other => println!("* [{}] {other:?}", title.escape_debug()),
    }
    if let Err(error) = client.acknowledge([event]) {
        println!("! {error}");
    }
}

fn obey(
    client: &Client<BlockingHttp>,
    room: &mut Option<Room<BlockingHttp>>,
    line: &str,
) -> Result<(), Anything> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let here = || room.as_ref().ok_or("there is no room: /new TITLE makes one");
    match word {
        "" => {}
        "/new" => *room = Some(client.create_group(rest)?),
        "/rooms" => {
            for (number, room) in client.rooms().iter().enumerate() {
                println!("  {number} {} ({:?})", room.title()?.escape_debug(), room.standing()?);
            }
        }
        "/room" => *room = client.rooms().into_iter().nth(rest.parse()?),
        "/invite" => report(&here()?.invite(rest)?),
        "/accept" => {
            let waiting = client.invitations().into_iter().next();
            let (id, invitation) = waiting.ok_or("nobody has invited you")?;
            client.accept(invitation.id)?;
            *room = Some(client.room(&id)?);
        }
        "/refuse" => {
            let waiting = client.invitations().into_iter().next();
            client.refuse(waiting.ok_or("nobody has invited you")?.1.id)?;
        }
        "/members" => {
            for contact in here()?.contacts()? {
                let number = client.safety_number(&contact.claim)?;
                println!("  {} ({:?}): {}", contact.member, contact.trust, number.words());
            }
        }
        "/leave" => report(&here()?.leave()?),
        _ => report(&here()?.send(line.as_bytes())?.1),
    }
    Ok(())
}

fn report(outcome: &Outcome) {
    if let Outcome::Kept { why, .. } = outcome {
        let why = why.as_ref().map_or_else(|| "it takes long".to_owned(), ToString::to_string);
        println!("* kept for later: {why}");
    }
}
