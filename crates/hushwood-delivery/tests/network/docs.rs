//! docs/delivery-api.md says what the code does.

use std::path::Path;

use hushwood_delivery::server::Limits;
use hushwood_delivery::wire::{Access, CallKind, RefusalCode, Refused};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

fn size(bytes: usize) -> String {
    let (mib, kib) = (bytes >> 20, (bytes >> 10) % 1024);
    match (mib, kib) {
        (0, 0) => bytes.to_string(),
        (0, kib) => format!("{kib} KiB"),
        (mib, 0) => format!("{mib} MiB"),
        (mib, kib) => format!("{mib} MiB + {kib} KiB"),
    }
}

#[test]
fn each_request_is_in_the_table_with_its_caps() {
    let api = read("delivery-api.md");
    for kind in CallKind::ALL {
        let start = format!("| `{}` |", kind.path());
        let row = api.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        let token = if kind.access() == Access::Device { "device" } else { "" };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let expected = [token.to_owned(), size(kind.max_body()), size(kind.max_answer())];
        assert_eq!(cells[3..6], expected, "{row}");
    }
}

#[test]
fn each_refusal_is_in_the_table_with_its_status() {
    let api = read("delivery-api.md");
    for code in 1..=14 {
        let code = RefusalCode(code);
        let start = format!("| {} | {code} |", code.0);
        let row = api.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start}"));
        let status = Refused::new(code, "").status().to_string();
        assert!(row.split('|').nth(3).unwrap().contains(&status), "{status}: {row}");
    }
    assert!(RefusalCode(15).to_string().starts_with("0x"), "one more needs a row, and a number here");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let operations = read("operations.md");
    let limits = Limits::default();
    let rate = format!("{} a second, {} at once", limits.requests_per_second, limits.requests_at_once);
    for part in [
        format!("{},000; {} of one address", limits.connections / 1000, limits.connections_of_address),
        rate,
        format!("{} an hour, {} at once", limits.registrations_per_hour, limits.registrations_at_once),
        format!(
            "| {} GiB an hour, {} GiB at once |",
            limits.kept_kib_per_hour >> 20,
            limits.kept_kib_at_once >> 20
        ),
        format!(
            "checked at once: groups, commits, KeyPackages, proposals from outside | {} |",
            limits.checks_of_address
        ),
        format!(
            "{} MiB, {} MiB, {} MiB; {} MiB, {} MiB, {} MiB of one address",
            limits.request_bytes >> 20,
            limits.answer_bytes >> 20,
            limits.stream_bytes >> 20,
            limits.request_bytes_of_address >> 20,
            limits.answer_bytes_of_address >> 20,
            limits.stream_bytes_of_address >> 20
        ),
        format!("| {} s |", limits.greeting.as_secs()),
        format!("| {} s |", limits.silence.as_secs()),
        format!("more than {} s, {} KiB/s", limits.body_pause.as_secs(), limits.body_rate >> 10),
        format!("| {} s, and as long", limits.stalled_write.as_secs()),
        format!("after {} seconds it cuts off", limits.drain.as_secs()),
    ] {
        assert!(operations.contains(&part), "{part}");
    }
}
