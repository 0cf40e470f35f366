//! `deserialization.json`: RFC 9420 §2.1.2.

use hushwood_codec::{DecodeLimits, Reader, Writer};
use hushwood_crypto::CryptoProvider;
use serde::{Deserialize, Serialize};

use super::generator::to_json;
use super::{Generator, Hex};
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    vlbytes_header: Hex,
    length: usize,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let mut row = Row::new("MLS deserialization", provider.name);
    let vectors: Vec<Vector> = serde_json::from_str(json).unwrap();
    for Vector { vlbytes_header, length } in vectors {
        let mut reader = Reader::new(&vlbytes_header.0, DecodeLimits::default()).unwrap();
        let decoded = reader.length();
        row.case(decoded == Ok(length) && reader.finish().is_ok(), || format!("{length}: {decoded:?}"));
        let mut writer = Writer::new();
        writer.length(length);
        row.case(writer.finish() == Ok(vlbytes_header.0), || format!("{length}: encoded"));
    }
    row
}

/// Makes a file: the lengths around which the header grows (RFC 9420 §2.1.2), and some between.
pub(super) fn generate(_: &Generator) -> String {
    const LENGTHS: [usize; 11] = [0, 1, 62, 63, 64, 1000, 16_382, 16_383, 16_384, 1 << 20, (1 << 30) - 1];
    let vector = |length: usize| {
        let mut writer = Writer::new();
        writer.length(length);
        Vector { vlbytes_header: Hex(writer.finish().unwrap()), length }
    };
    to_json(&LENGTHS.map(vector))
}
