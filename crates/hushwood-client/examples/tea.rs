//! Alice makes a room, invites Bob, and says something: what the README shows.

use std::sync::Arc;
use std::time::Duration;

use hushwood_aws_lc::{OsRandom, PROVIDER};
use hushwood_client::transport::InProcess;
use hushwood_client::{Client, EventKind, Identity, Invitations, Provider, Settings, Trust};
use hushwood_delivery::backend::{SqliteBackend, SqliteSettings};
use hushwood_delivery::service::{Service, ServiceSettings};
use hushwood_store::MemoryStore;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A delivery service in this process; `BlockingHttp::new(address, trust)` asks one that is elsewhere.
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let backend = SqliteBackend::open(&SqliteSettings::new(&folder.path().join("delivery.db")))?;
    let service = runtime.block_on(Service::new(Arc::new(backend), ServiceSettings::new("tea.example")))?;
    let delivery = InProcess::new(Arc::new(service), runtime.handle().clone());
    let open = |person: &str, store: MemoryStore| {
        let identity = Identity { person: person.to_owned(), service: "tea.example".to_owned() };
        let provider = Provider::new(PROVIDER, OsRandom);
        // Here anybody may invite; by default the application is asked about those it does not know (`EventKind::Invited`).
        let settings = Settings { invitations: Invitations::All, ..Settings::default() };
        let trust = Trust::on_first_use();
        Client::open_with(Box::new(store), provider, &identity, trust, (settings, delivery.clone()))
    };
    let (store, bobs_store) = (MemoryStore::new(), MemoryStore::new());

    // Bob has been there before, so that he can be invited.
    let bob = open("bob", bobs_store)?;
    bob.sync()?;

    // README: begin
    let alice = open("alice", store)?; // Client::open(store, provider, &identity, Trust::on_first_use(), delivery)
    let room = alice.create_group("tea")?;
    room.invite("bob")?; // with all his devices
    room.send(b"hello")?; // stored first, then sent, again and again until it is there

    for event in bob.wait(Duration::from_secs(10))? {
        if let EventKind::Message(message) = &event.kind {
            println!("{}: {}", message.from.person, String::from_utf8_lossy(&message.body));
        }
        bob.acknowledge([&event])?; // it is dealt with: otherwise it would come again after a restart
    }
    // README: end
    Ok(())
}
